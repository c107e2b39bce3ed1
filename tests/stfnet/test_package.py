"""What importing the package brings with it, each time in a process of its own."""

import os
import platform

import pytest

HEAVY = ("apache_beam", "cv2", "keras", "matplotlib", "sklearn", "tensorflow")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture
def printed(run_python):
    """Function that runs a program text, without the setting that a program makes, and returns what
    it prints.
    """

    def run(text, *arguments, **variables):
        ended = run_python("-c", text, *arguments, **{ONEDNN: None} | variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()

    return run


def test_the_package_and_every_configuration_load_without_keras(request, printed, tiny_run):
    folder = request.config.rootpath / "experiments" / "configs"
    names = [path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "saved")]
    assert len(names) > 3
    text = f"""
import importlib, sys
import stfnet, stfnet.run
for name in {names}:
    importlib.import_module("experiments.configs." + name).get_config()
importlib.import_module("experiments.configs.saved").get_config(sys.argv[1])
print(*(name for name in {HEAVY} if name in sys.modules))
"""
    assert printed(text, tiny_run / "config.json") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports", ["import keras, stfnet.networks.model", "import stfnet.networks.model, keras"]
)
def test_saved_networks_load_without_custom_objects(printed, tiny_run, imports):
    text = f"""
import sys
{imports}
print(type(keras.saving.load_model(sys.argv[1])).__name__)
"""
    assert printed(text, tiny_run / "best.keras") == ["STFNet"]


def test_importing_the_package_changes_nothing_of_the_process(printed):
    text = """
import os, sys
before = dict(os.environ), list(sys.meta_path)
import stfnet
print(before == (dict(os.environ), list(sys.meta_path)))
"""
    # pytest's own process may have imported it.
    others = dict.fromkeys(os.environ.keys() - {"HOME", "PATH", "PYTHONPATH"})
    assert printed(text, **others) == ["True"]


@pytest.mark.parametrize("name", ["preprocessing.py", "preprocessing/__init__.py"])
def test_a_file_in_the_way_of_a_package_is_named(printed, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('of another')")
    text = """
import sys
sys.path.insert(0, sys.argv[1])  # as a notebook has its own folder
try:
    import stfnet
except ImportError as error:
    print(error)
"""
    shown = " ".join(printed(text, tmp_path))
    assert shown.startswith(f"{path} hides the package") and shown.endswith("another name")


def test_public_names_are_imported_when_they_are_asked_for(printed):
    text = """
import sys, stfnet
before = "keras" in sys.modules
public = [getattr(stfnet, name).__name__ for name in stfnet.__all__]
print(before, hasattr(stfnet, "nothing"), *public)
"""
    assert printed(text) == [
        "False",
        "False",
        "ClipConfig",
        "ModelConfig",
        "STFNet",
        "build_stfnet",
        "clip",
        "datasets",
        "evaluate_run",
        "stfnet.layers",
        "load",
        "load_vgg16_weights",
        "stfnet.sampling",
    ]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is chosen on x86-64 alone")
@pytest.mark.parametrize(("variables", "expected"), [({}, True), ({ONEDNN: "0"}, False)])
def test_programs_convolve_by_onednn_unless_told_otherwise(printed, variables, expected):
    text = """
from experiments import program
program.start_tensorflow()
import tensorflow as tf
tf.nn.conv3d(tf.ones((1, 2, 7, 7, 8)), tf.ones((3, 3, 3, 8, 4)), (1,) * 5, "SAME")
"""
    shown = printed(text, ONEDNN_VERBOSE="1", **variables)
    assert any(",cpu,convolution," in line for line in shown) == expected


@pytest.mark.slow
def test_the_package_works_where_linux_is_not(printed, tiny_records, moving_square, tmp_path):
    """What `docs/` shows in a few lines of Python, without the modules that Linux alone has."""
    text = """
import os, sys
import keras, tensorflow
del os.sched_getaffinity
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # as if it were not there
import stfnet
from preprocessing import files, worker_pool

records, video, folder = sys.argv[1:]
train, validation, test = stfnet.datasets(
    records, stfnet.ClipConfig(num_frames=3, flow_length=4, image_size=32), tau_range=(1, 2)
)
config = stfnet.ModelConfig(3, train.clip, width_divisor=16, fc6_units=8, lstm_units=4)
model = stfnet.build_stfnet(config, train.learned)
model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
model.fit(train, verbose=0)
model.save(folder + "/mine.keras")
answer = stfnet.load(folder + "/mine.keras").predict_video(video, top=1)
with files.locked(folder, "training"):
    print(len(answer), worker_pool.cores() >= 1, sys.modules["fcntl"])
"""
    assert printed(text, tiny_records.folder, moving_square, tmp_path) == ["1", "True", "None"]
