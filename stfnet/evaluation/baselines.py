"""A baseline that a result must beat: a classifier of scenes, which sees no action."""

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from preprocessing import records

SIDE = 32  # of the median frame that is compared, in pixels


def median_frame(record_set: records.RecordSet, position: int) -> np.ndarray:
    """The median over time of a video's frames: the scene without the action.

    float32 (SIDE * SIDE * 3,), standardised to mean 0 and standard deviation 1.
    """
    video = record_set.videos[position]
    frames = _small_frames(record_set, video)
    # Sorted in place: half an hour of frames is not copied.
    median = np.median(frames, axis=0, overwrite_input=True).astype(np.float32).ravel()
    return (median - median.mean()) / (median.std() + 1e-6)


def _small_frames(record_set, video):
    images = records.read_video(record_set, video)["frames"]
    frames = np.empty((len(images), SIDE, SIDE, 3), np.uint8)
    for k, image in enumerate(images):
        frame = records.decode_frame(image)
        cv2.resize(frame, (SIDE, SIDE), dst=frames[k], interpolation=cv2.INTER_AREA)
    return frames


def nearest_neighbour(
    record_set: records.RecordSet,
    train: Sequence[int] | np.ndarray,
    test: Sequence[int] | np.ndarray,
) -> float:
    """Top-1 of giving each test video the class of the training video with the most similar scene.

    `train` and `test` are positions in `record_set.videos`. It is high on a split that leaks, where
    clips of one scene are in both parts.
    """
    known, tested = (
        np.stack([median_frame(record_set, k) for k in tqdm(part, unit="video", leave=False)])
        for part in (train, test)
    )
    labels = np.array([video.label for video in record_set.videos])
    nearest = np.asarray(train)[nearest_rows(known, tested)]
    return float(np.mean(labels[nearest] == labels[np.asarray(test)]))


def nearest_rows(known: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Index of the row of `known` (N, F) that is nearest to each row of `tested` (M, F): int64
    (M,).

    The table of distances is computed in pieces: 0.3 GB of memory suffice for UCF101.
    """
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(tested, known)
