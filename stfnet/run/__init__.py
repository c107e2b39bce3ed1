"""The folder of a run: the names of its files, its configuration, and the videos that it knows.

Which videos a run trains, validates and tests on is drawn once, when it starts, and written to
`videos.json`. Whatever loads the run afterwards reads it from there and compares it with the
records at hand; nothing is ever drawn again under a trained network.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from preprocessing import files, splits
from preprocessing.errors import UserError
from stfnet.config import RunConfig, read_json, to_dict
from stfnet.run import checkpoints

CONFIG_FILE = "config.json"
VIDEOS_FILE = "videos.json"
BEST_FILE = "best.keras"
CHECKPOINTS_FOLDER = "checkpoints"
STEPS_FILE, HISTORY_FILE, CURVES_FILE = "steps.csv", "history.csv", "curves.png"
TENSORBOARD_FOLDER = "tensorboard"

PARTS = ("train", "val", "test")
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class RunVideos:
    """The videos of a run, by part, each id with the SHA-256 of its file ("" where unknown).

    Attributes:
        protocol, fold, split_seed, validation_fraction: how they were divided. With fraction 0
            the validation part is the test part.
        train, val, test: the parts.
        unused: videos that were there and that the protocol puts into no part.
        leak: share of test videos with a sibling (same class and group) in training or validation.
        duplicates: test videos whose very file is also in training or validation.
        records: SHA-256 of the record set at the start.
        weights: what the run started from, as `training.weights`.
        seen: videos that the starting weights, and those that they started from, were trained or
            chosen on.
    """

    protocol: str
    fold: str
    split_seed: int
    validation_fraction: float
    train: Mapping[str, str]
    val: Mapping[str, str]
    test: Mapping[str, str]
    unused: Mapping[str, str]
    leak: float
    duplicates: int
    records: str = ""
    weights: str = ""
    seen: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Digest of the parts: of the lines `part TAB id TAB SHA-256 of the file`, sorted."""
        lines = sorted(
            f"{part}\t{name}\t{digest}\n"
            for part in (*PARTS, "unused", "seen")
            for name, digest in getattr(self, part).items()
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def learned_from(self) -> dict[str, str]:
        """Every video that the run's weights were ever trained or chosen on: id -> SHA-256.

        Where the starting weights knew another file under an id, both are kept: the older under
        its id and SHA-256.
        """
        ours = {**self.val, **self.train}
        older = {
            f"{name} {digest}" if digest and ours.get(name, digest) != digest else name: digest
            for name, digest in self.seen.items()
        }
        return {**older, **ours}

    def warnings(self) -> list[str]:
        """One line for each way in which the run's figures would promise too much."""
        lines = []
        if self.duplicates:
            lines.append(
                f"{self.duplicates} test videos are in training or validation under another name "
                "(the very same file): remove the copies, or the test says too much"
            )
        if known := sorted(set(self.val) & set(self.seen)):
            lines.append(
                f"{len(known)} validation videos (such as {known[0]}) are known to the starting "
                "weights: validation will look better than new videos"
            )
        return lines

    def certificate(self) -> dict:
        """What stands beside every figure of the run, as JSON values."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "split_seed": self.split_seed,
            "validation_fraction": self.validation_fraction,
            "videos": {part: len(getattr(self, part)) for part in PARTS},
            "parts_sha256": self.sha256,
            "leak": self.leak,
            "duplicates": self.duplicates,
            "records_sha256": self.records,
            "starting_weights": self.weights,
            "seen_by_starting_weights": sorted(self.seen),
        }


@dataclasses.dataclass(frozen=True)
class Located:
    """A run's videos in a record set, which may have changed since the run started.

    Attributes:
        train, val, test, unused: int64 positions in `record_set.videos`, ascending.
        unseen: positions of the videos that the run knows nothing of.
        seen: positions of those in no part that the starting weights were trained or chosen on.
        copies: positions of further videos with a file that the run knows; in no part.
        lost: ids of the run's parts that the records no longer have.
        changed: ids whose file is not the one that the run knew under that id.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    unused: np.ndarray
    unseen: np.ndarray
    seen: np.ndarray
    copies: np.ndarray
    lost: tuple[str, ...]
    changed: tuple[str, ...]

    def notes(self, record_set) -> list[str]:
        """One line for each way in which the records differ from those of the run."""

        def names(positions):
            return [record_set.videos[k].id for k in positions]

        lines = []
        for what, found in (
            ("are new since the run started and in no part of it", names(self.unseen)),
            ("are copies of others that the run knows, and in no part of it", names(self.copies)),
            ("of the run are not in these records any more", self.lost),
            ("have another file now than when the run started", self.changed),
        ):
            if found:
                shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
                lines.append(f"{len(found)} videos {what}: {shown}")
        return lines


def draw_videos(record_set, config: RunConfig) -> RunVideos:
    """Divides the videos of a record set into the parts of a new run.

    The protocol divides training from test; validation is then cut from the training part by
    whole groups, `training.validation_fraction` of each class's videos, so that choosing an epoch
    leaks nothing. With fraction 0 the validation part is the test part (the paper's way; said in
    the results). With `split_from`, the videos of that run keep their parts, and the protocol
    divides the others.

    Raises:
        UserError: a part would be empty, or the starting weights have seen a test video.
    """
    part_of = _assigned(record_set, config)
    parts = {
        part: {v.id: v.source_sha256 for v in record_set.videos if part_of.get(v.id) == part}
        for part in PARTS
    }
    if not config.training.validation_fraction:
        parts["val"] = parts["test"]
    for name, videos in parts.items():
        if not videos:
            raise UserError(
                f"{record_set.folder}: the {name} part of the split (protocol {config.protocol}, "
                f"fold {config.fold}) is empty; more videos or another protocol are needed"
            )
    leak, duplicates = _leaks(record_set, part_of)
    videos = RunVideos(
        protocol=config.protocol,
        fold=config.fold,
        split_seed=config.split_seed,
        validation_fraction=config.training.validation_fraction,
        **parts,
        unused={v.id: v.source_sha256 for v in record_set.videos if v.id not in part_of},
        leak=leak,
        duplicates=duplicates,
        records=record_set.sha256,
        weights=config.training.weights,
        seen=_seen_by(config.training.weights),
    )
    _check_starting_weights(videos)
    return videos


def _assigned(record_set, config: RunConfig) -> dict[str, str]:
    """Video id -> `train`, `val` or `test`; videos of no part are left out."""
    kept = _kept_parts(record_set, config) if config.split_from else {}
    rest = [video for video in record_set.videos if video.id not in kept]
    assigned = _divided(rest, config, config.protocol, splits.TEST_FRACTION)
    fraction = config.training.validation_fraction
    if fraction:
        training = [video for video in rest if assigned.get(video.id) == "train"]
        held = _divided(training, config, "group", fraction)
        assigned |= {name: "val" for name, side in held.items() if side == "test"}
    return {**assigned, **kept}


def _divided(videos, config: RunConfig, protocol, share) -> dict[str, str]:
    """As `splits.assign`, but beside `split_from` there may be few videos or none.

    A single new clip, or a class of one new group, goes to training whole; videos that no official
    list names go to no part.
    """
    assigned = {}
    if config.split_from and protocol == "group":
        groups = collections.defaultdict(set)
        for video in videos:
            groups[video.class_name].add(video.group)
        assigned = {v.id: "train" for v in videos if len(groups[v.class_name]) < 2}
        videos = [video for video in videos if video.id not in assigned]
    if config.split_from and protocol == "official":
        videos = [video for video in videos if config.fold in video.splits]
    if config.split_from and protocol == "paper" and len(videos) == 1:
        return {videos[0].id: "train"}
    if not videos:
        return assigned
    return assigned | splits.assign(videos, protocol, config.fold, config.split_seed, share)


def _kept_parts(record_set, config: RunConfig) -> dict[str, str]:
    """Parts of the videos that `split_from` knows, and of new ones in their groups."""
    earlier = read_videos(config.split_from)
    if bool(earlier.validation_fraction) != bool(config.training.validation_fraction):
        raise UserError(
            f"split_from={config.split_from}: that run has training.validation_fraction="
            f"{earlier.validation_fraction}, this one {config.training.validation_fraction}; "
            "either both have a validation part or none has"
        )
    located = locate(earlier, record_set)
    kept, part_of_group = {}, {}
    for part, positions in (  # training comes last and wins where a group is on both sides
        ("test", located.test),
        ("val", located.val if earlier.validation_fraction else ()),
        ("train", [*located.seen, *located.train]),
    ):
        for k in positions:
            kept[record_set.videos[k].id] = part
            part_of_group[record_set.videos[k].group] = part
    part_of_file = {
        video.source_sha256: kept[video.id] for video in record_set.videos if video.id in kept
    }
    for k in located.copies:  # of a video in no part: divided as a new one
        if part := part_of_file.get(record_set.videos[k].source_sha256):
            kept[record_set.videos[k].id] = part
    for video in record_set.videos:
        if video.id not in kept and video.group in part_of_group:
            kept[video.id] = part_of_group[video.group]
    return kept


def _leaks(record_set, part_of) -> tuple[float, int]:
    """(`RunVideos.leak`, `RunVideos.duplicates`)."""
    sides = {name: "test" if part == "test" else "train" for name, part in part_of.items()}
    trained = {v.source_sha256 for v in record_set.videos if sides.get(v.id) == "train"} - {""}
    tested = [v.source_sha256 for v in record_set.videos if sides.get(v.id) == "test"]
    return splits.leak(record_set.videos, sides), sum(digest in trained for digest in tested)


def _seen_by(weights: str) -> dict[str, str]:
    """Every video that starting weights were trained or chosen on: id -> SHA-256 of its file."""
    if not weights.endswith(".keras"):
        return {}
    path = Path(weights).parent / VIDEOS_FILE
    if not path.is_file():
        raise UserError(
            f"{path} is missing, which names the videos that {weights} was trained on: without it "
            "a test video might be one of them. Give best.keras in the folder of its run"
        )
    return read_videos(path.parent).learned_from()


def _check_starting_weights(videos: RunVideos):
    shas = set(videos.seen.values()) - {""}
    again = sorted(name for name, sha in videos.test.items() if name in videos.seen or sha in shas)
    if again:
        start = Path(videos.weights).parent
        way_out = f"Keep that run's parts with --config.split_from={start}, or start"
        if not read_videos(start).validation_fraction:
            way_out = "That run chose its epoch on its own test part: start"
        raise UserError(
            f"{len(again)} of the {len(videos.test)} test videos (such as {again[0]}) were in "
            f"training or validation of {videos.weights}: a test on them says nothing of new "
            f"videos. {way_out} from other weights. If they are other videos of the same name, "
            "rename them"
        )


def locate(videos: RunVideos, record_set) -> Located:
    """Finds a run's videos in a record set, by id and file, or by either alone.

    A video with the file of one that the run knows and that is gone is that video under a new id.
    One more of a file that is still there is a copy: it is in no part, as it would count twice. A
    video with a known id and a new file keeps its part and is named in `changed`.
    """
    known, names_of_file = {}, collections.defaultdict(list)
    # Training comes last and wins where an id is in several parts.
    for part in ("unused", "seen", *reversed(PARTS)):
        known |= {name: (part, digest) for name, digest in getattr(videos, part).items()}
    for name, (_, digest) in known.items():
        if digest:
            names_of_file[digest].append(name)
    file_of = {video.id: video.source_sha256 for video in record_set.videos}
    moved = {  # of each file: who had it and has it no more
        digest: [name for name in names if file_of.get(name) != digest]
        for digest, names in names_of_file.items()
    }
    positions = {name: [] for name in (*PARTS, "unused", "seen", "unseen", "copies")}
    found, changed = set(), []
    for k, video in enumerate(record_set.videos):
        name, ours = video.id, video.source_sha256
        part, digest = known.get(name, ("unseen", None))
        if ours and digest != ours and ours in names_of_file:
            name = moved[ours].pop() if moved[ours] else None
            part = known[name][0] if name else "copies"
        elif ours and digest and digest != ours:
            changed.append(name)
        found.add(name)
        positions[part].append(k)
    if not videos.validation_fraction:
        positions["val"] = positions["test"] = sorted(positions["val"] + positions["test"])
    lost = {name for part in PARTS for name in getattr(videos, part)} - found
    return Located(
        **{name: np.array(where, np.int64) for name, where in positions.items()},
        lost=tuple(sorted(lost)),
        changed=tuple(changed),
    )


def read_config(workdir: Path) -> RunConfig:
    """The configuration of a run.

    Raises:
        UserError: it is missing or does not read.
    """
    return read_json(RunConfig, Path(workdir) / CONFIG_FILE)


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
            f"{path} is missing: it names the videos of the run, without which nobody can tell "
            "which ones it was trained on. Copy the whole folder of the run, or train it again"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not read ({type(error).__name__}: {error}): restore it from a copy of "
            "the run, or train it again"
        ) from error
    if not unchanged:
        raise UserError(
            f"{path} was changed after the run wrote it (its SHA-256 is another): restore it from "
            "a copy of the run, or train it again"
        )
    return videos


