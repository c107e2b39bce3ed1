"""The folder of a run: the names of its files, its configuration, its lock."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet.config import flat, read_json, to_dict
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig
from stfnet.run.videos import Located, RunVideos

CONFIG_FILE = "config.json"
VIDEOS_FILE = "videos.json"
BEST_FILE = "best.keras"
CHECKPOINTS_FOLDER = "checkpoints"
STEPS_FILE = "steps.csv"
HISTORY_FILE = "history.csv"
CURVES_FILE = "curves.png"
TENSORBOARD_FOLDER = "tensorboard"
FEATURES_FOLDER = "features"

FORMAT = 1  # of VIDEOS_FILE
# Settings of training that change how it is computed and not what is learned.
WITHOUT_PART = ("checkpoint_minutes", "remat", "jit_compile")


def read_config(workdir: Path) -> RunConfig:
    """The configuration of a run; a UserError where it is missing or cannot be read."""
    return read_json(RunConfig, Path(workdir) / CONFIG_FILE)


def classes_of(*folders: Path) -> tuple[str, ...]:
    """The classes of the first run in the folders, or of the runs of folds in them; else none."""
    for folder in map(Path, folders):
        for path in (folder / CONFIG_FILE, *sorted(folder.glob(f"*/{CONFIG_FILE}"))):
            if path.is_file():
                return tuple(read_config(path.parent).classes)
    return ()


def read_videos(workdir: Path) -> RunVideos:
    """The videos of a run.

    Raises:
        UserError: `videos.json` is missing, damaged, or not as the run wrote it.
    """
    path = Path(workdir) / VIDEOS_FILE
    try:
        values = json.loads(path.read_text())
        digest = values.pop("sha256")
        if values.pop("format") != FORMAT:
            raise UserError(f"{path} is of another format than this program's, {FORMAT}")
        videos = RunVideos(**values)
        unchanged = videos.sha256 == digest
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it names the videos of the run, without which it is unknown "
            "which ones it was trained on. Copy the whole folder of the run, or train it again"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error}): restore it from a copy of "
            "the run, or train it again"
        ) from error
    if not unchanged:
        raise UserError(
            f"{path} was changed after the run wrote it (its SHA-256 is another): restore it from "
            "a copy of the run, or train it again"
        )
    return videos


def holds(workdir: Path, videos: RunVideos) -> bool:
    """Whether the folder is that of a run of these videos."""
    try:
        return read_videos(workdir).sha256 == videos.sha256
    except UserError:
        return False


def check_learned_videos(
    workdir: Path, videos: RunVideos, located: Located, record_set: RecordSet
) -> None:
    """Checks that a record set still has what the run in a folder learns from.

    Raises:
        UserError: the file of a training or validation video has changed, or one of the two parts
            is gone.
    """
    learned = set(videos.train) | set(videos.val)
    if changed := sorted(learned & set(located.changed)):
        raise UserError(
            f"{record_set.folder}: {len(changed)} training or validation videos of the run in "
            f"{workdir} have another file now (such as {changed[0]}): give the records that it "
            "was started with, or train another run"
        )
    for name in ("train", "val"):
        if not len(getattr(located, name)):
            raise UserError(
                f"{record_set.folder} has none of the {name} videos of the run in {workdir}: "
                "give the records that it was started with"
            )


def has_trained(workdir: Path) -> bool:
    """Whether the folder holds a checkpoint or a network."""
    saved = checkpoints.existing(workdir / CHECKPOINTS_FOLDER)
    return bool(saved) or (workdir / BEST_FILE).exists()


def check_same_config(workdir: Path, config: RunConfig) -> None:
    """Compares a configuration with that of the run in a folder, which it is to resume.

    The number of epochs may change for the stage that the run is in, and for later ones. The error
    names the settings that differ, and what to do.
    """
    there = read_config(workdir)
    changed = _differences(there, config)
    if "training.max_epochs" in changed:
        if reason := _fixed_epochs(workdir, there, config):
            changed["training.max_epochs"] += f": {reason}"
        else:
            del changed["training.max_epochs"]
    if changed:
        more = f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"{workdir} holds a run of another configuration "
            f"({'; '.join(list(changed.values())[:3])}{more}). Give the same settings to resume "
            f"that run, or another --workdir; --config.training.weights={workdir / BEST_FILE} "
            f"--config.split_from={workdir} begins another run with what that one has learned"
        )


def _fixed_epochs(workdir: Path, there: RunConfig, config: RunConfig) -> str:
    """Why a run cannot go on with other numbers of epochs; empty where it can."""
    old, new = there.training.max_epochs, config.training.max_epochs
    if len(old) != len(new):
        return "another number of stages"
    state = checkpoints.latest_state(workdir / CHECKPOINTS_FOLDER)
    if not state:
        return ""
    current = min(state["stage"], len(old) - 1)
    if old[:current] != new[:current]:
        over = "stage 1 is" if current == 1 else f"stages 1 to {current} are"
        return f"{over} over"
    if old[current] == new[current]:
        return ""
    had = sum(row["stage"] == current + 1 for row in state["history"])
    if new[current] < had + (not state["finished"]):
        return f"stage {current + 1} has had {had} epochs: give more"
    if there.training.schedule == "cosine":
        return f"the learning rates that stage {current + 1} has had (schedule=cosine) rest on it"
    return ""


def differences(there: RunConfig, now: RunConfig) -> list[str]:
    """A text for each setting in which a configuration differs from that of a folder.

    Left out are settings that have no part in what is learned, and the name of the records, whose
    videos are known by their digests.
    """
    return list(_differences(there, now).values())


def _differences(there: RunConfig, now: RunConfig) -> dict[str, str]:
    old, new = (flat(to_dict(config)) for config in (there, now))
    ignored = {"name", *(f"training.{name}" for name in WITHOUT_PART)}
    if not now.model.batch_statistics:
        ignored.add("training.accumulation_steps")
    texts = {
        name: f"{name}: {old.get(name)} there, {value} now"
        for name, value in new.items()
        # Of the records that the run began with: these may have gained videos, or be others.
        if name not in ignored and not name.startswith("records.") and old.get(name) != value
    }
    if "classes" in texts:
        pairs = itertools.zip_longest(there.classes, now.classes)
        unequal = [pair for pair in pairs if pair[0] != pair[1]][:3]
        first, second = (
            ", ".join(name for name in names if name) or "none"
            for names in zip(*unequal, strict=True)
        )
        texts["classes"] = f"classes: {first} there, {second} now"
    return texts


@contextlib.contextmanager
def writing(workdir: Path, config: RunConfig, videos: RunVideos) -> Iterator[None]:
    """Holds the folder of a run while the block trains it.

    Makes the folder, deletes what a killed process left half written, and writes `config.json` and
    `videos.json`.

    Raises:
        UserError: another process is training there, or has trained there since `open_videos`, or
            the folder has a file of a run's names that is of none.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with files.locked(workdir, "training"):
        for folder in (workdir, workdir / CHECKPOINTS_FOLDER):
            files.remove_partial(folder)
        if has_trained(workdir):
            check_same_config(workdir, config)
            if read_videos(workdir).sha256 != videos.sha256:
                raise UserError(f"{workdir}: another process began this run: start again")
            files.write_json(workdir / CONFIG_FILE, to_dict(config))
        else:
            _check_begun_or_unclaimed(workdir)
            values = {"format": FORMAT, "sha256": videos.sha256, **dataclasses.asdict(videos)}
            files.write_json(workdir / CONFIG_FILE, to_dict(config))
            files.write_json(workdir / VIDEOS_FILE, values)
        yield


def _check_begun_or_unclaimed(workdir: Path) -> None:
    if not (workdir / CONFIG_FILE).exists():
        names = (VIDEOS_FILE, STEPS_FILE, HISTORY_FILE, CURVES_FILE, TENSORBOARD_FOLDER)
        files.check_unclaimed(workdir, names, "a run")
        return
    try:
        read_config(workdir)
    except UserError as error:
        raise UserError(
            f"{workdir / CONFIG_FILE} is of no run ({error}), and a run would replace it: move it"
            " away, or name another --workdir"
        ) from error


def is_finished(workdir: Path) -> bool:
    """Whether the run has trained to its end."""
    state = checkpoints.latest_state(Path(workdir) / CHECKPOINTS_FOLDER)
    return bool(state and state["finished"])


def network_sha256(workdir: Path) -> str:
    """SHA-256, hexadecimal, of the run's best network."""
    with (Path(workdir) / BEST_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
