"""The Keras solver against OpenCV's, which shares no code with it, and against known motions."""

import importlib.util
import itertools

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import flow
from preprocessing.flow import constants, tvl1_keras, tvl1_operators

# One shape for most tests, since each compiles once. Not square, so that swapped axes show.
BATCH, HEIGHT, WIDTH = 4, 84, 100
SMALL = 20, 26  # two scales


def opencv_flow(frames):
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    return np.stack([solver.calc(*pair, None) for pair in itertools.pairwise(frames)])


def texture(x, y, seed=0):
    """Grey values in [8, 248] at any real position: 24 waves of 8 to 60 pixels."""
    rng = np.random.default_rng(seed)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 24, 1, 1))
    frequency = 2 * np.pi / rng.uniform(8, 60, (24, 1, 1))
    waves = np.cos(frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    return np.clip(128 + 20 * waves.sum(0), 8, 248)


def grid(height=HEIGHT, width=WIDTH):
    y, x = np.mgrid[:height, :width].astype("float64")
    return x, y


def moving_scene(count, height=HEIGHT, width=WIDTH):
    """uint8 (count, H, W): two objects cross a wall before which the camera drifts."""
    x, y = grid(height, width)
    frames = []
    for t in range(count):
        frame = texture(x - 0.4 * t, y + 0.3 * t)
        for number, (vx, vy) in enumerate(((1.7, 0.6), (-1.2, 2.1)), start=1):
            u, v = x - (0.3 + 0.1 * number) * width - vx * t, y - 0.3 * height - vy * t
            inside = (np.abs(u) < 0.12 * width) & (np.abs(v) < 0.15 * height)
            frame = np.where(inside, texture(u, v, seed=number), frame)
        frames.append(frame)
    return np.stack(frames).round().astype("uint8")


def solve_frames(frames):
    return flow.tvl1(frames, "keras", batch=BATCH)


@pytest.mark.slow
def test_the_flow_of_a_moving_scene_is_opencvs():
    frames = moving_scene(12)  # eleven pairs: a whole batch and a filled one
    ours, reference = solve_frames(frames), opencv_flow(frames)
    assert ours.dtype == np.float32 and ours.shape == reference.shape
    levels = np.abs(flow.encode(ours).astype(int) - flow.encode(reference)).max(-1)
    assert np.mean(levels <= 1) >= 0.99
    assert np.linalg.norm(ours - reference, axis=-1).mean() <= 0.05  # pixels


@pytest.mark.slow
def test_known_motions_are_found_as_well_as_by_opencv():
    x, y = grid()
    u, v = x - WIDTH / 2, y - HEIGHT / 2
    turn, zoom = np.deg2rad(2.0), 1.03
    motions = {
        "translation (0.5, -0.3)": (0 * x + 0.5, 0 * x - 0.3),
        "translation (-2.3, 1.6)": (0 * x - 2.3, 0 * x + 1.6),
        "rotation 2 degrees": (
            u * (np.cos(turn) - 1) - v * np.sin(turn),
            u * np.sin(turn) + v * (np.cos(turn) - 1),
        ),
        "zoom 1.03": (u * (zoom - 1), v * (zoom - 1)),
    }
    # The first image is the second one read where each pixel goes, so the flow is exact there.
    before = np.stack([texture(x + du, y + dv) for du, dv in motions.values()])
    before, after = (images.round().astype("uint8") for images in (before, texture(x, y)))
    ours = tvl1_keras.solve_pairs(before, np.stack([after] * BATCH))
    reference = np.concatenate([opencv_flow([image, after]) for image in before])
    for name, a, b in zip(motions, ours, reference, strict=True):
        truth = np.stack(motions[name], axis=-1)
        error, reference_error = (np.linalg.norm(f - truth, axis=-1).mean() for f in (a, b))
        # Else the motion is not found and the comparison says nothing.
        assert reference_error < 0.25, name
        assert error <= 1.05 * reference_error, name


def test_still_black_and_flat_frames_have_no_flow():
    still = moving_scene(1, *SMALL)
    black, white = np.zeros_like(still), np.full_like(still, 255)
    noise = np.random.default_rng(0).integers(0, 256, (2, *still.shape[1:]), np.uint8)
    frames = np.concatenate([black, black, white, white, still, still, noise, black])
    solved = solve_frames(frames)
    assert np.isfinite(solved).all()
    for pair in (0, 1, 2, 4):  # black-black, black-white, white-white, still-still
        np.testing.assert_array_equal(solved[pair], 0)


def test_a_pair_does_not_see_its_batch():
    frames = moving_scene(BATCH + 1, *SMALL)
    frames[4:] = np.random.default_rng(0).integers(0, 256, frames[4:].shape)  # never settles
    np.testing.assert_array_equal(solve_frames(frames)[1], solve_frames(frames[1:3])[0])


def test_pairs_that_stand_still_are_not_iterated_with_one_that_moves(monkeypatch):
    sizes, iterate = [], tvl1_keras._iterate
    monkeypatch.setattr(
        tvl1_keras,
        "_iterate",
        lambda state, gradient, constant: (
            sizes.append(len(constant)) or iterate(state, gradient, constant)
        ),
    )
    still = moving_scene(1, 16, 16)[[0] * 8].astype("float32")  # one scale
    noise = np.random.default_rng(0).uniform(0, 255, (1, 16, 16)).astype("float32")
    monkeypatch.setattr(tvl1_keras, "WARPS", 2)
    tvl1_keras.solve(tf.constant(still), tf.constant(np.concatenate([still[:7], noise])))
    # Seven of eight stand still after the first iteration of each of the two warps.
    assert set(sizes) == {8, 1}
    assert sizes.count(8) == 2 and sizes.count(1) > 160


def test_the_solver_lives_in_a_saved_model_of_any_batch(tmp_path):
    frames = moving_scene(4, *SMALL)
    images = tf.TensorSpec((None, 20, 26), tf.float32)
    module = tf.Module()
    module.solve = tf.function(tvl1_keras.solve, input_signature=[images, images])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for count in (1, 3):
        floats = tf.constant(frames[: count + 1], tf.float32)
        solved = loaded.solve(floats[:-1], floats[1:]).numpy()
        difference = np.linalg.norm(solved - opencv_flow(frames[: count + 1]), axis=-1)
        assert solved.shape == (count, 20, 26, 2)
        assert difference.mean() < 0.02


PROGRAM = """
import sys
import numpy as np
from preprocessing import flow
frames = np.load(sys.argv[1] + "/frames.npy")
np.save(sys.argv[1] + "/flow.npy", flow.tvl1(frames, "keras", batch=2))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_find_the_same_flow(run_python, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    frames = moving_scene(4, *SMALL)
    np.save(tmp_path / "frames.npy", frames)
    # Compiling for JAX takes most of this test; the machine code need not be fast.
    fast = "--xla_backend_optimization_level=0"
    done = run_python("-c", PROGRAM, tmp_path, KERAS_BACKEND=backend, XLA_FLAGS=fast)
    assert done.returncode == 0, done.stderr
    difference = np.linalg.norm(np.load(tmp_path / "flow.npy") - opencv_flow(frames), axis=-1)
    assert difference.mean() < 0.02


@pytest.mark.parametrize("size", [(20, 30), (61, 75), (112, 112), (17, 300), (15, 40)])
def test_the_pyramid_is_opencvs(size):
    image = np.random.default_rng(0).uniform(0, 255, (2, *size)).astype("float32")
    sizes, ours = tvl1_keras.scale_sizes(*size), image
    reference = list(image)
    for smaller in sizes[1:]:
        ours = tvl1_operators.resize(ours, smaller, constants.SCALE_STEP)
        reference = [cv2.resize(r, None, fx=0.8, fy=0.8) for r in reference]
        np.testing.assert_allclose(ours, np.stack(reference), atol=1e-3)
    assert len(sizes) <= 5
    smallest = cv2.resize(reference[0], None, fx=0.8, fy=0.8).shape
    assert len(sizes) == 5 or min(smallest) < 16
    enlarged = tvl1_operators.resize(ours, size)
    np.testing.assert_allclose(enlarged, [cv2.resize(r, size[::-1]) for r in reference], atol=1e-3)