def open_videos(workdir: Path, config: RunConfig, record_set) -> RunVideos:
    """The videos of the run in a folder, or those of a new run; nothing is written.

    Raises:
        UserError: the folder holds a run of another configuration (the message names what
            differs), or a new run's videos cannot be divided.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"{workdir} is a file: name a folder for the run")
    if not _has_trained(workdir):
        return draw_videos(record_set, config)
    _check_same_config(workdir, config)
    return read_videos(workdir)


def _has_trained(workdir: Path) -> bool:
    """Whether the folder holds anything that a run has learned."""
    learned = checkpoints.existing(workdir / CHECKPOINTS_FOLDER)
    return bool(learned) or (workdir / BEST_FILE).exists()


def _check_same_config(workdir, config):
    there = read_config(workdir)
    old, new = dict(_flat(to_dict(there))), dict(_flat(to_dict(config)))
    changed = [f"{name}: {old.get(name)} there, {new[name]} now" for name in new]
    changed = [line for line, name in zip(changed, new, strict=True) if old.get(name) != new[name]]
    if changed:
        raise UserError(
            f"{workdir} holds a run of another configuration ({'; '.join(changed[:3])}). Use "
            "another --workdir, or the same settings to go on with that run"
        )


def _flat(value, prefix="") -> Iterable[tuple]:
    if not isinstance(value, dict):
        yield prefix, value
        return
    for name, inner in value.items():
        yield from _flat(inner, f"{prefix}.{name}".lstrip("."))


@contextlib.contextmanager
def writing(workdir: Path, config: RunConfig, videos: RunVideos) -> Iterator[None]:
    """Holds the folder of a run while the block trains it.

    Makes the folder, clears away what a killed process left half written, and writes
    `config.json` and `videos.json`.

    Raises:
        UserError: another process is training there, or has trained there since `open_videos`.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with files.locked(workdir, "training"):
        for folder in (workdir, workdir / CHECKPOINTS_FOLDER):
            files.remove_partial(folder)
        if _has_trained(workdir):
            _check_same_config(workdir, config)
            if read_videos(workdir).sha256 != videos.sha256:
                raise UserError(f"{workdir}: another process began this run: start again")
        else:
            values = {"format": FORMAT, "sha256": videos.sha256, **dataclasses.asdict(videos)}
            files.write_json(workdir / VIDEOS_FILE, values)
            files.write_json(workdir / CONFIG_FILE, to_dict(config))
        yield


def is_finished(workdir: Path) -> bool:
    """Whether the run has trained to its end."""
    state = checkpoints.latest_state(Path(workdir) / CHECKPOINTS_FOLDER)
    return bool(state and state["finished"])


def network_sha256(workdir: Path) -> str:
    """SHA-256, hexadecimal, of the run's best network."""
    with (Path(workdir) / BEST_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def holds(workdir: Path, videos: RunVideos) -> bool:
    """Whether the folder is that of a run of these videos."""
    try:
        return read_videos(workdir).sha256 == videos.sha256
    except UserError:
        return False
