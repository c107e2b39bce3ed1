"""An explanation as pictures: feature maps, and the clip with Grad-CAM, flow and importance.

Frames are drawn as the network reads them, in the proportions of the video. On pictures frames and
channels are counted from 1.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from preprocessing import video
from preprocessing.captions import draw_text
from stfnet.drawing.annotation import ACCENT, BACKGROUND, MARGIN, MUTED, TEXT, TRACK, enlarge
from stfnet.explanation.attribution import LINEAR, MAPS, Explanation, FrameImportance

CHANNELS = 6  # shown of each layer, the first (Fig. 7)
WIDTH = 1500  # pixels that frames side by side take at most
# Pixels: height of a picture, limits of its width, between pictures, of the labels at the left.
CELL, NARROWEST, WIDEST, GAP, LABELS = 132, 96, 236, 6, 160
HEAD, LINE, BARS = 72, 22, 76  # pixels: of the heading, a line of text, the bars of a branch
LEAST_WIDTH = 640  # of the picture of a clip, so that its text fits
LEFT_OUT, GRADIENT = ACCENT, (240, 150, 70)  # colours of the bars


@dataclasses.dataclass(frozen=True)
class ShownClip:
    """A clip as it is drawn."""

    frames: np.ndarray  # uint8 (T, H, W, 3), RGB, as the network reads them
    # Flow from each frame to the next, coloured, as the frames; None where the network reads none.
    fields: np.ndarray | None
    numbers: tuple[int, ...]  # of the frames in the video, from 0
    num_frames: int  # of the video
    fps: float  # frames a second of the video
    whole: bool  # whether they are whole frames of the video, stretched, else a square out of them
    aspect: float  # width of the drawn frames by their height
    window: video.Window | None = None  # that the clip shows; None for the whole or the middle
    selection: video.Selection | None = None  # which frames `numbers` count; None for all
    notes: tuple[str, ...] = ()  # a line for whatever of the video was repaired or is damaged
    times: Sequence[float] = ()  # of the video's frames, in seconds


def cell_width(aspect: float) -> int:
    """Width in pixels of a picture of height CELL; `aspect` is a video's width by its height."""
    return int(np.clip(round(CELL * aspect), NARROWEST, WIDEST))


