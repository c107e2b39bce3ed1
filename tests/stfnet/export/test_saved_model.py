import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records, video
from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import ClipConfig
from stfnet.export import layout, saved_model
from stfnet.inference import prediction

OLD = Path(__file__).parents[2] / "data" / "old_export" / "config.json"  # of 24 November 2026
# What a server does: TensorFlow, NumPy and the folder, no line of this project.
SERVER = """
import sys
import numpy as np
import tensorflow as tf
folder, inputs, path = sys.argv[1:]
loaded = tf.saved_model.load(folder)
inputs = {name: tf.constant(value) for name, value in np.load(inputs).items()}
whole = loaded.signatures["classify_frames"](frames=inputs.pop("frames"))
clips = loaded.signatures["serving_default"](**inputs)
assert set(clips) == {"probabilities"}, clips
assert not {"stfnet", "preprocessing"} & set(sys.modules)
outputs = {f"frames_{name}": value.numpy() for name, value in whole.items()}
outputs["frames_class_names"] = outputs["frames_class_names"].astype("S")
np.savez(path, clips=clips["probabilities"].numpy(), **outputs)
"""


def _random_clips(count, config):
    rng = np.random.default_rng(0)
    clip = config.model.clip
    shape = (count, clip.num_frames, clip.image_size, clip.image_size)
    channels = {"rgb": 3, "flow": 2 * clip.flow_length}
    return {name: rng.integers(0, 256, (*shape, c), np.uint8) for name, c in channels.items()}


def _serve(folder, inputs, tmp_path):
    np.savez(tmp_path / "inputs.npz", **inputs)
    program = [sys.executable, "-c", SERVER, folder, tmp_path / "inputs.npz", tmp_path / "out.npz"]
    subprocess.run(program, check=True, cwd=tmp_path)
    return np.load(tmp_path / "out.npz")


@pytest.fixture(scope="module")
def exported(make_run, tmp_path_factory):
    """(model, RunConfig, folder of its export, which was written over an older one)."""
    folder = tmp_path_factory.mktemp("exported") / "export"
    folder.mkdir()
    for name in ("saved_model.pb", "network.onnx"):  # the second is of another format
        (folder / name).touch()
    # Of 16 pixels, so that the flow solver has one scale to be traced and not four.
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=16)
    workdir = make_run(clip=clip)
    model, config = prediction.load_run(workdir)
    fingerprint = run.read_videos(workdir).fingerprint()
    saved_model.export_saved_model(model, config, folder, fingerprint=fingerprint)
    return model, config, folder


@pytest.fixture(scope="module")
def loaded(exported):
    return saved_model.load_export(exported[2])[0]


def test_plain_tensorflow_gives_the_probabilities_of_keras(exported, moving_square, tmp_path):
    model, config, folder = exported
    inputs = _random_clips(2, config)
    frames = np.stack(list(video.read_frames(moving_square)))[None]
    outputs = _serve(folder, inputs | {"frames": frames}, tmp_path)
    assert outputs["clips"].dtype == np.float32
    np.testing.assert_allclose(outputs["clips"], model.predict_on_batch(inputs), atol=1e-5)

    probabilities, clip = prediction.predict_video(model, config, moving_square)
    np.testing.assert_allclose(outputs["frames_probabilities"], [probabilities], atol=1e-3)
    assert outputs["frames_class_names"].astype(str).tolist() == list(config.classes)
    np.testing.assert_array_equal(outputs["frames_frame_numbers"], clip["frame_numbers"])


@pytest.mark.parametrize(
    ("endpoint", "name", "shape", "needed"),
    [
        # Six clips of 5 frames have the bytes of ten of 3; one of 32 pixels has those of four.
        ("serving_default", "rgb", (6, 5, 16, 16, 3), "[?,3,16,16,3]"),
        ("serving_default", "flow", (6, 5, 16, 16, 8), "[?,3,16,16,8]"),
        ("serving_default", None, (1, 3, 32, 32), "[?,3,16,16,"),
        ("serving_default", None, (1, 12, 8, 8), "[?,3,16,16,"),
        ("classify_frames", "frames", (1, 3, 20, 20, 4), "[?,?,?,?,3]"),  # with transparency
        ("classify_frames", "frames", (3, 20, 20, 3), "[?,?,?,?,3]"),  # no batch
    ],
)
def test_a_signature_refuses_what_it_does_not_declare(loaded, endpoint, name, shape, needed):
    if endpoint == "serving_default":
        right = {"rgb": (shape[0], 3, 16, 16, 3), "flow": (shape[0], 3, 16, 16, 8)}
        shapes = right | ({name: shape} if name else {k: (*shape, right[k][-1]) for k in right})
    else:
        shapes = {name: shape}
    inputs = {key: tf.zeros(value, tf.uint8) for key, value in shapes.items()}
    with pytest.raises(tf.errors.InvalidArgumentError) as one:
        loaded.signatures[endpoint](**inputs)
    (line,) = (line for line in str(one.value).splitlines() if "Shape of tensor" in line)
    assert f"not compatible with expected shape {needed}" in line


