import dataclasses

import av
import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import flow, records, video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from stfnet import sampling
from stfnet.clips import input_pipeline
from stfnet.config import ClipConfig, RecordsConfig
from stfnet.inference.clip import encoded_field, read_clip, stack

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


@pytest.fixture
def doubled(tmp_path):
    """A wide-screen film of 2:1 pixels whose every second frame repeats the one before."""
    path = tmp_path / "doubled.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (48, 200, 3), np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=20, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for k in range(22):
            image = np.ascontiguousarray(noise[:, 5 * (k // 2) : 5 * (k // 2) + 64])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("changed", "num_frames", "fps"),
    [
        ({"resize": "stretch"}, 22, 20),
        ({"resize": "crop"}, 22, 20),
        ({"resize": "motion"}, 22, 20),
        ({"fps": 10.0}, 11, 10),
        ({"repeats": "drop"}, 13, 11.4),
        ({"fps": 5.0, "repeats": "drop", "resize": "crop"}, 6, 5),
        ({"image_format": "jpeg", "jpeg_quality": 95}, 22, 20),
        ({"image_format": "jpeg", "jpeg_quality": 40}, 22, 20),
    ],
)
def test_a_file_gives_the_same_bytes_as_its_record(doubled, changed, num_frames, fps):
    stored = {"image_format": "png"} | changed
    settings = conversion.Settings(image_size=32, **stored)
    encoding = {
        name: stored.pop(name) for name in ("image_format", "jpeg_quality") if name in stored
    }
    config = dataclasses.replace(CLIP, **stored)
    with records.ExampleWriter("a", 0) as writer:
        facts = conversion.convert(doubled, writer, settings)
        example = records.view_example(writer.serialized())
    frames = sampling.test_indices(num_frames, 3)
    fields = sampling.flow_indices(frames, num_frames, 4)
    rgb = np.stack([records.decode_frame(example["frames"][k]) for k in frames])
    fields = np.stack([records.decode_field(example["flow"][k]) for k in fields.ravel()])
    fields = tf.reshape(fields, (3, 4, 2, 32, 32))
    read = read_clip(doubled, config, stored=RecordsConfig(**encoding))
    np.testing.assert_array_equal(read["rgb"], rgb)
    inputs = input_pipeline.network_inputs({"rgb": rgb[None], "fields": fields[None]})
    np.testing.assert_array_equal(read["flow"], inputs["flow"][0])
    assert read["flow"].shape == (3, 32, 32, 8)
    if num_frames in (11, 13):  # no frame repeats: all moves by 2.5 of 32 pixels to the left
        assert np.median(read["flow"][..., 0::2]) == pytest.approx(112, abs=2)
    assert read["frame_numbers"].tolist() == frames.tolist()
    assert (read["num_frames"], facts.num_frames) == (num_frames, num_frames)
    assert read["fps"] == facts.fps == pytest.approx(fps, abs=0.5)


def test_only_the_streams_asked_for_are_read(moving_square):
    whole = read_clip(moving_square, CLIP)
    assert "flow" not in read_clip(moving_square, CLIP, "rgb")
    alone = read_clip(moving_square, CLIP, "flow")
    assert "rgb" not in alone
    np.testing.assert_array_equal(alone["flow"], whole["flow"])


def test_a_single_frame_is_refused_by_name(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match=f"{tmp_path}: a video of 1 frame.* at least 2"):
        read_clip(tmp_path, CLIP)


def test_a_stack_is_each_fields_x_before_its_y():
    first = np.array([[[1, 2], [3, 4]]], np.uint8)  # h w xy
    second = np.array([[[5, 6], [7, 8]]], np.uint8)
    assert stack([first, second]).tolist() == [[[1, 2, 5, 6], [3, 4, 7, 8]]]


def test_a_field_is_that_of_opencv():
    colors = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
    first, second = (cv2.GaussianBlur(frame, (0, 0), 2) for frame in colors[1:])
    pair = video.grayscale(first), video.grayscale(second)
    field = encoded_field(pair, 5.0, "reference", RecordsConfig("png"))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    pixels = cv2.optflow.DualTVL1OpticalFlow_create().calc(*grey, None)
    assert np.abs(pixels).max() > 1
    np.testing.assert_array_equal(field, flow.encode(pixels, 5.0))
