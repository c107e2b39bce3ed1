"""Every program on a run of every recipe, small: each ends with status 0 and writes its output.

A process runs all cells of a program, since its start takes longer than most of them. Left out:

- prepare and demo, which have no run yet; test_prepare.py and test_demo.py run them.
- model.streams=auto, which test_selection.py tries;
- ablate and compare --study where they train what train does; test_ablate.py and test_commands.py
  train more.
- all but train and evaluate on networks that differ in numbers alone;
- the second and later cells of a program (TensorFlow Serving, several clips, timing, a timeline) on
  all but a few networks;
- ONNX and LiteRT of STFNet, which test_runtimes.py and test_commands.py convert.
"""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
from server_process import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

GROUPS = range(1, 7)  # of videos; the first two are the official test part
SIZES = {
    "model.clip.image_size": 16,
    "model.clip.num_frames": 3,
    "training.batch_size": 4,
}
UNITS = {"model.fc6_units": 8, "model.lstm_units": 4}
SHORT = {"model.width_divisor": 32, "training.max_epochs": "(1,1)"}
NARROW = SHORT | UNITS | {"model.clip.num_frames": 2}
WITHOUT_VGG16 = {
    "training.weights": "",
    "training.temporal_conv1": "random",
    "training.accumulation_steps": 2,
}
BASELINE = WITHOUT_VGG16 | SHORT
# Name -> file of experiments/configs, and what is changed in it.
RECIPES = {
    "synthetic": ("synthetic.py", NARROW),
    "paper": ("paper.py", NARROW | WITHOUT_VGG16),
    "modern": ("modern.py", NARROW | WITHOUT_VGG16),
    "real_videos": (
        "real_videos.py",
        UNITS
        | {
            "model.streams": "both",
            "model.clip.num_frames": 4,
            "training.frame_grid": 4,
            "training.max_epochs": "(1,)",
            "training.weights": "{vgg16}",
        },
    ),
    "scratch": ("real_videos.py:scratch", NARROW),
    "tsn": ("baselines.py:tsn", BASELINE),
    "lrcn": ("baselines.py:lrcn", BASELINE | UNITS),
    "c3d": ("baselines.py:c3d", BASELINE | {"model.fc6_units": 8}),
    "rgb": ("synthetic.py", NARROW | {"model.streams": "rgb"}),
    "flow": ("synthetic.py", NARROW | {"model.streams": "flow"}),
}
MODEL = "--model={run} --output={output}"
EXPORT = "--workdir={run} --output={output}"
RESULTS = "--workdir={run} --records={records}"
UNLIKE = ("paper", "real_videos", "tsn", "lrcn", "c3d", "flow")  # networks of other layers
EXPORTED = (*UNLIKE, "rgb")
BASELINES = ("tsn", "lrcn", "c3d")
ONE_EACH = ("real_videos", "tsn", "c3d", "flow")  # of frames and flow, of frames, of flow
STUDY = "{settings} --records={records} --output={output} --seeds=1 {cache}"
# Program -> its cells: name -> flags, files that must be there afterwards, and recipes if not all.
PROGRAMS = {
    "train": {
        "train": ("{settings} --workdir={run} --records={records} {cache}", "{run}/best.keras"),
    },
    "evaluate": {
        "evaluate": (RESULTS, "{run}/results.json {run}/predictions.csv"),
        "baselines": (
            f"{RESULTS} --baselines --baseline_weights={{vgg16}} --output={{output}}",
            "{output}/results.json",
            ("synthetic", "real_videos", "flow"),
        ),
        "maps": (
            f"{RESULTS} --baselines --baseline_weights={{vgg16}} --cache=features"
            " --output={output}",
            "{output}/results.json {run}/features",
            ("real_videos",),
        ),
        "clips": (
            f"{RESULTS} --num_clips=2 --flip",
            "{run}/results-2clips-flip.json",
            ONE_EACH,
        ),
        "timing": (
            f"{RESULTS} --timing",
            "{run}/timing.json",
            ("synthetic", "real_videos", "lrcn", "c3d", "flow"),
        ),
    },
    "report": {
        "report": (f"{RESULTS} --clips=2 --output={{output}}", "{output}/report.html", EXPORTED),
    },
    "explain": {
        "explain": (f"{MODEL} --video={{video}}", "{output}/explanation.png", EXPORTED),
    },
    "features": {
        "features": (
            "--network={run} --records={records} --output={output}",
            "{output}/index.csv",
            ("synthetic", "real_videos", "c3d", "flow"),
        ),
        "pooled": (
            "--network={run} --records={every_frame} --output={output} --pooled",
            "{output}/index.csv",
            EXPORTED,
        ),
    },
    "export": {
        "saved_model": (EXPORT, "{output}/saved_model.pb {output}/classes.txt", EXPORTED),
        "serving": (
            f"{EXPORT} --format=serving",
            "{output}/models.config",
            ("real_videos", "rgb"),
        ),
        "onnx": (
            f"{EXPORT} --format=onnx --records={{records}} --clips=2",
            "{output}/network.onnx",
            BASELINES,
        ),
        "litert": (f"{EXPORT} --format=litert --clips=2", "{output}/network.tflite", BASELINES),
    },
    "predict": {
        "predict": (
            f"{MODEL} --video={{video}}",
            "{output}/prediction.json {output}/annotated.mp4",
            EXPORTED,
        ),
        "images": (f"{MODEL} --video={{images}}", "{output}/prediction.json", ONE_EACH),
        "timeline": (f"{MODEL} --video={{video}} --timeline", "{output}/timeline.csv", ONE_EACH),
        "live": (f"{MODEL} --live={{video}}", "{output}/annotated.mp4", ONE_EACH),
        "predict_export": (
            "--model={saved_model} --output={output} --video={video}",
            "{output}/prediction.json",
            EXPORTED,
        ),
    },
    "compare": {
        "compare": ("--results={run} --output={output}", "{output}/comparison.md"),
        "study": (
            f"{STUDY} --study=baselines --baselines=tsn --rate_factors=1",
            "{output}/baselines.md",
            ("real_videos",),
        ),
    },
    "ablate": {
        "ablate": (
            f"{STUDY} --study=fusion_init",
            "{output}/fusion_init.md",
            ("real_videos", "tsn"),
        ),
        "ablate_streams": (
            f"{STUDY} --study=streams",
            "{output}/streams.md",
            ("c3d",),
        ),
    },
    "inspect_records": {
        "inspect": (
            "--records={records} --output={output}",
            "{output}/summary.html",
            ("synthetic", "real_videos"),
        ),
    },
}
NEEDED = {"report": ["evaluate"], "predict": ["export"], "compare": ["evaluate"]}
PACKAGES = {"onnx": "tf2onnx", "litert": "ai_edge_litert"}
C3D = "the network c3d"
GRID = "records hold 4 frames of each video, and features are of every frame: prepare again"
# What cannot be done, and a part of the line that says so.
REFUSED = {
    ("explain", "c3d"): f"{C3D} has no map of each frame",
    ("features", "c3d"): f"a run of {C3D}, which has no features of single frames",
    ("pooled", "c3d"): f"a run of {C3D}, which has no features of single frames",
    ("features", "real_videos"): GRID,
    ("ablate", "real_videos"): "as a stream's map has channels, 1280, not 16",
    ("ablate", "tsn"): "the study fusion_init needs model.network=stfnet or small_data, not tsn",
    ("ablate_streams", "c3d"): "no setting streams",
    ("study", "real_videos"): "the study baselines needs model.linear_parts=0",
}
CELLS = [
    (program, cell, recipe)
    for program, cells in PROGRAMS.items()
    for cell, (_, _, *only) in cells.items()
    for recipe in (only[0] if only else RECIPES)
]


