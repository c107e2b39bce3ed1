"""Metadata of TensorFlow Datasets, so that `tfds.builder_from_directory` loads a record set."""

import collections
import contextlib
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preprocessing import files, records
from preprocessing.captions import one_line
from preprocessing.records.image_layout import field_shape, frame_shape

FILES = ("dataset_info.json", "features.json", "label.labels.txt")


def write(record_set: records.RecordSet):
    """Writes `dataset_info.json`, `features.json` and the label names beside the shards.

    The set has one split, `videos`, of features `video_id`, `label`, `fps`, `frames`
    (uint8 N x H x W x 3) and `flow` (uint8 (N-1) x 2H x W x 1: the x plane above the y plane). Of
    a grid, frames and fields are those that `frame_numbers` and `field_numbers` name. Where
    TensorFlow Datasets is not installed nothing is written, which a line says.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        logging.warning(
            "%s gets no %s, which TensorFlow Datasets alone reads and writes (%s)",
            record_set.folder,
            ", ".join(FILES),
            error,
        )
        return

    size = record_set.clip["image_size"]
    numbers = ("frame_numbers", "field_numbers") if record_set.clip["frame_grid"] else ()
    image_format = record_set.encoding["image_format"]
    lengths = collections.Counter(video.shard for video in record_set.videos)
    features = {
        "video_id": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=label_names(record_set.classes)),
        "fps": np.float32,
        **{name: tfds.features.Sequence(np.int64) for name in numbers},
        "frames": tfds.features.Sequence(
            tfds.features.Image(shape=frame_shape(size), encoding_format=image_format)
        ),
        "flow": tfds.features.Sequence(
            tfds.features.Image(shape=(*field_shape(size), 1), encoding_format=image_format)
        ),
    }
    # Beside empty files, since it reads names, and shards of two sets may lie there for a moment.
    with tempfile.TemporaryDirectory() as folder:
        for name in record_set.shards:
            (Path(folder) / name).touch()
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder,
            dataset_name=records.dataset_name(record_set.sha256),
            split=records.SPLIT_NAME,
            filetype_suffix="tfrecord",
        )
        split = tfds.core.SplitInfo(
            name=records.SPLIT_NAME,
            shard_lengths=[lengths[index] for index in range(len(record_set.shards))],
            num_bytes=sum(video.length for video in record_set.videos),
            filename_template=template,
        )
        tfds.folder_dataset.write_metadata(
            data_dir=folder,
            features=tfds.features.FeaturesDict(features),
            split_infos=[split],
            description=f"{record_set.title}: frames and optical flow of whole videos.",
            check_data=False,
        )
        for name in FILES:
            files.write_text(record_set.folder / name, (Path(folder) / name).read_text("utf-8"))


def is_written(record_set: records.RecordSet) -> bool:
    """Whether the files are there, and of these shards and classes."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        info, _, labels = ((record_set.folder / name).read_text("utf-8") for name in FILES)
        same_name = json.loads(info)["name"] == records.dataset_name(record_set.sha256)
        return same_name and labels.split("\n") == label_names(record_set.classes)
    return False


def label_names(classes: Sequence[str]) -> list[str]:
    """Class names as TensorFlow Datasets can keep them: one a line, none blank, none twice."""
    names = [one_line(name) or "unnamed" for name in classes]
    count = collections.Counter(names)
    return [
        name if count[name] == 1 else f"{name} (label {label})" for label, name in enumerate(names)
    ]
