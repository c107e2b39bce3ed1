import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import flow, records
from preprocessing.errors import UserError
from preprocessing.flow import tvl1_keras
from preprocessing.preparation import conversion
from stfnet import sampling
from stfnet.config import ClipConfig, RecordsConfig
from stfnet.export import video_graph
from stfnet.inference.clip import read_clip

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=20)


def test_flow_is_encoded_as_in_the_records():
    field = np.random.default_rng(0).normal(0, 15, (50, 50, 2)).astype(np.float32)
    np.testing.assert_array_equal(video_graph.encode(field, 20.0), flow.encode(field, 20.0))


@pytest.mark.parametrize("short_video", ["pad_last", "loop"])
def test_the_graph_samples_what_numpy_samples(short_video):
    clip = ClipConfig(num_frames=6, flow_length=5, short_video=short_video)
    for count in range(2, 40):
        frames, fields = video_graph.sample(tf.constant(count), clip)
        expected = sampling.test_indices(count, 6, short_video)
        np.testing.assert_array_equal(frames, expected)
        np.testing.assert_array_equal(fields, sampling.flow_indices(expected, count, 5))


def test_a_short_video_is_refused_where_the_clip_says_so():
    clip = dataclasses.replace(CLIP, short_video="error")
    with pytest.raises(UserError):
        sampling.test_indices(2, 3, "error")
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes 3 frames"):
        video_graph.sample(tf.constant(2), clip)


@pytest.fixture
def moving_wall(tmp_path):
    """(folder of images, the same as uint8 (11, 60, 60, 3)): a wall that moves right."""
    wall = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 4)
    wall = cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX)
    frames = np.stack([wall[:, 30 - 3 * k : 90 - 3 * k] for k in range(11)])
    for k, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{k:02d}.png"), frame[..., ::-1])
    return tmp_path, frames


@pytest.mark.slow
def test_with_one_solver_the_clip_is_that_of_lossless_records(moving_wall):
    folder, frames = moving_wall
    solver = tf.function(tvl1_keras.solve, jit_compile=True)
    png = RecordsConfig("png")
    inputs, numbers = video_graph.make_clip(frames[None], CLIP, png, solver=solver)
    settings = conversion.Settings(image_size=20, image_format="png", flow_method="keras")
    with records.ExampleWriter("wall", 0) as writer:
        conversion.convert(folder, writer, settings)
        stored = records.view_example(writer.serialized())
    decoded = {
        name: [cv2.imdecode(np.frombuffer(i, np.uint8), cv2.IMREAD_UNCHANGED) for i in stored[name]]
        for name in ("frames", "flow")
    }
    for t, number in enumerate(numbers.numpy()):
        np.testing.assert_array_equal(inputs["rgb"][0, t], decoded["frames"][number][..., ::-1])
        fields = sampling.flow_indices(numbers.numpy(), 11, 4)[t]
        for place, k in enumerate(fields):
            stack = inputs["flow"][0, t, ..., 2 * place : 2 * place + 2].numpy()
            planes = decoded["flow"][k].reshape(2, 20, 20)
            # The wall moves by 3 of 60 pixels, by 1 of 20, to the right.
            np.testing.assert_allclose(np.median(planes, (1, 2)), [134.4, 128], atol=2)
            np.testing.assert_array_equal(stack.transpose(2, 0, 1), planes)


def _opencv(previous, following):
    """OpenCV's TV-L1 of float32 (P, S, S) pairs, in the place of the one of Keras' operations."""

    def solve(*images):
        pairs = zip(*(image.astype(np.uint8) for image in images), strict=True)
        create = cv2.optflow.DualTVL1OpticalFlow_create
        return np.stack([create().calc(*pair, None) for pair in pairs])

    fields = tf.numpy_function(solve, [previous, following], tf.float32)
    return tf.ensure_shape(fields, (*previous.shape, 2))


@pytest.mark.parametrize("streams", ["both", "rgb", "flow"])
@pytest.mark.parametrize(
    ("resize", "stored"),
    [
        ("stretch", RecordsConfig()),
        ("crop", RecordsConfig("jpeg", 40)),
        ("motion", RecordsConfig("png")),
    ],
)
def test_with_opencvs_solver_the_clip_is_that_of_the_file_to_the_last_bit(
    moving_wall, resize, streams, stored
):
    folder, frames = moving_wall
    config = dataclasses.replace(CLIP, resize=resize)
    inputs, numbers = video_graph.make_clip(frames[None], config, stored, streams, _opencv)
    expected = read_clip(folder, config, streams, "reference", stored)
    np.testing.assert_array_equal(numbers, expected["frame_numbers"])
    assert set(inputs) == {"rgb", "flow"} & set(expected)
    for name, value in inputs.items():
        np.testing.assert_array_equal(value[0], expected[name])
    if streams != "rgb":  # by 1 of 20 pixels and more to the right, as far as it is enlarged
        assert 133 <= np.median(expected["flow"][..., 0::2]) <= 140
        assert np.median(expected["flow"][..., 1::2]) == pytest.approx(128, abs=1)


def test_a_batch_of_videos_gives_the_clips_of_the_files(moving_wall):
    folder, frames = moving_wall
    spec = tf.TensorSpec((None, None, None, None, 3), tf.uint8)
    make_clip = tf.function(
        lambda frames: video_graph.make_clip(frames, CLIP, RecordsConfig()), [spec]
    )
    inputs, numbers = make_clip(np.stack([frames, frames[:, :, ::-1]]))
    expected = read_clip(folder, CLIP)
    np.testing.assert_array_equal(numbers, expected["frame_numbers"])
    np.testing.assert_array_equal(inputs["rgb"][0], expected["rgb"])
    encoded = np.abs(inputs["flow"][0].numpy().astype(int) - expected["flow"])
    assert encoded.shape == (3, 20, 20, 8)
    # Of 20 pixels most are near a border, where the two solvers differ most.
    assert np.mean(encoded <= 1) > 0.95
    # One pixel of 20 a frame, 6.4 levels; and the mirrored video moves left.
    across = inputs["flow"].numpy()[..., ::2].astype(int) - 128
    assert abs(np.median(across[0]) - 6) <= 1
    assert abs(np.median(across[1]) + 6) <= 1
