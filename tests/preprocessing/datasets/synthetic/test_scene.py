"""The scene's camera and light."""

import dataclasses

import numpy as np
import pytest

from preprocessing.datasets.synthetic.scene import (
    CANVAS_SIZE,
    FRAME_SIZE,
    MARGIN,
    TILE,
    backdrop,
    camera_path,
    expose,
    random_scene,
)


@pytest.fixture
def scene():
    return random_scene(np.random.default_rng(3))


def test_the_floor_repeats_after_a_tile_and_the_wall_stays(scene):
    still = backdrop(scene, 0.0)
    a_tile_on, half_on = (backdrop(scene, way / scene.height) for way in (TILE, TILE / 2))
    np.testing.assert_array_equal(a_tile_on, still)
    floor = len(scene.floor)
    above = CANVAS_SIZE - floor
    np.testing.assert_array_equal(half_on[: above - 10], still[: above - 10])
    assert not np.array_equal(half_on[-5:], still[-5:])


def test_the_camera_stays_on_the_canvas(scene):
    shaky = dataclasses.replace(scene, sway=50.0, jitter=20.0)
    path = camera_path(shaky, np.random.default_rng(0), 40)
    assert path.shape == (40, 2) and path.min() >= 0 and path.max() <= 2 * MARGIN
    calm = dataclasses.replace(scene, sway=0.0, jitter=0.0)
    assert (camera_path(calm, np.random.default_rng(0), 40) == MARGIN).all()


def test_a_grey_canvas_is_filmed_as_its_level_times_light_and_gain(scene):
    plain = dataclasses.replace(
        scene, light=np.full((FRAME_SIZE, FRAME_SIZE, 1), 0.8, np.float32), noise=0.0, quality=95
    )
    canvas = np.full((CANVAS_SIZE, CANVAS_SIZE, 3), 100, np.uint8)
    frame = expose(plain, canvas, (MARGIN, MARGIN), 1.1, np.random.default_rng(0))
    assert frame.shape == (FRAME_SIZE, FRAME_SIZE, 3) and frame.dtype == np.uint8
    assert np.abs(frame.astype(float) - 88).max() <= 2
