"""The programs that are killed, on the smallest set of videos that all of them take."""

import functools
import shutil
from pathlib import Path

import keras
import numpy as np

from experiments.benchmarks import films
from experiments.benchmarks.faults.contents import digests, leftovers, whole_files
from experiments.benchmarks.faults.kills import Killed, Undisturbed, undisturbed
from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from preprocessing.preparation.parts import Preparation
from preprocessing.records.outcomes import NOTES_FILE

IMAGE_SIZE, NUM_FRAMES, GROUPS = 16, 3, range(1, 7)
CONFIG = Path(__file__).parents[2] / "configs" / "synthetic.py"


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
            "--workers=2",
        ]

    def finished(self, folder):
        output = folder / "records"
        if (output / records.METADATA_FILE).is_file():
            return {video.id: "done" for video in records.load_record_set(output).videos}
        settings = conversion.Settings(image_size=IMAGE_SIZE)
        preparation = Preparation(class_folders.load(folder / "videos"), output, settings)
        return {preparation.videos[number].id: "done" for number in preparation.load()}

    def before_repeat(self, folder, done):
        # Emptied, a video that is done cannot be converted again without a failure.
        for path in (folder / "videos").rglob("*.mp4"):
            if path.stem in done:
                path.write_bytes(b"")

    def result(self, folder):
        found = digests(folder / "records")
        found.pop(NOTES_FILE, None)  # has the paths of the videos
        return found


class Train(Killed):
    """experiments.train: complete is each epoch that a checkpoint holds.

    An epoch's row of the history has its speed, so a repeated epoch has another row.
    """

    name = "train"

    def __init__(self, records_folder):
        self.records = records_folder

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
        from stfnet.run import BEST_FILE, CHECKPOINTS_FOLDER, checkpoints

        run = folder / "run"
        whole_files(run / CHECKPOINTS_FOLDER, "*.npz")
        whole_files(run, "*.json")
        whole_files(run, "*.keras")
        checkpoint = checkpoints.load_latest(run / CHECKPOINTS_FOLDER)
        if checkpoint is None:
            return {}
        _, state = checkpoint
        if state["best"] and not (run / BEST_FILE).is_file():
            raise UserError(f"{BEST_FILE} is missing, though a checkpoint has its epoch")
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

    def __init__(self, records_folder, run):
        self.records, self.run = records_folder, run

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


class References:
    """The programs undisturbed, one reading what another wrote; each runs once, when needed.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._done: dict[str, Undisturbed] = {}

    @functools.cached_property
    def videos(self) -> Path:
        """Folder of the videos."""
        films.write_moving_squares(self.folder / "videos", GROUPS)
        return self.folder / "videos"

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.undisturbed("prepare").folder / "records"

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.undisturbed("train").folder / "run"

    @functools.cached_property
    def export(self) -> Path:
        """An export of the run's architecture with other weights: not the run's own export."""
        from stfnet import build_stfnet
        from stfnet.inference import export, prediction

        _, config = prediction.load_run(self.run)
        keras.utils.set_random_seed(1)
        folder = self.folder / "previous" / "export"
        export.export_saved_model(build_stfnet(config.model), config, folder)
        return folder

    def program(self, name: str) -> Killed:
        """The program of a name, with what it reads."""
        if name == "prepare":
            return Prepare(self.videos)
        if name == "train":
            return Train(self.records)
        if name == "evaluate":
            return Evaluate(self.records, self.run)
        return Export(self.run, self.export)

    def undisturbed(self, name: str) -> Undisturbed:
        """The program of a name after it ran to its end."""
        if name not in self._done:
            self._done[name] = undisturbed(self.program(name), self.folder / name)
        return self._done[name]
