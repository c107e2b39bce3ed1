"""Everything but training by the loop, evaluation of runs and exports works without TensorFlow."""

import importlib.util
import json
import os

import pytest
from helpers import read_csv

HIDDEN = ("tensorflow", "tensorboard", "tensorflow_datasets")
FIT = """
import sys
import keras, numpy as np
import stfnet

records, folder = sys.argv[1:]
clip = stfnet.ClipConfig(num_frames=3, flow_length=4, image_size=32)
train, validation, test = stfnet.datasets(records, clip, batch_size=4, tau_range=(1, 2))
config = stfnet.ModelConfig(
    len(train.learned.classes), clip, width_divisor=16, fc6_units=8, lstm_units=4
)
model = stfnet.build_stfnet(config, train.learned)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
epochs = []
seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs))
kept = keras.callbacks.ModelCheckpoint(folder + "/kept.keras")
model.fit(train, validation_data=validation, epochs=2, verbose=0, callbacks=[seen, kept])
assert len(epochs) == 2 and all(np.isfinite(list(logs.values())).all() for logs in epochs)
assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(epochs[0])
figures = model.evaluate(test, verbose=0)
again = keras.saving.load_model(folder + "/kept.keras")
np.testing.assert_allclose(again.evaluate(test, verbose=0), figures, rtol=1e-4)
assert stfnet.load(folder + "/kept.keras").classes == train.learned.classes
print(keras.backend.backend())
"""


@pytest.fixture
def python(run_python, request, tmp_path):
    """Function that runs Python with a backend of Keras, with TensorFlow or as if without."""
    site = tmp_path / "site"
    site.mkdir()
    # A module that is None in sys.modules cannot be imported, nor found.
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))\n"
    (site / "sitecustomize.py").write_text(hidden)

    def run(backend, *arguments):
        if backend and importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed, so Keras has no such backend here")
        paths = [str(request.config.rootpath), os.environ.get("PYTHONPATH", "")]
        paths = [str(site), *paths] if backend != "tensorflow" else paths
        variables = {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
        return run_python(*arguments, folder=tmp_path, **variables)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_fit_trains_on_records_on_every_backend(backend, python, tiny_records, tmp_path):
    done = python(backend, "-c", FIT, tiny_records.folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_videos_are_prepared_and_recognised(backend, python, write_squares, tmp_path):
    write_squares(tmp_path / "videos", range(1, 9))
    source = f"--source=folder:{tmp_path / 'videos'}"
    prepared = python(
        backend, "-m", "experiments.prepare", source, "--output=records", "--image_size=32"
    )
    assert prepared.returncode == 0, prepared.stderr
    assert "TensorFlow Datasets alone reads" in prepared.stderr
    fitted = python(backend, "-c", FIT, tmp_path / "records", tmp_path)
    assert fitted.returncode == 0, fitted.stderr
    video = next((tmp_path / "videos").rglob("*.mp4"))
    asked = ("--model=kept.keras", f"--video={video}")
    predicted = python(backend, "-m", "experiments.predict", *asked, "--output=answer")
    assert predicted.returncode == 0, predicted.stderr
    answer = json.loads((tmp_path / "answer" / "prediction.json").read_text())
    explained = python(backend, "-m", "experiments.explain", *asked, "--output=reasons")
    assert explained.returncode == 0, explained.stderr
    reasons = json.loads((tmp_path / "reasons" / "explanation.json").read_text())
    assert set(reasons["probabilities"]) == {"Right", "Left", "Still"}
    for one in answer["top"]:
        assert reasons["probabilities"][one["class"]] == pytest.approx(one["probability"], rel=1e-3)
    assert all(
        float(row["conv_gradient"])
        for row in read_csv(tmp_path / "reasons" / "frame_importance.csv")
    )


@pytest.mark.parametrize(
    ("program", "flags", "message"),
    [
        ("train", ["--config=synthetic.py", "--records=r", "--workdir=w"], "needs TensorFlow,"),
        ("export", ["--workdir=w", "--output=x"], "needs TensorFlow,"),
        ("evaluate", ["--workdir=w", "--records=r"], "needs TensorFlow,"),
        ("prepare", ["--source=tfds:ucf101", "--output=r"], "needs TensorFlow Datasets"),
    ],
)
def test_what_needs_tensorflow_says_so(python, program, flags, message):
    done = python("", "-m", f"experiments.{program}", *flags)
    assert done.returncode == 1
    assert message in done.stderr and "pip install 'stfnet[cpu]'" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.stderr
