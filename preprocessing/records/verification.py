"""Reads a record set back: checksums, counts, and that every image decodes."""

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from preprocessing import records, worker_pool
from preprocessing.records import grid, tfrecord
from preprocessing.records.image_layout import field_shape, frame_shape, image_shape


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with one video's record, in one line."""

    video_id: str  # empty where the whole set or shard is meant
    shard: str  # file name, or `metadata.json`
    reason: str


def verify(
    record_set: records.RecordSet,
    workers: int,
    time_limit: float = 300.0,
    progress: Callable[[int], None] = lambda videos: None,
) -> list[Fault]:
    """Checks every record of a finished set, its SHA-256 and that of the whole.

    A shard with faults is repaired by deleting it and preparing again.

    Args:
        time_limit: seconds after which a record that is still being checked is given up.
        progress: called with the number of videos checked.

    Returns:
        The faults found, in the order of the shards.
    """
    members: dict[int, list[records.RecordedVideo]] = collections.defaultdict(list)
    for video in record_set.videos:
        members[video.shard].append(video)
    tasks = ((record_set.path_of(some[0]), record_set.clip, some) for some in members.values())
    found: dict[str, list[Fault]] = {}
    for (path, *_), result in worker_pool.run(_check, tasks, workers, time_limit, progress):
        if isinstance(result, worker_pool.Failure):
            result = [Fault("", path.name, f"{result.outcome}: {result.reason}")]
        found[path.name] = result
    in_order = [fault for name in record_set.shards for fault in found.get(name, ())]
    # Where no record differs from its digest, this is the digest of the records as they are.
    classes = () if record_set.of_early_version else record_set.classes
    sha256 = records.set_sha256(record_set.videos, classes)
    if not in_order and record_set.sha256 and sha256 != record_set.sha256:
        reason = f"the SHA-256 of its records is {sha256 or 'unknown'}, it says {record_set.sha256}"
        return [Fault("", records.METADATA_FILE, reason)]
    return in_order


def _check(
    task: tuple[Path, Mapping, list[records.RecordedVideo]], report: Callable[[int], None]
) -> list[Fault]:
    path, clip, videos = task
    faults = []
    for video in videos:
        if reason := _fault_of(path, clip, video):
            faults.append(Fault(video.id, path.name, reason))
        report(1)
    return faults


def _fault_of(path: Path, clip: Mapping, video: records.RecordedVideo) -> str | None:
    """What is wrong with the record of one video of a set, or None."""
    try:
        data = records.read_bytes(path, video.offset, video.length)
        example = records.view_example(tfrecord.data_of(memoryview(data)))
    except ValueError as error:
        return str(error)
    sha256 = hashlib.sha256(data).hexdigest()
    if video.record_sha256 and sha256 != video.record_sha256:
        return f"its SHA-256 is {sha256}, the metadata say {video.record_sha256}"
    if (example["video_id"], example["label"]) != (video.id, video.label):
        return (
            f"holds {example['video_id']} of label {example['label']}, the metadata say {video.id}"
            f" of label {video.label}"
        )
    frames, flow = example["frames"], example["flow"]
    size = clip["image_size"]
    needed = grid.stored(video.num_frames, clip["frame_grid"], clip["flow_length"])
    held = example["frame_numbers"], example["field_numbers"]
    if [list(numbers) for numbers in held] != [numbers.tolist() for numbers in needed]:
        of_grid = f" and frame_grid={clip['frame_grid']}" if clip["frame_grid"] else ""
        return (
            f"holds {len(frames)} frames and {len(flow)} flow fields, the metadata say"
            f" {video.num_frames} frames{of_grid}"
        )
    return _check_images("frame", frames, frame_shape(size)) or _check_images(
        "flow field", flow, field_shape(size)
    )


def _check_images(kind: str, images: list[memoryview], needed: tuple[int, ...]) -> str | None:
    for index, image in enumerate(images):
        try:
            shape = image_shape(image)
        except ValueError:
            return f"{kind} {index} does not decode"
        if shape != needed:
            return f"{kind} {index} is of shape {shape}, needed is {needed}"
    return None
