"""An annotated video: the frames, the flow that the network read, and what it recognised."""

import base64
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from preprocessing import files, flow, video
from preprocessing.captions import draw_text
from preprocessing.flow.colors import flow_to_color, frames_above_flow, scale_of
from stfnet import sampling
from stfnet.config import ClipConfig

# Size of the pictures, in pixels: small videos are enlarged, to be readable, large ones reduced.
LEAST_HEIGHT, LARGEST_HEIGHT = 360, 480
LARGEST_WIDTH = 640
CAPTION, TIMELINE, PANEL, MARGIN = 34, 44, 300, 12
BARS = 5  # classes shown
SHOWN_FRAMES, CELL = 6, 132  # of a clip in one picture; side of each in pixels

BACKGROUND, TEXT, MUTED, ACCENT, TRACK = (
    (24, 26, 31),
    (240, 240, 240),
    (150, 155, 165),
    (76, 175, 240),
    (52, 56, 64),
)


def picture_size(height: int, width: int) -> tuple[int, int]:
    """The size (height, width), both even, at which frames of a given size are drawn."""
    scale = np.clip(height, LEAST_HEIGHT, LARGEST_HEIGHT) / height
    scale = min(scale, LARGEST_WIDTH / width)
    height, width = (max(2, 2 * round(side * scale / 2)) for side in (height, width))
    return height, width


def draw_panel(
    height: int, ranking: Sequence[tuple[str, float]], notes: Sequence[str] = ()
) -> np.ndarray:
    """Draws the side panel: label, probability bars of the first BARS classes, and a few lines of
    notes.

    The ranking is (class name, probability), best first. Returns uint8 (height, PANEL, 3), RGB.
    """
    panel = np.full((height, PANEL, 3), BACKGROUND, np.uint8)
    inside, ranking = PANEL - 2 * MARGIN, ranking[:BARS]
    if ranking:
        draw_text(panel, ranking[0][0], MARGIN, 36, 26, TEXT, weight=600, width=inside)
        draw_text(panel, f"{ranking[0][1]:.1%}", MARGIN, 66, 20, ACCENT, 500)
    for k, (name, probability) in enumerate(ranking):
        top = 92 + 46 * k
        draw_text(panel, name, MARGIN, top + 12, 15, TEXT, width=inside - 60)
        percent = f"{probability:.1%}"
        draw_text(panel, percent, MARGIN, top + 12, 15, MUTED, width=inside, right=True)
        bar = slice(top + 19, top + 27)
        panel[bar, MARGIN : MARGIN + inside] = TRACK
        panel[bar, MARGIN : MARGIN + round(inside * probability)] = ACCENT if k == 0 else MUTED
    for k, note in enumerate(reversed(notes)):
        draw_text(panel, note, MARGIN, height - 8 - 20 * k, 14, MUTED, width=inside)
    return panel


def draw_timeline(
    width: int, num_frames: int, sampled: Sequence[int], number: int, label: str | None = None
) -> np.ndarray:
    """Draws the video as a line, the sampled frames as ticks and frame `number` as a dot.

    All numbers are from 0; the text at the end is "number / num_frames", from 1, unless a label is
    given. Returns uint8 (TIMELINE, width, 3), RGB.
    """
    strip = np.full((TIMELINE, width, 3), BACKGROUND, np.uint8)
    length = width - 2 * MARGIN - 110

    def position(frame: int) -> int:
        return MARGIN + round(length * frame / max(num_frames - 1, 1))

    middle = TIMELINE // 2
    strip[middle - 2 : middle + 2, MARGIN : MARGIN + length] = TRACK
    strip[middle - 2 : middle + 2, MARGIN : position(number)] = MUTED
    for frame in sampled:
        x = position(frame)
        strip[middle - 8 : middle + 8, x - 1 : x + 2] = ACCENT if frame <= number else MUTED
    cv2.circle(strip, (position(number), middle), 6, TEXT, -1, cv2.LINE_AA)
    label = label or f"{number + 1} / {num_frames}"
    draw_text(strip, label, width - MARGIN - 90, middle + 5, 14, MUTED, width=90, right=True)
    return strip


def compose(
    pictures: Sequence[tuple[str, np.ndarray]],
    panel: np.ndarray,
    timeline_of: Callable[[int], np.ndarray],
) -> np.ndarray:
    """Puts captioned pictures and the panel side by side, and the timeline below them.

    The pictures are uint8 (H, W, 3), all of one height, the panel (H + CAPTION, PANEL, 3);
    `timeline_of` draws at the width in pixels that it is given. Returns uint8 (H + CAPTION +
    TIMELINE, W', 3), RGB.
    """
    columns = []
    for caption, picture in pictures:
        head = np.full((CAPTION, picture.shape[1], 3), BACKGROUND, np.uint8)
        draw_text(head, caption, MARGIN, 22, 15, MUTED, width=picture.shape[1] - 2 * MARGIN)
        columns.append(np.concatenate([head, picture]))
    body = np.concatenate([*columns, panel], axis=1)
    return np.concatenate([body, timeline_of(body.shape[1])])


