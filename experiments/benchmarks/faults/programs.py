"""The programs that are killed, on the smallest set of videos that all of them take."""

import functools
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np

from experiments.benchmarks.faults.contents import digests, leftovers, whole_files
from experiments.benchmarks.faults.kills import Killed, Undisturbed, undisturbed
from preprocessing import records
from preprocessing.datasets import class_folders as class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, parts

IMAGE_SIZE, NUM_FRAMES, GROUPS = 16, 3, 6
CONFIG = Path(__file__).parents[2] / "configs" / "synthetic.py"


def write_videos(folder, groups=GROUPS):
    """Writes mp4 files of 8 to 10 frames of 64 x 48: a square that moves right, left or not."""
    for group in range(1, groups + 1):
        generator = np.random.default_rng(group)
        wall, square = (
            cv2.GaussianBlur(generator.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
            for _ in range(2)
        )
        for name, speed in (("Right", 2), ("Left", -2), ("Still", 0)):
            path = folder / name / f"v_{name}_g{group:02d}_c01.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 20, (64, 48))
            for k in range(8 + group % 3):
                frame = wall.copy()
                left = 20 + speed * k
                frame[12:36, left : left + 24] = square[:24, :24]
                writer.write(frame)
            writer.release()


class Prepare(Killed):
    """experiments.prepare: complete is each video that is done, and at the end the bytes."""

    name = "prepare"

    def __init__(self, videos):
        self.videos = videos

    def begin(self, folder):
        shutil.copytree(self.videos, folder / "videos")

    def command(self, folder):
        return [
            "-m",
            "experiments.prepare",
            f"--source=folder:{folder / 'videos'}",
            f"--output={folder / 'records'}",
            f"--image_size={IMAGE_SIZE}",
            f"--num_frames={NUM_FRAMES}",
            "--workers=2",
        ]

    def finished(self, folder):
        output = folder / "records"
        if (output / records.METADATA_FILE).is_file():
            return {video.id: "done" for video in records.load_record_set(output).videos}
        settings = conversion.Settings(image_size=IMAGE_SIZE)
        made = parts.plan(class_folders.load(folder / "videos"), output, settings)
        return {made.videos[number].id: "done" for number in parts.load_parts(made)}

    def before_repeat(self, folder, done):
        # Emptied, a video that is done cannot be converted again without a failure.
        for path in (folder / "videos").rglob("*.mp4"):
            if path.stem in done:
                path.write_bytes(b"")

    def result(self, folder):
        return digests(folder / "records")


class Train(Killed):
    """experiments.train: complete is each epoch that a checkpoint holds.

    An epoch's row of the history has its speed, so an epoch that was done again has another row.
    """

    name = "train"

    def __init__(self, road_records):
        self.records = road_records

    def command(self, folder):
        changes = {
            "model.width_divisor": 16,
            "model.fc6_units": 8,
            "model.lstm_units": 4,
            "model.clip.image_size": IMAGE_SIZE,
            "model.clip.num_frames": NUM_FRAMES,
            "training.batch_size": 4,
            "training.tau_range": "(1,3)",
            "training.max_epochs": "(8,4)",
            "training.checkpoint_minutes": 0.0,  # after every step
        }
        return [
            "-m",
            "experiments.train",
            f"--config={CONFIG}",
            *(f"--config.{name}={value}" for name, value in changes.items()),
            f"--records={self.records}",
            f"--workdir={folder / 'run'}",
            "--strategy=one",
        ]

    def finished(self, folder):
        from stfnet.run import checkpoints

        run = folder / "run"
        for path in (run / "checkpoints").glob("checkpoint-*.npz"):
            whole_files(path.parent, path.name)
        whole_files(run, "*.json")
        whole_files(run, "*.keras")
        found = checkpoints.load_latest(run / "checkpoints")
        if found is None:
            return {}
        state = found[1]
        if state["best"] and not (run / "best.keras").is_file():
            raise UserError("best.keras is missing, though a checkpoint has its epoch")
        return {f"epoch {k + 1}": row for k, row in enumerate(state["history"])}

    def result(self, folder):
        from stfnet.inference import prediction

        model, _ = prediction.load_run(folder / "run")
        contents = whole_files(folder / "run")
        weights = [np.asarray(variable) for variable in model.weights]  # not the dropout seeds
        return {**contents, "weights of best.keras": weights, "left over": leftovers(folder)}


class Evaluate(Killed):
    """experiments.evaluate: complete is each file of its results."""

    name = "evaluate"

    def __init__(self, road_records, run):
        self.records, self.run = road_records, run

    def begin(self, folder):
        shutil.copytree(self.run, folder / "run")

    def command(self, folder):
        run = folder / "run"
        return ["-m", "experiments.evaluate", f"--workdir={run}", f"--records={self.records}"]

    def finished(self, folder):
        return whole_files(folder / "run")

    def result(self, folder):
        return {**whole_files(folder / "run"), "left over": leftovers(folder)}


class Export(Killed):
    """experiments.export: complete is an export that loads, the previous one or the new one."""

    name = "export"

    def __init__(self, run, previous):
        self.run, self.previous = run, previous

    def begin(self, folder):
        shutil.copytree(self.previous, folder / "export")

    def command(self, folder):
        return [
            "-m",
            "experiments.export",
            f"--workdir={self.run}",
            f"--output={folder / 'export'}",
        ]

    def finished(self, folder):
        self._probabilities(folder)
        return {"an export": "whole"}

    def _probabilities(self, folder):
        from stfnet.inference import export

        if not (folder / "export").is_dir():
            raise UserError("the export is missing")
        model, config = export.load_export(folder / "export")
        return model.predict_on_batch(random_clip(config))

    def result(self, folder):
        return {
            "files": sorted(name for name in digests(folder / "export")),
            "probabilities": self._probabilities(folder),
            "left over": leftovers(folder),
        }


def random_clip(config) -> dict:
    """A batch of one clip of noise for a run's network: `rgb` and `flow`, uint8."""
    generator, clip = np.random.default_rng(0), config.model.clip
    shape = (1, clip.num_frames, clip.image_size, clip.image_size)
    channels = {"rgb": 3, "flow": 2 * clip.flow_length}
    return {name: generator.integers(0, 256, (*shape, c), np.uint8) for name, c in channels.items()}


class Road:
    """The tiny road, undisturbed: each step is run when it is asked for, and once.

    Args:
        folder: for all of it.
    """

    def __init__(self, folder):
        self.folder, self._done = folder, {}

    @functools.cached_property
    def videos(self) -> Path:
        write_videos(self.folder / "videos")
        return self.folder / "videos"

    @property
    def records(self) -> Path:
        return self.undisturbed("prepare").folder / "records"

    @property
    def run(self) -> Path:
        return self.undisturbed("train").folder / "run"

    @functools.cached_property
    def export(self) -> Path:
        """Of the run's architecture with other weights, so that it is not the run's own export."""
        from stfnet import build_stfnet
        from stfnet.inference import export, prediction

        _, config = prediction.load_run(self.run)
        keras.utils.set_random_seed(1)
        folder = self.folder / "previous" / "export"
        export.export_saved_model(build_stfnet(config.model), config, folder)
        return folder

    def program(self, name) -> Killed:
        """The program of a name, with what it reads."""
        if name == "prepare":
            return Prepare(self.videos)
        if name == "train":
            return Train(self.records)
        if name == "evaluate":
            return Evaluate(self.records, self.run)
        return Export(self.run, self.export)

    def undisturbed(self, name) -> Undisturbed:
        """The program of a name when it ran to its end."""
        if name not in self._done:
            self._done[name] = undisturbed(self.program(name), self.folder / name)
        return self._done[name]
