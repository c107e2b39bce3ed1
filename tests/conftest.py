"""Programs in processes, small videos, records and runs, shared by all tests."""

import dataclasses
import fcntl
import gc
import json
import logging
import os
import shutil
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pytest
from warm import IN_TURN, Warm

from benchmarks import films

gc.disable()  # until everything is imported: it would go through all of TensorFlow again and again


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def warnings_are_logged():
    """Some libraries raise the level of the root logger when they are imported."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def run_python(request):
    """Function of arguments of Python that runs it on this project and returns the ended process.

    It runs in `folder`, by default the project's; `begin` is what the command begins with, and
    further arguments are variables of its environment, None for one that it does not have.
    """
    root = request.config.rootpath

    def run(*arguments, folder=None, timeout=900, begin=(), **variables):
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables}
        return subprocess.run(
            [*begin, sys.executable, *map(str, arguments)],
            cwd=folder or root,
            env={name: str(value) for name, value in variables.items() if value is not None},
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def warm(request):
    """What starts programs in forks of a process that has TensorFlow (`warm.Warm`)."""
    warm = Warm(request.config.rootpath)
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def run_in_turn(run_python, warm):
    """Function of (program's name, *flags), ... that runs all of them in one process.

    Returns for each the exit status (None after a traceback), what was printed, and the errors.
    """

    def run(commands, folder=None, timeout=900, begin=()):
        given = json.dumps([list(map(str, one)) for one in commands], ensure_ascii=False)
        if begin:
            ended = run_python("-c", IN_TURN, given, folder=folder, timeout=timeout, begin=begin)
        else:
            ended = warm.run("-c", IN_TURN, given, folder=folder, timeout=timeout)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Function of a name and a function that fills the folder it is given; returns the folder.

    It is filled once for all workers of pytest, so what is in it must stay as it is.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers

    def make(name, fill):
        folder = base / f"{name}-once"
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            filled = folder.with_suffix(".filled")
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return make


def _textures(seed, count, height, width):
    """`count` smooth textures, uint8 (height, width, 3)."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(seed)
    return [
        cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)
        for _ in range(count)
    ]


def _moving_square(wall, square, corners):
    """Copies of `wall` (H, W, 3), each with `square` at one of the corners (top, left)."""
    height, width = square.shape[:2]
    for top, left in corners:
        frame = wall.copy()
        frame[top : top + height, left : left + width] = square
        yield frame


@pytest.fixture(scope="session")
def write_squares():
    """Function of a folder and groups that writes videos in three classes, one each in a group.

    A textured square moves right, moves left or stays, before a wall of its group: mp4 files of 8
    to 10 frames of 64 x 48 pixels at 20 frames a second, in folders `Right`, `Left` and `Still`.
    """

    def write(folder, groups):
        for group in groups:
            wall, square = _textures(group, 2, 48, 64)
            for name, speed in (("Right", 2), ("Left", -2), ("Still", 0)):
                path = folder / name / f"v_{name}_g{group:02d}_c01.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                corners = [(12, 20 + speed * k) for k in range(8 + group % 3)]
                frames = _moving_square(wall, square[:24, :24], corners)
                films.write_video(path, frames, films.MPEG_4, 20)

    return write


@pytest.fixture(scope="session")
def moving_square(tmp_path_factory):
    """An mp4 of 11 frames of 64 x 48 at 20 frames/s: a textured square before a textured wall."""
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    wall, square = _textures(0, 2, 64, 64)
    corners = [(10, 5 + 2 * k) for k in range(11)]
    frames = _moving_square(wall[:48], square[:24, :24], corners)
    films.write_video(path, frames, films.MPEG_4, 20)
    return path


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Function of a network's settings that makes the folder of a run with random weights.

    Its own sizes are given as far as the network has them. `record_set` is what it is a run of,
    `training` its further settings.
    """
    from stfnet import ClipConfig, build_stfnet, networks, run
    from stfnet.config import RecordsConfig, TrainingConfig
    from stfnet.run.config import RunConfig

    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)

    sizes = {"num_classes": 3, "clip": clip, "width_divisor": 16, "fc6_units": 8, "lstm_units": 4}

    def make(network="stfnet", record_set=None, training=None, **settings):
        model = networks.read({**networks.switched(sizes, network), **settings})
        training = training or TrainingConfig(batch_size=4)
        folder = tmp_path_factory.mktemp("run")
        if record_set:
            of_records = RecordsConfig.of(record_set)
            config = RunConfig("tiny", record_set.classes, model, training, records=of_records)
            videos = run.draw_videos(record_set, config)
        else:
            config = RunConfig("tiny", ("Bow", "Jump", "Wave"), model, training)
            parts = [{f"v_{k}": f"{k:064x}"} for k in range(3)]
            videos = run.RunVideos("group", "1", 0, 0.2, *parts, {}, leak=0.0, duplicates=0)
        with run.writing(folder, config, videos):
            build_stfnet(model, config.learned).save(folder / run.BEST_FILE)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_run(make_run):
    """Folder of a run of both streams: 32 x 32, three classes."""
    return make_run()


@pytest.fixture(scope="session")
def prepare_squares(write_squares):
    """Function of a folder and groups that makes records of `write_squares`.

    They are prepared as a user prepares them: 32 x 32 pixels, or with other settings if given.
    """
    from preprocessing import records
    from preprocessing.datasets import class_folders
    from preprocessing.preparation import prepare as preparation
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner

    def prepare(folder, groups, **settings):
        write_squares(folder / "videos", groups)
        preparation.prepare(
            class_folders.load(folder / "videos"),
            folder / "records",
            Settings(**{"image_size": 32} | settings),
            local_runner(workers=2, time_limit=300),
        )
        return records.load_record_set(folder / "records")

    return prepare


@pytest.fixture(scope="session")
def tiny_records(prepare_squares, once):
    """Records of 24 videos, 8 groups of 3 classes (see `prepare_squares`)."""
    from preprocessing import records

    folder = once("tiny", lambda folder: prepare_squares(folder, range(1, 9)))
    return records.load_record_set(folder / "records")


@pytest.fixture(scope="session")
def grid_records(prepare_squares, once):
    """As `tiny_records`, of whose videos 3 frames are stored, and flow for L of at most 2."""
    from preprocessing import records

    settings = {"frame_grid": 3, "flow_length": 2}
    folder = once("grid", lambda folder: prepare_squares(folder, range(1, 9), **settings))
    return records.load_record_set(folder / "records")


@pytest.fixture
def damaged_records(tiny_records, tmp_path):
    """A copy of `tiny_records` in which a bit of the third record is wrong."""
    copy = dataclasses.replace(tiny_records, folder=tmp_path / "damaged-records")
    shutil.copytree(tiny_records.folder, copy.folder)
    video = copy.videos[2]
    with copy.shard_paths[video.shard].open("r+b") as shard:
        shard.seek(video.offset + video.length // 2)
        (byte,) = shard.read(1)
        shard.seek(-1, os.SEEK_CUR)
        shard.write(bytes([byte ^ 1]))
    return copy


def _write_vgg16(path, layers):
    """Writes {layer: (kernel, bias)} as keras.applications' files are laid out."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            names = [f"{name}_{kind}_1:0" for kind in "Wb"]
            group = file.create_group(name)
            group.attrs["weight_names"] = [n.encode() for n in names]
            for data_set, array in zip(names, arrays, strict=True):
                group[data_set] = array
    return path


