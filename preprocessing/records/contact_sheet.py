"""One recorded video at a glance: frames above, and the flow that was stored for them below."""

import cv2
import numpy as np

from preprocessing import flow, records
from preprocessing.captions import one_line
from preprocessing.flow.colors import flow_to_color

_COLUMNS = 8
# Pixels: a cell's least side (small frames are enlarged), and the space between cells.
_LEAST_SIDE, _GAP, _LINE, _WHEEL = 128, 6, 22, 120
_PAPER, _INK, _MUTED = (255, 255, 255), (28, 35, 48), (102, 112, 133)
# The scale covers all but the longest vectors, and never makes the encoding's noise look fast.
_COVERED_PERCENT, _LEAST_SCALE = 99.5, 1.0


def contact_sheet(record_set: records.RecordSet, video: records.RecordedVideo) -> np.ndarray:
    """Draws evenly spaced frames, the flow from each to its next frame, and the colour wheel.

    Args:
        record_set: of the record set.
        video: one of its videos.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DamagedRecordError: the video's record is damaged.
    """
    frames, fields, shown = _read(record_set, video)
    scale = flow_scale(fields)
    side = max(_LEAST_SIDE, record_set.clip["image_size"])
    columns = len(shown)
    width = max(columns * (side + _GAP) + _GAP, 640)
    tops = np.cumsum([_GAP, 2 * _LINE, _LINE + side + _GAP, side + _GAP])
    sheet = np.full((tops[-1] + _WHEEL + _GAP, width, 3), _PAPER, np.uint8)
    _write(sheet, f"{video.id}  ·  {video.class_name}", _GAP, tops[0] + 17, 17, weight=600)
    _write(
        sheet,
        f"{video.num_frames} frames  ·  group {video.group}  ·  mean motion"
        f" {video.mean_motion:.2f} px  ·  {record_set.flow['quality']} flow at"
        f" {record_set.clip['image_size']} × {record_set.clip['image_size']} px",
        _GAP,
        tops[0] + 17 + _LINE,
        13,
        _MUTED,
    )
    for column, index in enumerate(shown):
        left = _GAP + column * (side + _GAP)
        _write(sheet, f"{index} → {index + 1}", left, tops[1] + 15, 13, _MUTED)
        top = tops[1] + _LINE
        for picture in (frames[column], flow_to_color(fields[column], scale)):
            enlarged = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
            sheet[top : top + side, left : left + side] = enlarged
            top += side + _GAP
    wheel = sheet[tops[-1] : tops[-1] + _WHEEL]
    wheel[:, _GAP : _GAP + _WHEEL] = color_wheel(_WHEEL)
    beside = 2 * _GAP + _WHEEL + _LINE
    _write(wheel, f"edge of the wheel: {scale:.1f} px a frame", beside, 48, 15)
    _write(wheel, "hue: direction of motion; white: none; darkened: faster", beside, 72, 13, _MUTED)
    return sheet


def color_wheel(side: int) -> np.ndarray:
    """The key: the colour of a vector is found where its point lies from the centre.

    Args:
        side: pixels.

    Returns:
        uint8 (side, side, 3), RGB; white outside the wheel.
    """
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    vectors = np.stack(np.meshgrid(axis, axis), -1)  # h w xy
    wheel = flow_to_color(vectors, 1.0)
    wheel[np.hypot(vectors[..., 0], vectors[..., 1]) > 1] = 255
    return wheel


def flow_scale(fields: np.ndarray) -> float:
    """Length in pixels that is drawn fully saturated.

    Args:
        fields: float (N, H, W, 2), displacements in pixels.
    """
    lengths = np.hypot(fields[..., 0], fields[..., 1])
    return max(_LEAST_SCALE, float(np.percentile(lengths, _COVERED_PERCENT)))


def _read(record_set, video):
    """Frames (n, S, S, 3) RGB, fields (n, S, S, 2) in pixels, and which they are."""
    example = records.read_video(record_set, video)
    count = min(_COLUMNS, video.num_frames - 1)
    shown = np.linspace(0, video.num_frames - 2, count).round().astype(int)
    frames = [records.decode_frame(example["frames"][k]) for k in shown]
    planes = np.stack([records.decode_field(example["flow"][k]) for k in shown])
    planes = np.moveaxis(planes, 1, -1)  # n xy h w -> n h w xy
    return np.stack(frames), flow.decode(planes, record_set.encoding["flow_bound"]), shown


def _write(image, text, left, baseline, size, color=_INK, weight=400):
    text = one_line(text)
    cv2.putText(image, text, (int(left), int(baseline)), color, cv2.FontFace("sans"), size, weight)