@pytest.mark.parametrize("streams", ["both", pytest.param("rgb", marks=pytest.mark.slow)])
def test_a_keras_layer_takes_what_the_page_shows(exported, make_run, tmp_path, streams):
    _, config, folder = exported
    inputs = _random_clips(2, config)
    if streams == "rgb":
        model, config = prediction.load_run(make_run(clip=config.model.clip, streams="rgb"))
        saved_model.export_saved_model(model, config, folder := tmp_path / "export")
        inputs.pop("flow")
    loaded, _ = saved_model.load_export(folder)
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
    answer = layer({name: tf.constant(value) for name, value in inputs.items()})
    np.testing.assert_allclose(answer["probabilities"], loaded.predict_on_batch(inputs), atol=1e-6)
    frames = tf.constant(inputs["rgb"])
    layer = keras.layers.TFSMLayer(folder, call_endpoint="classify_frames")
    expected = loaded.signatures["classify_frames"](frames=frames)["probabilities"]
    np.testing.assert_allclose(layer(frames)["probabilities"], expected, atol=1e-6)


def test_an_export_carries_its_classes_and_videos_and_replaces_an_older_one(exported):
    _, config, folder = exported
    assert (folder / "classes.txt").read_text().split() == ["Bow", "Jump", "Wave"]
    assert json.loads((folder / "config.json").read_text())["name"] == "tiny"
    assert prediction.load_model(folder)[1] == config
    assert not (folder / "network.onnx").exists()
    assert list(folder.parent.iterdir()) == [folder]
    fingerprint = json.loads((folder / "config.json").read_text())["split_fingerprint"]
    assert fingerprint["protocol"] == "group" and len(fingerprint["parts_sha256"]) == 64
    assert fingerprint["seen_by_starting_weights"] == []


@pytest.mark.slow
def test_one_stream_takes_one_input(make_run, tmp_path):
    model, config = prediction.load_run(make_run(streams="rgb"))
    saved_model.export_saved_model(model, config, tmp_path / "export")
    inputs = {"rgb": _random_clips(1, config)["rgb"]}
    loaded, _ = prediction.load_model(tmp_path / "export")
    frames = np.stack([inputs["rgb"][0]] * 2)  # T frames of the network's size are the clip
    whole = loaded.signatures["classify_frames"](frames=frames)["probabilities"]
    stored = config.records  # the network learned from frames that JPEG had changed
    images = [
        records.encode_frame(one, stored.image_format, stored.jpeg_quality) for one in frames[0]
    ]
    decoded = [records.decode_frame(image) for image in images]
    expected = model.predict_on_batch({"rgb": np.stack(decoded)[None]})
    np.testing.assert_allclose(whole[:1], expected, atol=1e-5)
    np.testing.assert_allclose(
        loaded.predict_on_batch(inputs), model.predict_on_batch(inputs), atol=1e-5
    )


@pytest.mark.parametrize("marker", [None, "saved_model.pb", "network.onnx", "1/saved_model.pb"])
@pytest.mark.parametrize("name", ["thesis.tex", ".git/config", "variables.txt", "2/saved_model.pb"])
def test_a_folder_of_something_else_is_left_alone(exported, tmp_path, marker, name):
    model, config, _ = exported
    theirs = {tmp_path / one for one in (marker, name) if one}
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    wrong = rf"holds {name.split('/')[0]}, which no export has"
    with pytest.raises(UserError, match=wrong):
        saved_model.export_saved_model(model, config, tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == theirs


@pytest.mark.parametrize("name", ["saved_model.pb", "classes.txt", "SHA256SUMS"])
def test_a_damaged_export_is_named(exported, tmp_path, name):
    folder = shutil.copytree(exported[2], tmp_path / "export")
    content = bytearray((folder / name).read_bytes())
    content[2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=r"export/.* is damaged, or its checksum is: copy"):
        prediction.load_model(folder)


def test_an_export_without_checksums_loads_or_is_named(exported, tmp_path):
    folder = shutil.copytree(exported[2], tmp_path / "export")
    (folder / "SHA256SUMS").unlink()
    assert prediction.load_model(folder)[1] == exported[1]
    (folder / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(UserError, match="export does not load"):
        prediction.load_model(folder)


def test_an_export_of_an_earlier_version_is_read(exported, tmp_path):
    folder = shutil.copytree(exported[2], tmp_path / "export")
    (folder / "SHA256SUMS").unlink()  # it wrote none
    shutil.copy(OLD, folder)
    loaded, config = saved_model.load_export(folder)
    assert config == exported[1]
    probabilities = loaded.predict_on_batch(_random_clips(1, config))
    assert probabilities.sum() == pytest.approx(1)


def test_the_checksums_are_those_of_sha256sum(exported):
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=exported[2])
    assert done.returncode == 0


def test_an_export_may_be_replaced_and_stays_where_that_fails(exported):
    folder = exported[2]
    names = {path.name for path in folder.rglob("*")}
    with pytest.raises(InterruptedError), layout.writing(folder):
        raise InterruptedError
    assert {path.name for path in folder.rglob("*")} == names
