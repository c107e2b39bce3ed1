from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import flow, records, video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion


def _images(values):
    return [cv2.imdecode(np.frombuffer(v, np.uint8), cv2.IMREAD_UNCHANGED) for v in values]


def _example(path, video_id, label, settings, **given):
    """The serialised `tf.train.Example` of a video."""
    with records.ExampleWriter(video_id, label) as writer:
        conversion.convert(path, writer, settings, **given)
        return writer.serialized()


def test_a_lossless_example_holds_the_frames_and_their_flow(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", num_frames=5)
    settings = conversion.Settings(image_size=32, image_format="png")
    serialized = _example(path, "v_a", 7, settings)
    assert _example(path, "v_a", 7, settings) == serialized

    features = tf.train.Example.FromString(serialized).features.feature
    assert features["video_id"].bytes_list.value == [b"v_a"]
    assert features["label"].int64_list.value == [7]
    frames = np.stack(_images(features["frames"].bytes_list.value))[..., ::-1]  # BGR to RGB
    expected = [
        cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)
        for frame in video.read_frames(path)
    ]
    np.testing.assert_array_equal(frames, expected)

    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in expected]
    planes = np.stack(_images(features["flow"].bytes_list.value))
    assert planes.shape == (4, 64, 32) and planes.dtype == np.uint8
    for k in range(4):
        field = solver.calc(gray[k], gray[k + 1], None)
        np.testing.assert_array_equal(planes[k, :32], flow.encode(field[..., 0]))
        np.testing.assert_array_equal(planes[k, 32:], flow.encode(field[..., 1]))
    assert np.abs(planes[:, :32].astype(int) - 128).max() > 3  # the square moves along x


def test_jpeg_keeps_frames_and_flow_closely(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", num_frames=4)
    stored = {}
    for image_format in records.IMAGE_FORMATS:
        settings = conversion.Settings(image_size=64, image_format=image_format)
        features = tf.train.Example.FromString(_example(path, "v", 0, settings))
        feature = features.features.feature
        assert feature["flow"].bytes_list.value[0][:3] == {"jpeg": b"\xff\xd8\xff"}.get(
            image_format, b"\x89PN"
        )
        stored[image_format] = [
            np.stack(_images(feature[name].bytes_list.value)).astype(int)
            for name in ("frames", "flow")
        ]
    for exact, close in zip(stored["png"], stored["jpeg"], strict=True):
        assert exact.shape == close.shape
        assert np.abs(exact - close).mean() < 4


def test_a_single_frame_is_too_short(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", num_frames=1, fourcc="MJPG")
    with pytest.raises(video.VideoError, match="has 1 frame, and flow needs two") as caught:
        _example(path, "v", 0, conversion.Settings(image_size=32))
    assert caught.value.outcome == "too_short"


def test_a_video_that_fills_a_record_is_refused_by_name(tmp_path, write_video, monkeypatch):
    path = write_video(tmp_path / "a.mp4", num_frames=40)
    monkeypatch.setattr(records, "MAX_EXAMPLE_BYTES", (1 << 20) + 3000)
    with pytest.raises(video.VideoError, match="cut it into clips") as caught:
        _example(path, "v", 0, conversion.Settings(image_size=32))
    assert caught.value.outcome == "too_long"


def test_a_real_ucf101_file_has_141_frames_and_140_fields():
    path = Path("../shared/data/clips/v_Basketball_g01_c01.avi")
    if not path.is_file():
        pytest.skip(f"{path} is not here: UCF101 is not part of the project")
    settings = conversion.Settings(image_size=32, flow_quality="fast")
    feature = tf.train.Example.FromString(_example(path, "v", 0, settings))
    feature = feature.features.feature
    assert len(feature["frames"].bytes_list.value) == 141
    assert len(feature["flow"].bytes_list.value) == 140


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"resize": "squash"}, "resize='squash' is not one of 'stretch', 'crop', 'motion'"),
        ({"jpeg_quality": 0}, r"jpeg_quality=0 is not a whole number in \[1, 100\]"),
        ({"image_size": 8}, r"image_size=8 is not a whole number in \[16, 8192\]"),
        ({"flow_bound": 0.0}, r"flow_bound=0.0 is not a number in \(0, 10000\]"),
        ({"flow_bound": float("inf")}, "flow_bound=inf is not a number"),
        ({"image_size": "224"}, "image_size='224' is not a whole number"),
        ({"flow_method": "keras", "flow_quality": "fast"}, "flow_quality=fast is of"),
        ({"flow_method": "given", "flow_quality": "fast"}, "flow_quality=fast is of"),
        ({"flow_method": "given", "fps": 5.0}, "fps=5 and repeats=keep leave out frames"),
        ({"flow_method": "given", "repeats": "drop"}, "fps=0 and repeats=drop leave out frames"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        conversion.Settings(**setting)


def test_a_video_whose_frames_repeat_is_noted(tmp_path, write_video):
    once = write_video(tmp_path / "once.mp4", num_frames=16, fourcc="mp4v")
    twice = tmp_path / "twice"
    twice.mkdir()
    for number, frame in enumerate(video.read_frames(once)):
        for copy in range(2):
            cv2.imwrite(str(twice / f"{2 * number + copy:03}.png"), frame[..., ::-1])
    settings = conversion.Settings(image_size=32)
    facts = {}
    for path in (once, twice):
        with records.ExampleWriter("v", 0) as writer:
            facts[path] = conversion.convert(path, writer, settings)
    assert facts[once].note == ""
    assert "repeat the one before" in facts[twice].note
    assert facts[twice].doubt == "repeated_frames"


def test_given_flow_is_stored_in_pixels_of_the_stored_size(dense_flow):
    path = dense_flow / "jump/a"
    settings = conversion.Settings(image_size=32, image_format="png", flow_method="given")
    feature = tf.train.Example.FromString(
        _example(path, "a", 0, settings, given_flow=(path, path))
    ).features.feature
    planes = np.stack(_images(feature["flow"].bytes_list.value))
    assert planes.shape == (3, 64, 32)
    # 2 px of 64 columns are 1 px of 32, and -1 px of 48 rows are -0.67 px of 32.
    assert (planes[:, 4:32] == flow.encode(np.float32(1))).all()
    assert (planes[:, 36:] == flow.encode(np.float32(-2 / 3))).all()
    computed = conversion.Settings(image_size=32, image_format="png")
    others = tf.train.Example.FromString(_example(path, "a", 0, computed)).features.feature
    assert feature["frames"] == others["frames"]
    assert len(others["flow"].bytes_list.value) == 3


def test_given_flow_that_is_not_there_is_no_reason_to_compute_it(dense_flow):
    settings = conversion.Settings(image_size=32, flow_method="given")
    with pytest.raises(video.VideoError, match="no flow pictures of x") as caught:
        _example(dense_flow / "jump/a", "a", 0, settings)
    assert caught.value.outcome == "no_flow"
