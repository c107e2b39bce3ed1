"""Dividing the videos of a new run into training, validation and test, once, when it starts."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path

from preprocessing import splits
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet
from stfnet.run.config import RunConfig
from stfnet.run.folder import BEST_FILE, VIDEOS_FILE, check_same_config, has_trained, read_videos
from stfnet.run.videos import PARTS, RunVideos, locate


def open_videos(workdir: Path, config: RunConfig, record_set: RecordSet) -> RunVideos:
    """The videos of the run in a folder, or those of a new run; writes nothing.

    Raises:
        UserError: the folder holds a run of another configuration (the message names what
            differs), or a new run's videos cannot be divided.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"{workdir} is a file: name a folder for the run")
    if not has_trained(workdir):
        return draw_videos(record_set, config)
    check_same_config(workdir, config)
    return read_videos(workdir)


def draw_videos(record_set: RecordSet, config: RunConfig) -> RunVideos:
    """Divides the videos of a record set into the parts of a new run.

    The protocol divides training from test. Validation is then cut from the training part by whole
    groups: `training.validation_fraction` of each class's videos, or `validation_fold`, so that
    selecting an epoch leaks nothing. An official list's own validation part takes the place of the
    fraction; with fraction 0 or a fold it is part of training. With fraction 0 the validation part
    is the test part (as in the paper; the results say so). With `split_from`, the videos of that
    run keep their parts, and the protocol divides the others; folds divide the training and
    validation videos of both.

    Raises:
        UserError: a part would be empty, or the starting weights have seen a test video.
    """
    part_of = _assigned(record_set, config)
    parts = {
        part: {v.id: v.source_sha256 for v in record_set.videos if part_of.get(v.id) == part}
        for part in PARTS
    }
    if not config.training.held_back:
        parts["val"] = parts["test"]
    for name, members in parts.items():
        if not members:
            raise UserError(
                f"{record_set.folder}: the {name} part of the split (protocol {config.protocol}, "
                f"fold {config.fold}) is empty; more videos or another protocol are needed"
            )
    leak, duplicates = _leaks(record_set, part_of)
    videos = RunVideos(
        protocol=config.protocol,
        fold=config.fold,
        split_seed=config.split_seed,
        validation_fraction=config.training.held_back,
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


def _assigned(record_set: RecordSet, config: RunConfig) -> dict[str, str]:
    """Video id -> `train`, `val` or `test`; videos of no part are left out."""
    kept = _kept_parts(record_set, config) if config.split_from else {}
    rest = [video for video in record_set.videos if video.id not in kept]
    assigned = _divided(rest, config, config.protocol, splits.TEST_FRACTION)
    fraction = config.training.validation_fraction
    listed = "val" in assigned.values()
    if config.training.validation_fold:
        assigned |= kept
        training = [v for v in record_set.videos if assigned.get(v.id) in ("train", "val")]
        part, _, parts = config.training.validation_fold.partition("/")
        folds = splits.group_folds(training, int(parts), config.split_seed)
        validated = int(part) - 1
        sides = {v.id: "val" if folds[v.id] == validated else "train" for v in training}
        return assigned | sides
    if listed and not fraction:
        assigned = {name: "test" if side == "test" else "train" for name, side in assigned.items()}
    elif fraction and not listed:
        training = [video for video in rest if assigned.get(video.id) == "train"]
        sides = _divided(training, config, "group", fraction)
        assigned |= {name: "val" for name, side in sides.items() if side == "test"}
    return {**assigned, **kept}


def _divided(
    videos: Sequence[RecordedVideo], config: RunConfig, protocol: str, test_fraction: float
) -> dict[str, str]:
    """As `splits.assign`, but with `split_from` there may be few videos or none.

    A single new clip, or the only new group of a class, goes to training as a whole; videos that no
    official list names go to no part.
    """
    assigned: dict[str, str] = {}
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
    return assigned | splits.assign(videos, protocol, config.fold, config.split_seed, test_fraction)


def _kept_parts(record_set: RecordSet, config: RunConfig) -> dict[str, str]:
    earlier = read_videos(Path(config.split_from))
    if bool(earlier.validation_fraction) != bool(config.training.held_back):
        raise UserError(
            f"split_from={config.split_from}: that run has training.validation_fraction="
            f"{earlier.validation_fraction}, this one {config.training.held_back}; "
            "either both have a validation part or none has"
        )
    located = locate(earlier, record_set)
    kept: dict[str, str] = {}
    part_of_group: dict[str, str] = {}
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
    for k in located.copies:  # a copy of a video in no part is divided as a new one
        file = record_set.videos[k].source_sha256
        if file in part_of_file:
            kept[record_set.videos[k].id] = part_of_file[file]
    for video in record_set.videos:
        if video.id not in kept and video.group in part_of_group:
            kept[video.id] = part_of_group[video.group]
    return kept


def _leaks(record_set: RecordSet, part_of: Mapping[str, str]) -> tuple[float, int]:
    sides = {name: "test" if part == "test" else "train" for name, part in part_of.items()}
    trained = {v.source_sha256 for v in record_set.videos if sides.get(v.id) == "train"} - {""}
    tested = [v.source_sha256 for v in record_set.videos if sides.get(v.id) == "test"]
    return splits.leak(record_set.videos, sides), sum(digest in trained for digest in tested)


def _seen_by(weights: str) -> dict[str, str]:
    """Every video that starting weights were trained or selected on: id -> SHA-256 of its file."""
    if not weights.endswith(".keras"):
        return {}
    path = Path(weights).parent / VIDEOS_FILE
    if not path.is_file():
        raise UserError(
            f"{path} is missing, which names the videos that {weights} was trained on: without it "
            f"a test video might be one of them. Give {BEST_FILE} in the folder of its run"
        )
    return read_videos(path.parent).learned_from()


def _check_starting_weights(videos: RunVideos):
    digests = set(videos.seen.values()) - {""}
    seen = sorted(
        name for name, digest in videos.test.items() if name in videos.seen or digest in digests
    )
    if seen:
        start = Path(videos.weights).parent
        way_out = f"Keep that run's parts with --config.split_from={start}, or start"
        if not read_videos(start).validation_fraction:
            way_out = "That run selected its epoch on its own test part: start"
        raise UserError(
            f"{len(seen)} of the {len(videos.test)} test videos (such as {seen[0]}) were in "
            f"training or validation of {videos.weights}: a test on them says nothing about new "
            f"videos. {way_out} from other weights. If they are other videos of the same name, "
            "rename them"
        )