def color_fields(clip_inputs: Mapping, clip: ClipConfig) -> dict[int, np.ndarray]:
    """Draws each distinct flow field of a clip of `read_clip`.

    Returns field number -> uint8 (H, W, 3), RGB; empty where no flow was read.
    """
    if "flow" not in clip_inputs:
        return {}
    numbers = sampling.flow_indices(
        clip_inputs["frame_numbers"], clip_inputs["num_frames"], clip.flow_length
    )
    frames, height, width, _ = clip_inputs["flow"].shape
    planes = clip_inputs["flow"].reshape(frames, height, width, clip.flow_length, 2)  # t h w l xy
    displacements = flow.decode(planes.transpose(0, 3, 1, 2, 4), clip.flow_bound)
    scale = scale_of(displacements)
    return {
        number: flow_to_color(field, scale)
        for number, field in zip(
            numbers.ravel().tolist(), displacements.reshape(-1, height, width, 2), strict=True
        )
    }


def draw_clip(rgb: np.ndarray, fields: np.ndarray, clip: ClipConfig) -> np.ndarray:
    """Draws a clip: sampled frames in order, and under each the flow from it to the next frame.

    `rgb` is uint8 (T, H, W, 3), the encoded fields (T, L, 2, H, W). Returns uint8 (2 CELL, K CELL,
    3), RGB, of at most SHOWN_FRAMES frames spread over the clip.
    """
    shown = np.unique(np.linspace(0, len(rgb) - 1, SHOWN_FRAMES).round().astype(int))
    at_frame = np.moveaxis(fields[shown, clip.flow_length // 2], 1, -1)  # k xy h w -> k h w xy
    displacements = flow.decode(at_frame, clip.flow_bound)
    return frames_above_flow(rgb[shown], displacements, scale_of(displacements), CELL)


def to_png(picture: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, 3), RGB, as the content of a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def data_url(kind: str, content: bytes) -> str:
    """Bytes of a media type as the address of an element of a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def enlarge(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a picture: by cubic interpolation where it grows, by area where it shrinks."""
    grows = height * width > image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return cv2.resize(image, (width, height), interpolation=interpolation)


def draw_frame(frame: np.ndarray, window: video.Window | None) -> np.ndarray:
    """Draws a whole frame, uint8 (H, W, 3), and the edge of the window of it that the network
    reads, if it does.

    Returns uint8 (*picture_size(H, W), 3), RGB.
    """
    height, width = picture_size(*frame.shape[:2])
    picture = enlarge(frame, height, width)
    if window:
        down, across = height / frame.shape[0], width / frame.shape[1]
        bottom, right = window.top + window.side, window.left + window.side
        first = (round(window.left * across), round(window.top * down))
        last = (round(right * across) - 1, round(bottom * down) - 1)
        cv2.rectangle(picture, first, last, ACCENT, 2)
    return picture


def write_annotated(
    path: Path,
    source: Path,
    clip_inputs: Mapping,
    clip: ClipConfig,
    ranking: Sequence[tuple[str, float]],
) -> None:
    """Writes the annotated video of one prediction, `.mp4` or `.webm`, whole or not at all.

    The flow shown is what the network read: for a frame without a field in the clip, the last field
    before it. Where it reads a window of the frame, the window's edge is drawn. `clip_inputs` is
    what `read_clip` returned for the source, the ranking (class name, probability), best first.
    """
    colored = color_fields(clip_inputs, clip)
    fields = np.array(sorted(colored))
    sampled = clip_inputs["frame_numbers"].tolist()
    notes = (f"{clip_inputs['num_frames']} frames, {len(set(sampled))} sampled",)

    def write(temporary: Path) -> None:
        chosen = video.Selection(clip.fps, clip.repeats)
        frames = video.read_frames(source, square=True, selection=chosen)
        panel = None
        with video.VideoWriter(temporary, clip_inputs["fps"]) as writer:
            for number, frame in enumerate(frames):
                pictures = [("video", draw_frame(frame, clip_inputs["window"]))]
                height, width = pictures[0][1].shape[:2]
                if panel is None:
                    panel = draw_panel(height + CAPTION, ranking, notes)
                if len(fields):
                    field = int(fields[np.searchsorted(fields, number, side="right") - 1])
                    caption = f"optical flow, frame {field + 1} to {field + 2}"
                    across = width if clip.resize == "stretch" else height
                    pictures.append((caption, enlarge(colored[field], height, across)))
                timeline_of = functools.partial(
                    draw_timeline,
                    num_frames=clip_inputs["num_frames"],
                    sampled=sampled,
                    number=number,
                )
                writer.write(compose(pictures, panel, timeline_of))

    files.write_with(path, write)
