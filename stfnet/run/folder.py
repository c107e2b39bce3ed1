"""The folder of a run: the names of its files, its configuration, its lock."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from preprocessing import files
from preprocessing.datasets.titles import titled_name
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet.config import RunConfig, read_json, to_dict
from stfnet.run import checkpoints
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


def read_config(workdir: Path) -> RunConfig:
    """The configuration of a run.

    Raises:
        UserError: it is missing or cannot be read.
    """
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
    """Compares a configuration with that of the run in a folder.

    Raises:
        UserError: they differ; the message names the settings.
    """
    if changed := differences(read_config(workdir), config):
        raise UserError(
            f"{workdir} holds a run of another configuration ({'; '.join(changed[:3])}). Use "
            "another --workdir, or the same settings to resume that run"
        )


def differences(there: RunConfig, now: RunConfig) -> list[str]:
    """A text for each setting in which a configuration differs from that of a folder."""
    # The records may have lost or gained videos since, which changes their title.
    old, new = (
        dict(_flat(to_dict(config))) | {"name": titled_name(config.name)} for config in (there, now)
    )
    return [
        f"{name}: {old.get(name)} there, {value} now"
        for name, value in new.items()
        # Of the records that the run began with: these may have gained videos, or be others.
        if old.get(name) != value and not name.startswith("records.")
    ]


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted name, value) of every setting in nested dictionaries."""
    if not isinstance(value, dict):
        yield prefix, value
        return
    for name, inner in value.items():
        yield from _flat(inner, f"{prefix}.{name}".lstrip("."))


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
