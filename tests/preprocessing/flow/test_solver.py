import cv2
import numpy as np
import pytest

from preprocessing import flow
from preprocessing.errors import UserError


def _moving_texture(velocity, num_frames=3, size=96):
    """Frames of one smooth texture sampled at analytically translated points."""
    generator = np.random.default_rng(0)
    waves = generator.uniform(0.05, 0.6, (24, 2)) * generator.choice([-1, 1], (24, 2))
    phases = generator.uniform(0, 2 * np.pi, 24)
    y, x = np.mgrid[:size, :size]
    frames = []
    for t in range(num_frames):
        # What stood at p stands at p + t * velocity: the picture there is the texture at p.
        points = np.stack([x - t * velocity[0], y - t * velocity[1]], -1)
        values = np.cos(points @ waves.T + phases).sum(-1)
        frames.append(np.clip(128 + 18 * values, 0, 255).round().astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize("quality", flow.QUALITIES)
@pytest.mark.parametrize("velocity", [(1.5, 0.0), (-0.6, 2.0)])
def test_tvl1_measures_an_analytic_translation(velocity, quality):
    fields = flow.tvl1(_moving_texture(velocity), quality=quality)
    assert fields.shape == (2, 96, 96, 2) and fields.dtype == np.float32
    inner = fields[:, 16:-16, 16:-16]
    assert np.abs(inner - np.array(velocity)).mean() < 0.1
    # x and y stand in this order, and the sign is that of the motion.
    np.testing.assert_allclose(inner.mean((0, 1, 2)), velocity, atol=0.1)


def test_one_frame_has_no_flow_and_colour_is_refused():
    assert flow.tvl1(np.zeros((1, 8, 8), np.uint8)).shape == (0, 8, 8, 2)
    with pytest.raises(ValueError, match="frames must be uint8"):
        flow.tvl1(np.zeros((2, 8, 8, 3), np.uint8))


def test_methods_and_qualities_that_are_none_are_refused_before_any_frame():
    with pytest.raises(UserError, match="flow method 'magic' is unknown: it is one of opencv, k"):
        flow.tvl1(np.zeros((2, 8, 8), np.uint8), method="magic")
    with pytest.raises(UserError, match="flow quality 'best' is unknown: it is one of reference"):
        flow.Solver(quality="best")


@pytest.mark.parametrize("quality", flow.QUALITIES)
def test_a_field_comes_as_soon_as_its_two_frames_are_there(quality):
    asked = []

    def frames():
        for index, frame in enumerate(_moving_texture((1, 0), num_frames=4, size=32)):
            asked.append(index)
            yield frame

    fields = flow.Solver(quality=quality).fields(frames())
    next(fields)
    assert asked == [0, 1]
    next(fields)
    assert asked == [0, 1, 2]


def _square_before_a_wall(num_frames=4, size=112):
    """What flow finds hard: two textures that move apart, with an occlusion and noise."""
    generator = np.random.default_rng(1)
    wall, square = generator.integers(0, 256, (2, size + 40, size + 40), np.uint8)
    wall, square = (cv2.GaussianBlur(texture, (0, 0), 1.5) for texture in (wall, square))
    frames = []
    for t in range(num_frames):
        frame = wall[2 * t : 2 * t + size, 20 - t : 20 - t + size].astype(float)
        frame[30:70, 20 + 5 * t : 60 + 5 * t] = square[:40, :40]
        frame += generator.normal(0, 2, frame.shape)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return np.stack(frames)


def test_fast_flow_agrees_with_opencv():
    frames = _square_before_a_wall()
    fields = {quality: flow.tvl1(frames, quality=quality) for quality in flow.QUALITIES}
    assert np.abs(fields["reference"]).mean() > 1  # it moves
    levels = {quality: flow.encode(field).astype(int) for quality, field in fields.items()}
    difference = np.abs(levels["fast"] - levels["reference"])
    assert (difference <= 1).mean() >= 0.99


@pytest.mark.parametrize("quality", flow.QUALITIES)
def test_a_field_depends_on_no_film_before_it(quality):
    frames = _moving_texture((4, 0), num_frames=2)
    alone = flow.tvl1(frames, quality=quality)
    # OpenCV's solver keeps the number of scales that the smallest frame it met allowed.
    flow.tvl1(_moving_texture((1, 0), num_frames=2, size=20), quality=quality)
    np.testing.assert_array_equal(flow.tvl1(frames, quality=quality), alone)
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    unshared = solver.calc(*frames, None)
    assert np.abs(alone[0] - unshared).mean() < 0.05
