"""Clips of tested videos as short films for a page: frames, flow, and what was recognised."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np

from preprocessing import flow, records, video
from preprocessing.captions import draw_text
from preprocessing.flow.colors import flow_to_color, scale_of
from preprocessing.records.reader import RecordReader
from stfnet.clips import input_pipeline, plans
from stfnet.config import ClipConfig
from stfnet.drawing.annotation import BACKGROUND, MARGIN, MUTED, TEXT, TRACK, enlarge
from stfnet.explanation import attribution
from stfnet.explanation.pictures import overlay
from stfnet.run.config import RunConfig

FILM_TYPE = "video/webm"  # VP8: plays in Chromium, Firefox and Safari, without licensed encoders
FPS = 4.0  # sampled frames are far apart, and are shown slowly enough to be looked at
SIDE, HEAD, FOOT = 224, 72, 30  # pixels: of a picture, and of the lines above and below
GOOD, BAD = (110, 205, 150), (255, 130, 115)


@dataclasses.dataclass(frozen=True)
class Film:
    """A clip as the page plays it.

    Attributes:
        film: WebM file with VP8.
        poster: JPEG of its middle frame.
        size: (height, width) in pixels.
    """

    film: bytes
    poster: bytes
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Recognised:
    """What is written on a clip: the true class, the predicted one, and its probability."""

    truth: str
    predicted: str
    probability: float


def films(
    record_set: records.RecordSet,
    config: RunConfig,
    recognised: Mapping[str, Recognised],
    network: keras.Model | None = None,
) -> Iterator[tuple[str, Film]]:
    """Makes the films of test clips (Eqs. 13-14), one after the other.

    Args:
        record_set: of the records.
        config: of the run.
        recognised: id of a video -> what is written on it; ids that the records lack are left out.
        network: of the run, for Grad-CAM of the predicted class as a third picture; None for
            frames and flow alone.

    Yields:
        (id, film), in the order of `recognised`.

    Raises:
        UserError: the records do not fit the run, or are damaged.
    """
    place = {video.id: k for k, video in enumerate(record_set.videos)}
    ids = [name for name in recognised if name in place]
    if not ids:
        return
    plans.check_records(record_set, config)
    clip = config.model.clip
    network = attribution.in_float32(network) if network is not None else None
    plan = plans.plan_evaluation(record_set, np.array([place[name] for name in ids]), clip, 1)
    reader = RecordReader(record_set)
    batches = input_pipeline.clip_dataset(record_set, plan, clip, 1, reader=reader)
    with input_pipeline.naming_damage(reader):
        for name, batch in zip(ids, batches, strict=True):
            cam = None
            if network is not None:
                target = config.classes.index(recognised[name].predicted)
                cam = _grad_cam(network, batch, target)
            rgb, fields = batch["rgb"][0].numpy(), batch["fields"][0].numpy()
            yield name, encode(draw(rgb, fields, clip, recognised[name], cam))


def draw(
    rgb: np.ndarray,
    fields: np.ndarray,
    clip: ClipConfig,
    recognised: Recognised,
    cam: np.ndarray | None = None,
) -> np.ndarray:
    """Draws each sampled frame beside the flow from it to the next frame, with truth and answer.

    Args:
        rgb: uint8 (T, H, W, 3).
        fields: uint8 (T, L, 2, H, W), encoded.
        clip: the clip configuration.
        recognised: written above the pictures.
        cam: Grad-CAM, float (T, h, w), at least 0; drawn over the frames as a third picture.

    Returns:
        uint8 (T, HEAD + SIDE + FOOT, 2 SIDE or 3 SIDE, 3), RGB.
    """
    at_frame = np.moveaxis(fields[:, clip.flow_length // 2], 1, -1)  # t xy h w -> t h w xy
    displacements = flow.decode(at_frame, clip.flow_bound)
    colored = flow_to_color(displacements, scale_of(displacements))
    width = SIDE * (2 if cam is None else 3)
    head = _draw_head(recognised, width)
    frames = []
    for t, frame in enumerate(rgb):
        pictures = [enlarge(frame, SIDE, SIDE), enlarge(colored[t], SIDE, SIDE)]
        names = [f"frame {t + 1} of {len(rgb)}", "flow to the next frame"]
        if cam is not None:
            pictures.append(overlay(frame, cam[t], float(cam.max()), SIDE, SIDE))
            names.append(f"Grad-CAM of {recognised.predicted}")
        foot = np.full((FOOT, width, 3), BACKGROUND, np.uint8)
        for k, name in enumerate(names):
            draw_text(foot, name, k * SIDE + MARGIN, 19, 15, MUTED, width=SIDE - 2 * MARGIN)
        foot[-3:] = TRACK
        foot[-3:, : round(width * (t + 1) / len(rgb))] = TEXT
        frames.append(np.concatenate([head, np.concatenate(pictures, axis=1), foot]))
    return np.stack(frames)


def _draw_head(recognised: Recognised, width: int) -> np.ndarray:
    head = np.full((HEAD, width, 3), BACKGROUND, np.uint8)
    right = recognised.truth == recognised.predicted
    probability = f"{recognised.probability:.1%}"
    lines: Sequence[tuple[str, str, tuple[int, int, int]]] = (
        ("truth", recognised.truth, TEXT),
        ("answer", f"{recognised.predicted}  {probability}", GOOD if right else BAD),
    )
    for k, (name, value, color) in enumerate(lines):
        baseline = 28 + 30 * k
        draw_text(head, name, MARGIN, baseline, 18, MUTED)
        draw_text(head, value, MARGIN + 72, baseline, 22, color, 600, width - 72 - 2 * MARGIN)
    return head


def encode(frames: np.ndarray) -> Film:
    """Encodes RGB frames, uint8 (T, H, W, 3) with even H and W, as a film.

    Raises:
        UserError: PyAV was built without VP8.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.webm"
        writer = video.VideoWriter(path, FPS)
        try:
            for frame in frames:
                writer.write(frame)
        finally:
            writer.close()
        film = path.read_bytes()
    middle = cv2.cvtColor(frames[len(frames) // 2], cv2.COLOR_RGB2BGR)
    poster = cv2.imencode(".jpg", middle, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return Film(film, poster, frames.shape[1:3])


def _grad_cam(network: keras.Model, batch: Mapping, target: int) -> np.ndarray:
    """Grad-CAM of a class on the clip of a batch of one, float32 (T, h, w)."""
    inputs = input_pipeline.network_inputs(batch)
    fused = attribution.fuse(network, {name: inputs[name][0] for name in network.input})
    return attribution.grad_cam(network, fused, target)