@pytest.fixture(scope="session")
def write_vgg16():
    return _write_vgg16


@pytest.fixture(scope="session")
def vgg16():
    """keras.applications' network for 32 x 32 pixels with random weights, biases included."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(1)
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    rng = np.random.default_rng(1)
    for weight in network.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.normal(0, 0.1, weight.shape))
        else:  # wide enough that 13 layers pass the signal on
            weight.assign(weight * np.sqrt(2.0))
    return network


@pytest.fixture(scope="session")
def notop(request, once):
    """The weights of `vgg16` in a file."""

    def write(folder):
        vgg16 = request.getfixturevalue("vgg16")
        layers = {layer.name: layer.get_weights() for layer in vgg16.layers if layer.weights}
        path = _write_vgg16(folder / "notop.h5", layers)
        vgg16.load_weights(path)  # Keras itself accepts the layout

    return once("vgg16", write) / "notop.h5"


@pytest.fixture(scope="session")
def frozen_run(tiny_records, notop, once, tmp_path_factory):
    """Folder of a run that was trained on frozen VGG-16s and evaluated."""
    from stfnet import ClipConfig
    from stfnet.config import RecordsConfig, TrainingConfig
    from stfnet.evaluation import evaluate
    from stfnet.networks import SmallDataConfig
    from stfnet.run.config import RunConfig
    from stfnet.training import loop

    model = SmallDataConfig(
        num_classes=3,
        clip=ClipConfig(num_frames=3, flow_length=4, image_size=32),
        lstm_units=4,
        fc6_units=8,
        normalize="all",
        fusion_filters=16,
        map_levels=(3, 4, 5),
        map_norm=True,
        conv_pool=True,
        linear_parts=2,
    )
    training = TrainingConfig(
        learning_rates=(1e-3,),
        max_epochs=(1,),
        frozen_blocks=(5,),
        batch_size=8,
        weights=str(notop),
        temporal_conv1="cross_modality",
        tau_range=(1, 2),
        linear_start=True,
        keep="last",
        optimizer="sgd",
    )
    of_records = RecordsConfig.of(tiny_records)
    config = RunConfig("squares", tiny_records.classes, model, training, records=of_records)

    def train(folder):
        maps = tmp_path_factory.mktemp("maps")
        loop.train(config, tiny_records, folder, features_folder=maps)
        evaluate.evaluate_run(folder, tiny_records)

    return once("frozen", train)


@pytest.fixture(scope="session")
def squares_head(frozen_run, tmp_path_factory):
    """The head of `frozen_run`, in a folder `squares`."""
    from stfnet import run
    from stfnet.evaluation import result_files
    from stfnet.export import head
    from stfnet.inference import prediction

    folder = tmp_path_factory.mktemp("heads") / "squares"
    fingerprint = run.read_videos(frozen_run).fingerprint()
    results = result_files.read_results(frozen_run)
    head.export_head(*prediction.load_run(frozen_run), folder, results, fingerprint)
    return folder


@pytest.fixture(scope="session")
def interlaced_video(tmp_path_factory):
    """Six interlaced frames of 64 x 48 pixels, as camcorders write them."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("interlaced") / "camcorder.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(6):
            image = np.full((48, 64, 3), 40 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path
