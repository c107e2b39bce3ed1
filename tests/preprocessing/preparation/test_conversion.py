import cv2
import numpy as np
import pytest

from preprocessing import flow, records, video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from preprocessing.records import grid


def _record(path, given_flow=None, segment=None, report=lambda pairs: None, **settings):
    """(the record, facts); 32 x 32 unless other settings are given."""
    settings = conversion.Settings(**{"image_size": 32} | settings)
    with records.ExampleWriter("v", 0) as writer:
        facts = conversion.convert(
            path, writer, settings, report, segment=segment, given_flow=given_flow
        )
        return records.view_example(writer.serialized()), facts


def _lossless(path, **settings):
    """uint8 (N, 32, 32, 3), uint8 (N-1, 2, 32, 32), facts."""
    example, facts = _record(path, image_format="png", **settings)
    frames = np.stack([records.decode_frame(image) for image in example["frames"]])
    return frames, np.stack([records.decode_field(image) for image in example["flow"]]), facts


def _stretched(path):
    return [
        cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)
        for frame in video.read_frames(path)
    ]


def test_a_lossless_record_holds_the_frames_and_their_flow(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", num_frames=5)
    frames, planes, _ = _lossless(path, flow_quality="reference")
    np.testing.assert_array_equal(frames, _stretched(path))
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    assert len(planes) == 4
    for k in range(4):
        field = solver.calc(gray[k], gray[k + 1], None)
        np.testing.assert_array_equal(planes[k], np.moveaxis(flow.encode(field), -1, 0))
    assert np.abs(planes[:, 0].astype(int) - 128).max() > 3  # the square moves along x


@pytest.mark.parametrize(
    ("num_frames", "outcome", "message"),
    [
        (1, "too_short", "has 1 frame, and flow needs two"),
        (40, "too_long", "fills a record's 2 GiB after .* frames: cut it into clips"),
    ],
)
def test_a_video_of_one_frame_or_of_too_many_is_refused(
    tmp_path, write_video, monkeypatch, num_frames, outcome, message
):
    path = write_video(tmp_path / "a.avi", num_frames, fourcc="MJPG")
    monkeypatch.setattr(records, "MAX_EXAMPLE_BYTES", (1 << 20) + 3000)
    with pytest.raises(video.VideoError, match=message) as caught:
        _record(path)
    assert caught.value.outcome == outcome


@pytest.mark.parametrize("method", ["keras", "given"])
def test_the_quality_of_the_flow_is_of_opencv_alone(method):
    for quality in flow.QUALITIES:
        settings = conversion.Settings(flow_method=method, flow_quality=quality)
        assert settings == conversion.Settings(flow_method=method)
        assert settings.flow_quality == "reference"  # as sets of these methods say


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"resize": "squash"}, "resize='squash' is not one of 'stretch', 'crop', 'motion'"),
        ({"jpeg_quality": 0}, r"jpeg_quality=0 is not a whole number in \[1, 100\]"),
        ({"image_size": 8}, r"image_size=8 is not a whole number in \[16, 8192\]"),
        ({"flow_bound": 0.0}, r"flow_bound=0.0 is not a number in \(0, 10000\]"),
        ({"flow_bound": float("inf")}, "flow_bound=inf is not a number"),
        ({"image_size": "224"}, "image_size='224' is not a whole number"),
        ({"flow_method": "given", "fps": 5.0}, "fps=5 and repeats=keep leave out frames"),
        ({"flow_method": "given", "repeats": "drop"}, "fps=0 and repeats=drop leave out frames"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        conversion.Settings(**setting)


@pytest.fixture
def film(tmp_path, encode):
    """Function of a name, pictures, width of a pixel by its height and rate that writes a film."""

    def film(name, images, aspect=1, rate=25):
        def prepare(stream):
            stream.codec_context.sample_aspect_ratio = aspect

        path, options = tmp_path / f"{name}.mp4", {"crf": "5"}
        return encode(path, images=images, rate=rate, options=options, prepare=prepare)

    return film


def _disc(width, height, number):
    """A disc that moves along a picture of 2:1."""
    image = np.full((height, width, 3), 40, np.uint8)
    center = (int(width * (0.45 + 0.02 * number)), height // 2)
    cv2.ellipse(image, center, (width // 8, height // 4), 0, 0, 360, (230, 200, 60), -1)
    return image


@pytest.mark.parametrize("mode", ["crop", "motion"])
def test_a_disc_stays_round_where_pixels_are_not_square(film, mode):
    wide = film("wide", [_disc(96, 96, k) for k in range(6)], aspect=2)
    square = film("square", [_disc(192, 96, k) for k in range(6)])
    first, second = (_lossless(path, resize=mode)[0].astype(int) for path in (wide, square))
    assert np.abs(first - second).mean() < 4
    rows, columns = np.nonzero(first[0, ..., 0] > 130)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2
    np.testing.assert_array_equal(_lossless(wide)[0], _stretched(wide))


def test_the_pass_that_looks_for_motion_reports_that_it_lives(tmp_path, write_video):
    reports = []
    _record(write_video(tmp_path / "a.mp4", 12), report=reports.append, resize="motion")
    assert reports.index(1) >= 12 and sum(reports) == 11


def test_one_motion_recorded_at_two_rates_gives_one_record_at_one_rate(film):
    fast = film("fast", [_disc(96, 48, k / 4) for k in range(40)], rate=100)
    slow = film("slow", [_disc(96, 48, k) for k in range(10)], rate=25)
    (frames, _, facts), (expected, _, other) = (_lossless(p, fps=25.0) for p in (fast, slow))
    assert (facts.num_frames, facts.fps) == (other.num_frames, other.fps) == (10, 25.0)
    assert np.abs(frames.astype(int) - expected).mean() < 2
    assert facts.mean_motion == pytest.approx(other.mean_motion, rel=0.2)
    assert _record(fast)[1].fps == 100


def test_images_have_no_rate(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), _disc(64, 48, number))
    assert _record(tmp_path)[1].fps == 0


def test_given_flow_is_stored_in_pixels_of_the_stored_size(dense_flow):
    path = dense_flow / "jump/a"
    frames, planes, _ = _lossless(path, given_flow=(path, path), flow_method="given")
    # 2 px of 64 columns are 1 px of 32, and -1 px of 48 rows are -0.67 px of 32.
    assert len(planes) == 3 and (planes[:, 0, 4:] == flow.encode(np.float32(1))).all()
    assert (planes[:, 1, 4:] == flow.encode(np.float32(-2 / 3))).all()
    computed, others, _ = _lossless(path)
    np.testing.assert_array_equal(frames, computed)
    assert len(others) == 3


def test_given_flow_that_is_not_there_is_no_reason_to_compute_it(dense_flow):
    with pytest.raises(video.VideoError, match="no flow pictures of x") as caught:
        _record(dense_flow / "jump/a", flow_method="given")
    assert caught.value.outcome == "no_flow"


def _check_grid(path, frame_grid=4, flow_length=4, given_flow=None, segment=None, **settings):
    """Holds the record of a grid against the whole one; returns the facts of both."""
    whole, facts = _record(path, given_flow, segment, **settings)
    some, of_grid = _record(
        path, given_flow, segment, frame_grid=frame_grid, flow_length=flow_length, **settings
    )
    frames, fields = grid.stored(facts.num_frames, frame_grid, flow_length)
    assert (some["frame_numbers"], some["field_numbers"]) == (frames.tolist(), fields.tolist())
    assert some["frames"] == [whole["frames"][k] for k in frames]
    assert some["flow"] == [whole["flow"][k] for k in fields]
    assert (of_grid.num_frames, of_grid.fps) == (facts.num_frames, facts.fps)
    return facts, of_grid


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resize": "crop", "flow_length": 1},
        {"resize": "motion", "frame_grid": 3},
        {"fps": 10.0},
        {"fps": 10.0, "segment": video.Segment(0.5, 1.4)},
        {"repeats": "drop", "flow_length": 5},
        {"segment": video.Segment(0.2, 1.1)},
        {"image_format": "png", "frame_grid": 2},
        {"frame_grid": 500},
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_grid_stores_images_of_the_whole_record_and_no_others(
    tmp_path, write_video, name, settings
):
    path = write_video(tmp_path / name, 40, "MJPG" if name == "a.avi" else "mp4v")
    facts, of_grid = _check_grid(path, **settings)
    assert of_grid.note == facts.note == ""


@pytest.mark.parametrize("mode", ["stretch", "motion"])
def test_the_grid_is_that_of_the_frames_that_decode_whatever_the_header_says(
    tmp_path, write_video, mode
):
    path = write_video(tmp_path / "a.mpg", num_frames=30, fourcc="mpg1")
    assert video.probe(path).num_frames != 30  # a guess from size and bit rate
    facts, _ = _check_grid(path, resize=mode)
    assert facts.num_frames == 30


@pytest.mark.parametrize("claimed", [1, 25, 47])
def test_a_wrong_count_of_frames_changes_nothing(tmp_path, encode, claimed):
    path = encode(tmp_path / "a.avi", "mjpeg", num_frames=40, pixels="yuvj420p")
    content = path.read_bytes()
    length = content.index(b"strh") + 8 + 32  # dwLength, of 32 bits
    assert content[length : length + 4] == (40).to_bytes(4, "little")
    content = content[:length] + claimed.to_bytes(4, "little") + content[length + 4 :]
    path.write_bytes(content)
    assert video.probe(path).num_frames == claimed
    facts, _ = _check_grid(path)
    assert facts.num_frames == 40


def test_images_that_are_not_stored_are_not_read(tmp_path):
    for number in range(40):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), _disc(64, 48, number % 9))
    (tmp_path / "20.png").write_bytes(b"damaged")
    with pytest.raises(video.VideoError, match=r"20\.png"):
        _record(tmp_path)
    example, facts = _record(tmp_path, frame_grid=4)  # 0, 13, 26, 39
    assert facts.num_frames == 40 and len(example["frames"]) == 4
    (tmp_path / "28.png").write_bytes(b"damaged")  # after field 27
    with pytest.raises(video.VideoError, match=r"28\.png"):
        _record(tmp_path, frame_grid=4)


def test_a_grid_reports_each_stored_field_and_that_it_lives_between_them(tmp_path, write_video):
    reports = []
    example, _ = _record(write_video(tmp_path / "a.mp4", 100), report=reports.append, frame_grid=3)
    assert sum(reports) == len(example["flow"]) == 8
    assert reports.count(0) > 80


def test_of_given_flow_a_grid_reads_the_fields_that_it_stores(dense_flow):
    path = dense_flow / "jump/a"  # 4 frames
    settings = {"flow_method": "given", "frame_grid": 2, "flow_length": 1}
    _check_grid(path, given_flow=(path, path), **settings)
    (path / "flow_x_00002.png").write_bytes(b"damaged")
    with pytest.raises(video.VideoError, match="flow_x_00002"):
        _record(path, (path, path), flow_method="given")
    example, _ = _record(path, (path, path), **settings)
    assert example["field_numbers"] == [0, 2]


def test_what_makes_a_video_doubtful_is_noted_by_the_frames_that_are_looked_at(film):
    moving = [_disc(64, 48, k) for k in range(24)]
    cases = {
        "": film("moving", moving),
        "still": film("still", moving[:1] * 24),
        "black": film("black", [np.zeros((48, 64, 3), np.uint8)] * 24),
        "repeated_frames": film("twice", [moving[k // 2] for k in range(48)]),
        "slow": film("slow", moving, rate=10),
    }
    for doubt, path in cases.items():
        for facts in _check_grid(path, fps=25.0 if doubt == "slow" else 0.0):
            assert facts.doubt == doubt and (str(path) in facts.note) == bool(doubt)
            assert ("repeat the one before" in facts.note) == (doubt == "repeated_frames")


def test_the_length_of_stacks_means_nothing_without_a_grid():
    assert conversion.Settings(flow_length=9) == conversion.Settings()
    assert conversion.Settings(flow_length=9, frame_grid=16).flow_length == 9
    for setting in ({"frame_grid": -1}, {"frame_grid": 16, "flow_length": 0}):
        with pytest.raises(UserError, match=" is not a whole number in "):
            conversion.Settings(**setting)