class Matrix:
    """The cells, each program started once, also where several workers of pytest ask for it."""

    def __init__(self, folder, prepare_squares, notop, run_often):
        self.folder, self.run_often, self.vgg16 = folder, run_often, folder / "vgg16.h5"
        self._prepare, self._notop = prepare_squares, notop

    @contextlib.contextmanager
    def alone(self):
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def prepare(self):
        """Records, weights and videos, in the form that the recipes' docstrings command."""
        if self.vgg16.exists():
            return
        motion = {"resize": "motion"}
        prepared = {"stretch": {}, "motion": motion, "grid": motion | {"frame_grid": 4}}
        for name, settings in prepared.items():
            videos = self.folder / name / "videos"
            videos.mkdir(parents=True)
            rows = [
                f"{kind}/v_{kind}_g{group:02d}_c01.mp4,{'test' if group < 3 else 'train'}"
                for group in GROUPS
                for kind in ("Right", "Left", "Still")
            ]
            (videos / "splits.csv").write_text("\n".join(["video,split", *rows]))
            self._prepare(self.folder / name, GROUPS, image_size=16, **settings)
        film = self.folder / "stretch" / "videos" / "Right" / "v_Right_g01_c01.mp4"
        shutil.copy(film, self.folder / "film.mp4")
        _write_images(self.folder / "film.mp4", self.folder / "pictures")
        shutil.copy(self._notop, self.vgg16)

    def places(self, cell, recipe):
        grid = recipe == "real_videos"
        file, changed = RECIPES[recipe]
        settings = {name: str(v).format(vgg16=self.vgg16) for name, v in (SIZES | changed).items()}
        return {
            "settings": " ".join(
                [
                    f"--config=experiments/configs/{file}",
                    *(f"--config.{name}={value}" for name, value in settings.items()),
                ]
            ),
            "cache": "--cache=features" if grid else "--cache=memory",
            "records": self.folder / ("grid" if grid else "stretch") / "records",
            "every_frame": self.folder / ("motion" if grid else "stretch") / "records",
            "run": self.folder / "train" / recipe,
            "saved_model": self.folder / "saved_model" / recipe,
            "output": self.folder / cell / recipe,
            "vgg16": self.vgg16,
            "videos": self.folder / "stretch" / "videos",
            "video": self.folder / "film.mp4",
            "images": self.folder / "pictures",
        }

    def ends(self, program):
        """{cell of a program: [exit status, printed, errors]}, of all its cells."""
        for needed in [*(["train"] if program != "train" else []), *NEEDED.get(program, [])]:
            self.ends(needed)
        kept = self.folder / f"{program}.json"
        with self.alone():
            if not kept.exists():
                self.prepare()
                cells = {
                    f"{cell}-{recipe}": PROGRAMS[program][cell][0]
                    .format(**self.places(cell, recipe))
                    .split()
                    for owner, cell, recipe in CELLS
                    if owner == program
                }
                ends = self.run_often(program, cells.values(), timeout=1700)
                kept.write_text(json.dumps(dict(zip(cells, ends, strict=True))))
        return json.loads(kept.read_text())


