"""Any video data set of TensorFlow Datasets, written out once as folders of images."""

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preprocessing import files
from preprocessing.datasets.catalogue import Catalogue, Video, own_name
from preprocessing.errors import UserError
from preprocessing.splits import SIDES

_DONE_FILE = ".done"


def load(name: str, folder: Path) -> Catalogue:
    """Reads a data set that has one video and one class-label feature.

    Its own splits `train`, `validation` and `test` become official split "1" (others are in no
    part). It has no groups, so each video is its own.

    Args:
        name: as `tfds.builder` takes it, such as `ucf101/ucf101_1`, or a folder for
            `tfds.builder_from_directory`.
        folder: where each video becomes a folder of png images; those there are kept.

    Raises:
        UserError: TFDS does not know or cannot read the set, or it has no such features.
    """
    import tensorflow_datasets as tfds

    try:
        if Path(name).is_dir():
            builder = tfds.builder_from_directory(name)
        else:
            builder = tfds.builder(name)
            builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its many data sets raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"tensorflow_datasets cannot prepare {name}: {reason}") from error
    features = builder.info.features
    videos = [key for key, kind in features.items() if isinstance(kind, tfds.features.Video)]
    labels = [key for key, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    if len(videos) != 1 or len(labels) != 1:
        raise UserError(
            f"{name} has features {', '.join(features)}: one video and one class label are needed"
        )
    classes = tuple(features[labels[0]].names)
    listed = []
    for split, info in builder.info.splits.items():
        dataset = builder.as_dataset(split=split, shuffle_files=False)
        rows = enumerate(tfds.as_numpy(dataset))
        for index, row in tqdm(rows, total=info.num_examples, desc=f"reading {name} {split}"):
            video_id = f"{split}-{index:06d}"
            label = int(row[labels[0]])
            path = folder / classes[label] / video_id
            _write_images(path, row[videos[0]])
            splits = {"1": SIDES[split]} if split in SIDES else {}
            group = f"{classes[label]}/{video_id}"
            listed.append(
                Video(video_id, path, label, classes[label], group, splits, ungrouped=True)
            )
    return Catalogue(own_name("tfds", builder.name), classes, tuple(listed))


def _write_images(folder: Path, frames: np.ndarray):
    """Writes frames, uint8 (N, H, W, 3) RGB, as numbered png images."""
    import cv2

    done = folder / _DONE_FILE
    if done.is_file() and json.loads(done.read_text()) == list(frames.shape):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        path = folder / f"{number:06d}.png"
        with files.writing(path) as file:
            file.write(cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes())
    files.write_text(done, json.dumps(list(frames.shape)))
