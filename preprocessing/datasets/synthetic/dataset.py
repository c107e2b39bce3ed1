"""Synthetic actions: a data set of articulated figures that anyone can render in a minute.

Clips are real mp4 files named as in UCF101, `<Class>/v_<Class>_g07_c01.mp4`. Clips of one group
share figure, clothes, surroundings and camera style, and a group number means the same look in
every class, so a split by whole groups tests on people and places never seen in training. The
classes, and why neither frames nor flow alone can name them, are in `actions`.
"""

import json
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from preprocessing import files
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.synthetic.actions import ACTIONS, CLASSES, motion
from preprocessing.datasets.synthetic.figure import Look, Stage, draw_scene, random_look
from preprocessing.datasets.synthetic.scene import (
    Scene,
    backdrop,
    camera_path,
    expose,
    random_scene,
)
from preprocessing.errors import UserError

_RENDERER = 3  # raise it with any change to the frames, so that old and new clips never mix
_SETTINGS = "synthetic.json"


def render_clip(class_name: str, group: int, clip: int, seed: int = 0) -> np.ndarray:
    """Renders one clip. The same arguments give the same bytes, in any process and order.

    Args:
        group: number of the look: figure, clothes, surroundings, camera style.
        clip: number of the performance in its class and group.

    Returns:
        uint8 (N, 128, 128, 3) RGB frames, N from 28 to 40.
    """
    look, scene = _group_style(seed, group)
    rng = np.random.default_rng((seed, group, zlib.crc32(class_name.encode()), clip))
    poses = motion(class_name, look.body, rng)
    path = camera_path(scene, rng, len(poses))
    gain = rng.uniform(0.92, 1.08)
    prop = ACTIONS[class_name].prop
    frames = []
    for pose, corner in zip(poses, path, strict=True):
        canvas = backdrop(scene, 0.0 if prop == "ladder" else pose.travel)
        draw_scene(Stage(canvas, scene.origin, scene.height), look, pose, prop)
        frames.append(expose(scene, canvas, corner, gain, rng))
    return np.stack(frames)


def write_dataset(
    folder: str | Path,
    seed: int = 0,
    groups: int = 24,
    clips_per_group: int = 1,
    classes: tuple[str, ...] = CLASSES,
    workers: int | None = None,
) -> Catalogue:
    """Renders the data set into a folder; clips already there are kept, so it can be resumed.

    Args:
        groups: looks to render, numbered from 1.
        clips_per_group: clips of each class in each group, numbered from 1.
        workers: processes; None for one a core. 1 renders in this process.

    Returns:
        The catalogue of the clips asked for, with groups `g07` and the like and no official
        splits.

    Raises:
        UserError: a class is unknown, or the folder holds clips of another seed or renderer.
    """
    folder = Path(folder)
    unknown = sorted(set(classes) - set(CLASSES))
    if unknown:
        raise UserError(f"unknown synthetic classes {unknown}; choose from {list(CLASSES)}")
    _claim(folder, {"renderer": _RENDERER, "seed": seed})
    for class_name in classes:
        files.remove_partial(folder / class_name)
    wanted = [
        (class_name, group, clip)
        for class_name in classes
        for group in range(1, groups + 1)
        for clip in range(1, clips_per_group + 1)
    ]
    missing = [clip for clip in wanted if not _path(folder, *clip).exists()]
    write = partial(_write_clip, folder, seed)
    bar = partial(tqdm, total=len(missing), desc="Rendering", unit="clip", disable=None)
    workers = min(workers or os.cpu_count() or 1, max(len(missing), 1))
    if workers == 1:
        for clip in bar(missing):
            write(clip)
    else:
        # Forking a process that runs TensorFlow's threads can hang, so workers are spawned.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for _ in bar(pool.map(write, missing, chunksize=2)):
                pass
    classes = tuple(sorted(classes))
    videos = (_video(folder, classes, clip) for clip in wanted)
    return Catalogue("synthetic", classes, tuple(sorted(videos, key=lambda video: video.path)))


def _group_style(seed: int, group: int) -> tuple[Look, Scene]:
    """Everything that the clips of a group share."""
    rng = np.random.default_rng((seed, group))
    return random_look(rng), random_scene(rng)


def _path(folder: Path, class_name: str, group: int, clip: int) -> Path:
    return folder / class_name / f"v_{class_name}_g{group:02d}_c{clip:02d}.mp4"


def _claim(folder: Path, settings: dict[str, int]) -> None:
    """Notes seed and renderer in the folder, or refuses a folder that holds others."""
    path = folder / _SETTINGS
    if path.exists():
        stored = json.loads(path.read_text())
        if stored != settings:
            raise UserError(
                f"{path}: the folder holds clips of {stored}, asked for {settings}; "
                "choose another folder or delete this one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(path, settings)


def _write_clip(folder: Path, seed: int, clip: tuple[str, int, int]) -> None:
    """Renders and encodes one clip under a hidden name, then gives it its own."""
    cv2.setNumThreads(1)  # the work is already spread over processes
    path = _path(folder, *clip)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = render_clip(*clip, seed)
    fps = _group_style(seed, clip[1])[1].fps
    size = frames.shape[2], frames.shape[1]

    def write(partial):
        writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        if not writer.isOpened():
            raise UserError(f"{partial}: OpenCV cannot write mp4v video here")
        for frame in frames:
            writer.write(frame[..., ::-1])
        writer.release()

    files.write_with(path, write)


def _video(folder: Path, classes: tuple[str, ...], clip: tuple[str, int, int]) -> Video:
    path, (class_name, group, _) = _path(folder, *clip), clip
    return Video(path.stem, path, classes.index(class_name), class_name, f"g{group:02d}", {})