def heat(values: np.ndarray, largest: float) -> np.ndarray:
    """Colours a map, float (h, w), from black (0) over red to light yellow (`largest`): uint8 (h,
    w, 3).

    Where `largest` is 0, all is black.
    """
    levels = np.clip(values / largest if largest > 0 else values * 0, 0, 1)
    bgr = cv2.applyColorMap(np.rint(255 * levels).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def overlay(
    frame: np.ndarray, cam: np.ndarray, largest: float, height: int, width: int
) -> np.ndarray:
    """Draws a Grad-CAM map over its frame in grey: the larger a value, the less frame is seen.

    The frame is uint8 (H, W, 3), RGB, the map float (h, w), at least 0, enlarged linearly;
    `largest` is drawn brightest, such as the largest value of the clip. Returns uint8 (height,
    width, 3), RGB.
    """
    grey = cv2.cvtColor(enlarge(frame, height, width), cv2.COLOR_RGB2GRAY)[..., None]
    cam = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.clip(cam / largest if largest > 0 else cam * 0, 0, 1)[..., None]
    opacity = 0.85 * np.sqrt(share)
    mixed = (1 - opacity) * 0.75 * grey + opacity * heat(share[..., 0], 1.0)
    return np.rint(mixed).astype(np.uint8)


def draw_bars(
    strip: np.ndarray,
    centers: Sequence[int],
    importance: FrameImportance,
    largest: float,
    bar: int,
) -> None:
    """Draws how much frames count into a strip: up for the class, down against it.

    The strip is uint8 (H, W, 3), with 0 in the middle; the centres are the x of each frame, in
    pixels. `largest` is the absolute value whose bar reaches the edge, such as `limit(importance)`,
    and `bar` the width of a bar, of which a frame has two.
    """
    middle = len(strip) // 2
    strip[middle, max(min(centers) - bar, 0) : max(centers) + bar] = MUTED
    for values, color, left in (
        (importance.left_out, LEFT_OUT, -bar),
        (importance.gradient, GRADIENT, 0),
    ):
        for center, value in zip(centers, values.tolist(), strict=True):
            length = round(middle * value / largest) if largest > 0 else 0
            rows = slice(middle - length, middle) if length > 0 else slice(middle, middle - length)
            strip[rows, max(center + left, 0) : max(center + left + bar, 0)] = color


def title(branch: str) -> str:
    """What a branch is called: `conv branch`, `fc branch`, `linear path`, `streams' maps`."""
    if branch == MAPS:
        return "streams' maps"
    return f"{branch} {'path' if branch == LINEAR else 'branch'}"


def limit(importance: FrameImportance) -> float:
    """The largest absolute value of a branch, by either measure."""
    return float(max(np.abs(importance.left_out).max(), np.abs(importance.gradient).max()))


def scale(importance: FrameImportance) -> str:
    """The scale of a branch's bars in words."""
    return f"bars to ±{limit(importance):.2g}"


def draw_feature_maps(explanation: Explanation, clip: ShownClip) -> np.ndarray:
    """Draws the first `CHANNELS` maps of each shown convolution of each stream (Fig. 7).

    uint8 (H, W, 3), RGB. Each map is coloured from 0 to its own largest value, which is written
    under it.
    """
    width = cell_width(clip.aspect)
    lefts = [LABELS + k * (width + GAP) for k in range(1 + CHANNELS)]
    across = lefts[-1] + width + MARGIN
    number = clip.numbers[explanation.shown] + 1
    line = f"the first {CHANNELS} channels; each map from 0 (black) to its own largest value"
    parts = [_heading(across, f"Feature maps at frame {number}", line)]
    for stream, layers in explanation.feature_maps.items():
        images = clip.fields if stream == "flow" else clip.frames
        for convolution, maps in layers.items():
            size = f"{maps.shape[1]} x {maps.shape[0]} pixels"
            row = _labelled(CELL + LINE, across, f"{stream}, convolution {convolution}", size)
            if convolution == min(layers) and images is not None:
                image = enlarge(images[explanation.shown], CELL, width)
                row[:CELL, lefts[0] : lefts[0] + width] = image
                draw_text(row, "input", lefts[0], CELL + 15, 13, MUTED)
            for k, left in zip(range(maps.shape[-1]), lefts[1:], strict=False):
                largest = float(maps[..., k].max())
                colored = heat(maps[..., k], largest)
                row[:CELL, left : left + width] = cv2.resize(
                    colored, (width, CELL), interpolation=cv2.INTER_NEAREST
                )
                text = f"max {largest:.3g}" if largest > 0 else "0 everywhere"
                draw_text(row, text, left, CELL + 15, 13, MUTED, width=width)
            parts += [row, _blank(GAP, across)]
    return np.concatenate(parts)


def draw_clip(explanation: Explanation, clip: ShownClip) -> np.ndarray:
    """Draws a clip: under each frame its Grad-CAM, its flow, and how much it counts.

    uint8 (H, W, 3), RGB. The Grad-CAM maps of a clip have one scale, and so have the bars of a
    branch.
    """
    width, count = cell_width(clip.aspect), len(clip.frames)
    lines = math.ceil(count / ((WIDTH - LABELS) // (width + GAP)))
    columns = math.ceil(count / lines)
    across = max(LABELS + columns * (width + GAP) + MARGIN, LEAST_WIDTH)
    name = explanation.classes[explanation.target]
    probability, logit = (
        float(values[explanation.target])
        for values in (explanation.probabilities, explanation.logits)
    )
    line = f"{len(set(clip.numbers))} of {clip.num_frames} frames, as the network reads them"
    parts = [_heading(across, f"{name}: probability {probability:.1%}, logit {logit:.2f}", line)]
    for begin in range(0, count, columns):
        shown = slice(begin, min(begin + columns, count))
        parts.append(_clip_line(explanation, clip, shown, across))
    return np.concatenate([*parts, _legend(across)])


def _clip_line(explanation: Explanation, clip: ShownClip, shown: slice, across: int) -> np.ndarray:
    width = cell_width(clip.aspect)
    lefts = [LABELS + k * (width + GAP) for k in range(shown.stop - shown.start)]
    head = _blank(LINE, across)
    for left, number in zip(lefts, clip.numbers[shown], strict=True):
        draw_text(head, f"frame {number + 1}", left, 16, 14, TEXT, width=width)
    frames, largest = clip.frames[shown], float(explanation.grad_cam.max())
    cams = np.stack(
        [
            overlay(frame, cam, largest, CELL, width)
            for frame, cam in zip(frames, explanation.grad_cam[shown], strict=True)
        ]
    )
    rows = [("frame", "", frames), ("Grad-CAM", "" if largest > 0 else "0 everywhere", cams)]
    if clip.fields is not None:
        rows.append(("optical flow", "", clip.fields[shown]))
    parts = [head]
    for label, note, pictures in rows:
        row = _labelled(CELL, across, label, note)
        for left, picture in zip(lefts, pictures, strict=True):
            row[:, left : left + width] = enlarge(picture, CELL, width)
        parts += [row, _blank(GAP, across)]
    centers = [left + width // 2 for left in lefts]
    for branch, whole in explanation.importance.items():
        part = FrameImportance(whole.gradient[shown], whole.left_out[shown])
        strip = _labelled(BARS, across, title(branch), scale(whole))
        for left in lefts:
            strip[:, left : left + width] = TRACK
        draw_bars(strip, centers, part, limit(whole), width // 5)
        parts += [strip, _figures(part, lefts, across, width), _blank(GAP, across)]
    return np.concatenate([*parts, _blank(3 * GAP, across)])


def _figures(part: FrameImportance, lefts: list[int], across: int, width: int) -> np.ndarray:
    row = _blank(LINE, across)
    for values, color, right in ((part.left_out, LEFT_OUT, 0), (part.gradient, GRADIENT, 1)):
        for left, value in zip(lefts, values.tolist(), strict=True):
            begin = left + right * width // 2
            draw_text(row, f"{value:+.3f}", begin, 15, 13, color, width=width // 2)
    return row


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _labelled(height: int, width: int, label: str, note: str = "") -> np.ndarray:
    """An empty row with its name at the left."""
    row = _blank(height, width)
    draw_text(row, label, MARGIN, height // 2, 15, TEXT, width=LABELS - MARGIN)
    draw_text(row, note, MARGIN, height // 2 + 20, 13, MUTED, width=LABELS - MARGIN)
    return row


def _heading(width: int, title: str, line: str) -> np.ndarray:
    head = _blank(HEAD, width)
    draw_text(head, title, MARGIN, 30, 20, TEXT, 600, width=width - 2 * MARGIN)
    draw_text(head, line, MARGIN, 54, 14, MUTED, width=width - 2 * MARGIN)
    return head


def _legend(width: int) -> np.ndarray:
    legend = _blank(3 * LINE, width)
    rows = (
        (LEFT_OUT, "left out: by how much the logit falls without the frame in this branch"),
        (GRADIENT, "gradient: the first-order estimate of the same"),
    )
    for k, (color, text) in enumerate(rows):
        top = k * LINE
        legend[top + 4 : top + 16, MARGIN : MARGIN + 12] = color
        draw_text(legend, text, MARGIN + 20, top + 15, 14, MUTED, width=width - 3 * MARGIN)
    return legend
