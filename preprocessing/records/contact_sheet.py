"""One recorded video at a glance: frames above, and the flow that was stored for them below."""

import cv2
import numpy as np

from preprocessing import flow, records
from preprocessing.captions import draw_text
from preprocessing.flow.colors import color_wheel, frames_above_flow, scale_of
from preprocessing.records.example import places

_COLUMNS = 8
# Pixels: a cell's least side (small frames are enlarged), and the space between cells.
_LEAST_SIDE, _GAP, _LINE, _WHEEL = 128, 6, 22, 120
_PAPER, _INK, _MUTED = (255, 255, 255), (28, 35, 48), (102, 112, 133)


def contact_sheet(record_set: records.RecordSet, video: records.RecordedVideo) -> np.ndarray:
    """Draws evenly spaced frames, the flow from each to its next frame, and the colour wheel.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DamagedRecordError: the video's record is damaged.
    """
    frames, fields, shown = _read(record_set, video)
    scale = scale_of(fields)
    side = max(_LEAST_SIDE, record_set.clip["image_size"])
    # Each stored pixel stays visible.
    pictures = frames_above_flow(frames, fields, scale, side, _GAP, cv2.INTER_NEAREST)
    height, width, _ = pictures.shape
    numbers = _GAP + 2 * _LINE  # top of the line with the numbers of the frames
    first = numbers + _LINE  # of the frames
    wheel = first + height + _GAP  # of the wheel
    sheet = np.full((wheel + _WHEEL + _GAP, max(width + 2 * _GAP, 640), 3), _PAPER, np.uint8)
    title = f"{video.id}  ·  {video.class_name}"
    draw_text(sheet, title, _GAP, _GAP + 17, 17, _INK, weight=600)
    kind = record_set.flow["quality" if record_set.flow["algorithm"] == "tvl1" else "algorithm"]
    grid = record_set.clip["frame_grid"]
    of_them = f", {grid} stored" if 0 < grid < video.num_frames else ""
    line = (
        f"{video.num_frames} frames{of_them}  ·  group {video.group}  ·  mean motion"
        f" {video.mean_motion:.2f} px  ·  {kind} flow at"
        f" {record_set.clip['image_size']} × {record_set.clip['image_size']} px"
    )
    draw_text(sheet, line, _GAP, _GAP + 17 + _LINE, 13, _MUTED)
    for column, index in enumerate(shown):
        left = _GAP + column * (side + _GAP)
        draw_text(sheet, f"{index} → {index + 1}", left, numbers + 15, 13, _MUTED)
    sheet[first : first + height, _GAP : _GAP + width] = pictures
    sheet[wheel : wheel + _WHEEL, _GAP : _GAP + _WHEEL] = color_wheel(_WHEEL)
    left = 2 * _GAP + _WHEEL + _LINE
    draw_text(sheet, f"edge of the wheel: {scale:.1f} px a frame", left, wheel + 48, 15, _INK)
    key = "hue: direction of motion; white: none; darkened: faster"
    draw_text(sheet, key, left, wheel + 72, 13, _MUTED)
    return sheet


def _read(record_set, video):
    """Frames (n, S, S, 3) RGB, fields (n, S, S, 2) in pixels, and which they are."""
    example = records.read_video(record_set, video)
    starts = np.intersect1d(example["frame_numbers"], example["field_numbers"])
    shown = starts[np.linspace(0, len(starts) - 1, min(_COLUMNS, len(starts))).round().astype(int)]
    frame_places = places(example["frame_numbers"], shown)
    field_places = places(example["field_numbers"], shown)
    frames = [records.decode_frame(example["frames"][k]) for k in frame_places]
    planes = np.stack([records.decode_field(example["flow"][k]) for k in field_places])
    planes = np.moveaxis(planes, 1, -1)  # n xy h w -> n h w xy
    return np.stack(frames), flow.decode(planes, record_set.encoding["flow_bound"]), shown
