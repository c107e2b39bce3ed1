"""Any video data set of TensorFlow Datasets, written out once as lossless video files."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from preprocessing import files, video
from preprocessing.datasets.catalogue import Catalogue, Video, own_name
from preprocessing.errors import UserError
from preprocessing.splits import SIDES


def load(name: str, folder: Path) -> Catalogue:
    """Reads a data set that has one video and one class-label feature.

    Its own splits `train`, `validation` and `test` become official split "1". It has no groups, and
    does not say how fast a video is, which gets UNKNOWN_FPS.

    Args:
        name: as `tfds.builder` takes it, such as `ucf101/ucf101_1`, or a folder for
            `tfds.builder_from_directory`.
        folder: where the videos are written, each as `CLASS/SPLIT-NUMBER.mkv`; a file there is
            kept if it has the very frames of the video, and replaced otherwise.

    Raises:
        UserError: TFDS does not know or cannot read the set, or it has no such features or no
            videos.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"--source=tfds:{name} needs TensorFlow Datasets ({error}): pip install 'stfnet[cpu]'"
        ) from error
    try:
        if (place := Path(name).expanduser()).is_dir():
            builder = tfds.builder_from_directory(place)
        else:
            builder = tfds.builder(name)
            builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its many data sets raise
        raise UserError(f"tensorflow_datasets cannot prepare {name}: {_reason(error)}") from error
    frames_key, label_key = _feature_keys(name, builder.info.features)
    classes = tuple(builder.info.features[label_key].names)
    folders = [folder / class_name.replace("/", "_") for class_name in classes]
    for folder_of_class in folders:
        files.remove_partial(folder_of_class)
    listed, unlabelled, empty, replaced = [], [], [], 0
    for split in builder.info.splits:
        for index, row in enumerate(_rows(name, builder, split)):
            video_id, label, frames = f"{split}-{index:06d}", int(row[label_key]), row[frames_key]
            if not 0 <= label < len(classes):
                unlabelled.append(video_id)
                continue
            if not len(frames):
                empty.append(video_id)
                continue
            class_name = classes[label]
            path = folders[label] / f"{video_id}{video.LOSSLESS_EXTENSION}"
            replaced += _write(path, frames)
            splits = {"1": SIDES[split]} if split in SIDES else {}
            group = f"{class_name}/{video_id}"
            listed.append(Video(video_id, path, label, class_name, group, splits, ungrouped=True))
    if replaced:
        print(f"{folder} had {replaced} files with other frames than {name}: written again")
    left_out = tuple(
        f"left out: {len(ids)} videos without a {what} ({ids[0]})"
        for what, ids in (("label", unlabelled), ("frame", empty))
        if ids
    )
    if not listed:
        raise UserError(f"{name} has no video of a class ({'; '.join(left_out) or 'it is empty'})")
    return Catalogue(own_name("tfds", builder.name), classes, tuple(listed), left_out)


def _feature_keys(name: str, features: Any) -> tuple[str, str]:
    """The names of the features that hold the frames and the label."""
    import tensorflow_datasets as tfds

    frames = [key for key, kind in features.items() if isinstance(kind, tfds.features.Video)]
    labels = [key for key, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    if len(frames) != 1 or len(labels) != 1:
        found = ", ".join(sorted(features))
        raise UserError(f"{name} has features {found}: one video and one class label are needed")
    channels, dtype = features[frames[0]].shape[-1], np.dtype(features[frames[0]].np_dtype)
    if channels not in (1, 3) or dtype != np.uint8:
        raise UserError(
            f"{name} has videos of {channels} channels of {dtype}: 1 or 3 of uint8 are needed"
        )
    return frames[0], labels[0]


def _rows(name: str, builder: Any, split: str) -> Iterator[dict[str, Any]]:
    """The examples of a split in the order in which they are stored, without reading ahead."""
    import tensorflow_datasets as tfds

    in_order = tfds.ReadConfig(
        interleave_cycle_length=1,
        num_parallel_calls_for_decode=1,
        skip_prefetch=True,
        try_autocache=False,
    )
    total = builder.info.splits[split].num_examples
    try:
        rows = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)
        yield from tqdm(tfds.as_numpy(rows), total=total, desc=f"reading {name} {split}")
    except Exception as error:  # TensorFlow's and TFDS's own
        raise UserError(
            f"tensorflow_datasets cannot read {split} of {name}: {_reason(error)}. Delete"
            f" {builder.data_dir} and make it again"
        ) from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _write(path: Path, frames: np.ndarray) -> bool:
    """Writes a video unless it is there; whether it replaced a file with other frames."""
    frames = np.repeat(frames, 3, axis=3) if frames.shape[3] == 1 else frames
    was_there = path.exists()
    if was_there and _holds(path, frames):
        return False
    video.write_lossless(path, frames)
    return was_there


def _holds(path: Path, frames: np.ndarray) -> bool:
    """Whether a file decodes to these frames, bit for bit."""
    try:
        pairs = itertools.zip_longest(video.read_frames(path), frames)
        return all(np.array_equal(stored, frame) for stored, frame in pairs)
    except video.VideoError:
        return False