def _write_images(film, folder):
    import cv2

    from preprocessing import video

    folder.mkdir()
    for number, frame in enumerate(video.read_frames(film)):
        cv2.imwrite(str(folder / f"{number:03d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


@pytest.fixture(scope="module")
def matrix(tmp_path_factory, prepare_squares, notop, run_often):
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    return Matrix(folder / "matrix", prepare_squares, notop, run_often)


@pytest.mark.parametrize(("program", "cell", "recipe"), CELLS, ids=["-".join(c[1:]) for c in CELLS])
def test_a_program_does_its_work_on_a_run(matrix, program, cell, recipe):
    if cell in PACKAGES:
        pytest.importorskip(PACKAGES[cell], reason=f"the extra [{cell}] is not installed")
    status, _, errors = matrix.ends(program)[f"{cell}-{recipe}"]
    if refused := REFUSED.get((cell, recipe)):
        assert status == 1 and errors.startswith("error: ") and refused in errors, errors
        assert errors.count("\n") == 1, errors
        return
    assert status == 0, errors
    for path in PROGRAMS[program][cell][1].format(**matrix.places(cell, recipe)).split():
        assert Path(path).stat().st_size > 0


@pytest.mark.parametrize("recipe", EXPORTED)
def test_an_export_says_what_the_run_says(matrix, recipe):
    matrix.ends("predict")
    run, export = (
        {row["class"]: row["probability"] for row in json.loads(file.read_text())["top"]}
        for file in (
            matrix.places(cell, recipe)["output"] / "prediction.json"
            for cell in ("predict", "predict_export")
        )
    )
    assert len(run) == 3 and export == pytest.approx(run, abs=1e-5)


@pytest.mark.parametrize("recipe", ["real_videos", "tsn", "c3d", "flow"])
def test_the_worker_of_a_server_answers_with_a_run(matrix, monkeypatch, tmp_path, recipe):
    pytest.importorskip("pydantic", reason="needs pip install -e '.[serve]'")
    from stfnet.serving import worker

    matrix.ends("train")
    places, opened = matrix.places("serve", recipe), concurrent.futures.Future()
    opened.set_result(worker._open(str(places["run"]), "fast"))
    monkeypatch.setattr(worker, "_opened", opened)
    film = shutil.copy(places["video"], tmp_path)
    answer = worker.recognise(str(film), 60, picture=True, film=True)
    assert set(answer.probabilities) == {"Left", "Right", "Still"}
    # C3D has no maps to explain it with, and without flow the clip is not drawn either.
    assert bool(answer.picture) == (recipe != "c3d")


def test_a_server_answers_with_an_export(matrix, tmp_path):
    pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
    pytest.importorskip("fastapi_offline", reason="needs pip install -e '.[serve]'")
    matrix.ends("export")
    places = matrix.places("serve", "real_videos")
    with started(tmp_path / "tmp", model=places["saved_model"]) as server:
        answer = server.send(places["video"], picture=True, film=True)
        assert answer.status_code == 200, answer.text + server.log.read_text()
        assert set(answer.json()["probabilities"]) == {"Left", "Right", "Still"}
        assert answer.json()["picture"]
        assert server.terminate() == 0, server.log.read_text()
