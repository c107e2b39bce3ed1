"""A baseline that a result must beat: a classifier of scenes, which sees no action."""

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from preprocessing import records

SIDE = 32  # of the median frame that is compared, in pixels


def median_frame(record_set: records.RecordSet, position: int) -> np.ndarray:
    """The median over time of a video's frames: the scene without the action.

    Args:
        record_set: of the records.
        position: in `record_set.videos`.

    Returns:
        float32 (SIDE * SIDE * 3,), standardised to mean 0 and standard deviation 1.
    """
    video = record_set.videos[position]
    frames = _small_frames(record_set, video)
    # Sorted in place: half an hour of frames is not copied.
    median = np.median(frames, axis=0, overwrite_input=True).astype(np.float32).ravel()
    return (median - median.mean()) / (median.std() + 1e-6)


def _small_frames(record_set, video):
    """All frames of a video, uint8 (N, SIDE, SIDE, 3), RGB."""
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

    It is high on a split that leaks, where clips of one scene are in both parts.

    Args:
        record_set: of the records.
        train, test: positions in `record_set.videos`.

    Returns:
        The fraction of test videos whose nearest training video, by Euclidean distance of the
        median frames, is of the same class.
    """
    known, tested = (
        np.stack([median_frame(record_set, k) for k in tqdm(part, unit="video", leave=False)])
        for part in (train, test)
    )
    labels = np.array([video.label for video in record_set.videos])
    nearest = np.asarray(train)[nearest_rows(known, tested)]
    return float(np.mean(labels[nearest] == labels[np.asarray(test)]))


def nearest_rows(known: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Index of the row of `known` that is nearest to each row of `tested`, by Euclidean distance.

    The table of distances is computed in pieces: 0.3 GB of memory suffice for UCF101.

    Args:
        known: float (N, F).
        tested: float (M, F).

    Returns:
        int64 (M,).
    """
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(tested, known)
