import dataclasses

import numpy as np
import pytest

from stfnet.drawing.annotation import BACKGROUND, MUTED, TRACK
from stfnet.explanation import pictures
from stfnet.explanation.attribution import FrameImportance

BRIGHTEST = (252, 255, 164)  # the end of matplotlib's scale "inferno"


def _rows_of(strip, column, color):
    """Numbers of the rows of a strip that have a colour in a column."""
    return np.flatnonzero((strip[:, column] == color).all(-1)).tolist()


def test_heat_goes_from_black_to_light_yellow():
    colors = pictures.heat(np.array([[0.0, 2.0, 4.0, 9.0]]), 4.0)[0]
    assert colors[0].max() <= 4
    assert tuple(colors[2]) == tuple(colors[3]) == BRIGHTEST
    assert colors[0].sum() < colors[1].sum() < colors[2].sum()
    assert pictures.heat(np.zeros((2, 2)), 0.0).max() <= 4  # and no division by 0


def test_an_overlay_is_grey_where_the_map_is_0_and_coloured_where_it_is_largest():
    frame = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    drawn = pictures.overlay(frame, np.array([[0.0, 0.0], [0.0, 2.0]]), 2.0, 60, 80)
    assert drawn.shape == (60, 80, 3)
    corner = drawn[0, 0].astype(int)
    assert np.ptp(corner) == 0 and corner[0] > 60
    np.testing.assert_allclose(drawn[-1, -1], BRIGHTEST, atol=30)
    # Half of the clip's largest value is drawn darker.
    half = pictures.overlay(frame, np.array([[0.0, 0.0], [0.0, 1.0]]), 2.0, 60, 80)
    assert half[-1, -1].sum() < drawn[-1, -1].sum()


def test_bars_go_up_for_the_class_and_down_against_it():
    strip = np.full((40, 100, 3), TRACK, np.uint8)
    importance = FrameImportance(np.array([0.5, -1.0]), np.array([1.0, 0.0]))
    pictures.draw_bars(strip, [20, 70], importance, largest=1.0, bar=6)
    assert _rows_of(strip, 16, pictures.LEFT_OUT) == list(range(20))
    assert _rows_of(strip, 23, pictures.GRADIENT) == list(range(10, 20))
    assert _rows_of(strip, 66, pictures.LEFT_OUT) == []
    assert _rows_of(strip, 73, pictures.GRADIENT) == list(range(20, 40))
    assert _rows_of(strip, 45, MUTED) == [20]
    assert pictures.limit(importance) == 1.0


def test_the_sheet_of_maps_shows_six_channels_of_three_layers_of_each_stream(
    explanation, make_clip
):
    sheet = pictures.draw_feature_maps(explanation, make_clip())
    width = pictures.cell_width(4 / 3)
    step, row = width + pictures.GAP, pictures.CELL + pictures.LINE + pictures.GAP
    assert width == 176
    assert len(sheet) == pictures.HEAD + 6 * row
    for line in range(6):
        top = pictures.HEAD + line * row
        for k in range(6):
            left = pictures.LABELS + (k + 1) * step
            cell = sheet[top : top + pictures.CELL, left : left + width]
            peak = cell[pictures.CELL * 3 // 8, width * 5 // 8]
            assert tuple(peak) == (BRIGHTEST if k < 5 else tuple(cell[0, 0]))
    # The input of each stream stands at its first layer.
    assert tuple(sheet[pictures.HEAD + 60, pictures.LABELS + 60]) == (90, 120, 150)
    assert tuple(sheet[pictures.HEAD + 3 * row + 60, pictures.LABELS + 60]) == (255, 0, 0)
    assert tuple(sheet[pictures.HEAD + row + 60, pictures.LABELS + 60]) == BACKGROUND


def test_a_layer_with_fewer_channels_shows_all_of_them(explanation, make_clip):
    narrow = {"rgb": {1: np.ones((4, 4, 1), np.float32)}}
    narrow = dataclasses.replace(explanation, feature_maps=narrow)
    sheet = pictures.draw_feature_maps(narrow, make_clip(fields=None))
    step = pictures.cell_width(4 / 3) + pictures.GAP
    assert tuple(sheet[pictures.HEAD + 60, pictures.LABELS + step + 60]) == BRIGHTEST
    assert (sheet[pictures.HEAD + 60, pictures.LABELS + 2 * step :] == BACKGROUND).all()


@pytest.mark.parametrize("flow", [True, False])
def test_under_each_frame_stand_its_map_its_flow_and_its_bars(explanation, make_clip, flow):
    clip = make_clip() if flow else make_clip(fields=None)
    sheet = pictures.draw_clip(explanation, clip)
    step, cell = pictures.cell_width(4 / 3) + pictures.GAP, pictures.CELL + pictures.GAP
    top = pictures.HEAD + pictures.LINE
    assert tuple(sheet[top + 60, pictures.LABELS + 60]) == (90, 120, 150)
    # The right upper quarter of the first map is brighter than that of the second.
    right = [sheet[top + cell + 8, pictures.LABELS + k * step + 168].sum() for k in range(3)]
    assert right[0] > right[1] > right[2]
    bars = top + (3 if flow else 2) * cell
    if flow:
        assert tuple(sheet[top + 2 * cell + 60, pictures.LABELS + 60]) == (255, 0, 0)
    strip, half = sheet[bars : bars + pictures.BARS], pictures.BARS // 2
    centers = [pictures.LABELS + k * step + 88 for k in range(3)]
    assert _rows_of(strip, centers[0] - 5, pictures.LEFT_OUT) == list(range(half // 2, half))
    assert _rows_of(strip, centers[2] + 5, pictures.GRADIENT) == list(range(half, 2 * half))


@pytest.mark.parametrize(("frames", "lines"), [(1, 1), (7, 1), (8, 2), (40, 6)])
def test_a_long_clip_takes_several_lines(explanation, make_clip, frames, lines):
    values = np.linspace(0, 1, frames)
    long = dataclasses.replace(
        explanation,
        grad_cam=np.ones((frames, 2, 2), np.float32),
        importance={"conv": FrameImportance(values, values)},
    )
    pictures_of_frames = np.zeros((frames, 8, 8, 3), np.uint8)
    clip = make_clip(frames=pictures_of_frames, fields=None, numbers=tuple(range(frames)))
    sheet = pictures.draw_clip(long, clip)
    one = pictures.LINE + 2 * (pictures.CELL + pictures.GAP) + 3 * pictures.GAP
    one += pictures.BARS + pictures.LINE + pictures.GAP
    assert len(sheet) == pictures.HEAD + lines * one + 3 * pictures.LINE
    assert sheet.shape[1] <= 1500 + pictures.MARGIN
