import cv2
import numpy as np
import pytest

from preprocessing import flow, video
from preprocessing.flow import given

BOUND = 20.0


def _pictures(displacements, bound=BOUND):
    """As dense_flow stores them: round(255 * (v + bound) / (2 * bound))."""
    levels = 255 * (np.asarray(displacements, np.float64) + bound) / (2 * bound)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _write(folder, frames, fields, start=1, name="{}_{:05d}.png"):
    """Frames (H, W, 3) and encoded fields (h, w, 2) in the layout of dense_flow."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start):
        assert cv2.imwrite(str(folder / name.format("img", number)), frame)
    for number, field in enumerate(fields, start):
        for axis, letter in enumerate("xy"):
            path = folder / name.format(f"flow_{letter}", number)
            assert cv2.imwrite(str(path), np.ascontiguousarray(field[..., axis]))
    return folder


def _read(folder, size=32, mode="stretch", bound=BOUND, folders=None):
    """(fields, notes)."""
    resize = video.Resizer(size, mode, video.read_frames(folder))
    ready = given.GivenFlow(folder, folders or (folder, folder), bound, resize)
    fields = list(ready.fields(range(len(list(video.read_frames(folder))) - 1)))
    return np.stack(fields), ready.notes


def _noise(count, height=48, width=64, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return [np.roll(noise, 2 * k, 1) for k in range(count)]


def _ramp(height, width):
    """Displacements that grow over the picture: 6 to -6 in x over its columns, -9 to 9 in y."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.stack([6 - 12 * columns / width, -9 + 18 * rows / height], -1)


def test_of_the_network_s_size_each_level_is_kept_and_no_motion_is_none():
    stored = flow.encode(given.decode(np.arange(256, dtype=np.uint8), BOUND))
    assert stored[127] == stored[128] == 128
    np.testing.assert_array_equal(stored[128:], np.arange(128, 256))
    np.testing.assert_array_equal(stored[:128], np.arange(1, 129))
    for bound in (5.0, 20.0, 33.3):
        displacements = np.linspace(-bound, bound, 4001)
        errors = np.abs(given.decode(_pictures(displacements, bound), bound) - displacements)
        level = 2 * bound / 255
        assert errors[np.abs(displacements) > level].max() < 0.501 * level
        assert errors.max() < 1.001 * level


@pytest.mark.parametrize("shape", [(48, 64), (120, 90), (32, 32), (20, 24)])
def test_stretched_displacements_are_in_pixels_of_the_network(tmp_path, shape):
    height, width = shape
    _write(tmp_path, _noise(3, height, width), [_pictures(_ramp(height, width))] * 2)
    fields, notes = _read(tmp_path)
    expected = _ramp(32, 32) * [32 / width, 32 / height]
    assert fields.dtype == np.float32 and fields.shape == (2, 32, 32, 2) and notes == []
    levels = 1 + 32 / min(shape)  # rounded twice, once before it is scaled
    inner = np.s_[:, 2:-2, 2:-2]
    error = flow.encode(fields)[inner].astype(int) - flow.encode(expected)[inner[1:]]
    assert np.abs(error).max() <= levels


def test_the_bound_is_the_pictures_own(tmp_path):
    _write(tmp_path, _noise(2), [_pictures(_ramp(48, 64), 10)])
    fields, _ = _read(tmp_path, bound=10)
    np.testing.assert_allclose(fields[0], _ramp(32, 32) * [0.5, 32 / 48], atol=0.2)


@pytest.mark.parametrize("name", ["{}_{:d}.png", "{}{:07d}.jpg", "{}-{:02d}.JPG"])
@pytest.mark.parametrize("start", [0, 1, 98])
def test_other_numbers_and_endings(tmp_path, name, start):
    fields = [_pictures(np.full((48, 64, 2), k) + _ramp(48, 64)) for k in range(3)]
    _write(tmp_path, _noise(4), fields, start, name)
    read, _ = _read(tmp_path)
    assert np.diff(read.mean((1, 2))[:, 0]) == pytest.approx([0.5, 0.5], abs=0.05)


def test_folders_of_their_own(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    _write(tmp_path / "frames", _noise(3), [])
    field = _pictures(_ramp(48, 64))
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"x/frame{number:06d}.jpg"), field[..., 0])
        cv2.imwrite(str(tmp_path / f"y/frame{number:06d}.jpg"), field[..., 1])
    fields, _ = _read(tmp_path / "frames", folders=(tmp_path / "x", tmp_path / "y"))
    np.testing.assert_allclose(fields[1], _ramp(32, 32) * [0.5, 32 / 48], atol=0.3)


@pytest.mark.parametrize("dropped", ["first", "last"])
def test_of_as_many_fields_as_frames_the_one_that_fits_no_pair_is_left_out(tmp_path, dropped):
    texture = np.random.default_rng(1).integers(0, 255, (48, 200), np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 1.5)
    steps = [1, 4, 2, 6, 3]  # by which the picture moves to the left
    lefts = np.cumsum([60, *steps])
    frames = [np.repeat(texture[:, left : left + 64, None], 3, 2) for left in lefts]
    true = np.zeros((5, 48, 64, 2))
    true[..., 0] = -np.array(steps)[:, None, None]
    true[:, 20, 20, 1] = 1  # no two alike at every pixel
    extra = _pictures(np.full((48, 64, 2), 9.0) * [[[1, 0]]])
    fields = [extra, *_pictures(true)] if dropped == "first" else [*_pictures(true), extra]
    _write(tmp_path, frames, fields)
    read, notes = _read(tmp_path, 64)
    assert read.shape == (5, 64, 64, 2)
    np.testing.assert_allclose(read[..., 0].mean((1, 2)), -np.array(steps), atol=0.1)
    number = {"first": 1, "last": 6}[dropped]
    assert f"the {dropped} (flow_x_0000{number}.png) is left out" in notes[0]


def _fail(folder, outcome, message, folders=None):
    with pytest.raises(video.VideoError, match=message) as caught:
        _read(folder, folders=folders)
    assert caught.value.outcome == outcome
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_what_is_missing_is_named(tmp_path):
    field = _pictures(_ramp(48, 64))
    folder = _write(tmp_path / "a", _noise(5), [field] * 3)
    _fail(folder, "flow_count", "5 frames, 3 x and 3 y flow pictures: needed are")
    _fail(_write(tmp_path / "b", _noise(2), [field] * 3), "flow_count", "2 frames, 3 x and 3 y")
    folder = _write(tmp_path / "c", _noise(3), [field] * 2)
    (folder / "flow_y_00002.png").unlink()
    _fail(folder, "flow_count", "3 frames, 2 x and 1 y")
    (folder / "flow_y_00001.png").rename(folder / "flow_y_00003.png")
    (folder / "flow_x_00002.png").unlink()
    (folder / "img_00003.png").unlink()
    _fail(folder, "flow_count", "flow_x_00001.png beside flow_y_00003.png")
    (folder / "flow_y_00003.png").unlink()
    _fail(folder, "no_flow", "no flow pictures of y: --flow=given needs")
    apart = tmp_path / "gone", tmp_path / "a"
    _fail(folder, "no_flow", "no flow pictures of x in .*/gone", apart)
    frames = _write(tmp_path / "d", _noise(3), [])
    _fail(frames, "no_flow", "no flow pictures of x: --flow=given needs flow_x_")
    with pytest.raises(video.VideoError, match="is a file") as caught:
        given.GivenFlow(folder / "img_00001.png", None, BOUND, None)
    assert caught.value.outcome == "no_flow"


def test_pictures_that_hold_no_flow_are_refused(tmp_path):
    field = _pictures(_ramp(48, 64))
    folder = _write(tmp_path, _noise(3), [field] * 2)
    path = folder / "flow_y_00002.png"
    good = path.read_bytes()
    for picture, message in (
        (_noise(1)[0], "is in colour: needed is flow as 8-bit gray"),
        (field[..., 1].astype(np.uint16), "is of uint16"),
        (np.zeros((48, 64), np.uint8), "is 0 at every pixel"),
        (np.full((48, 64), 255, np.uint8), "is 255 at every pixel"),
        (field[:40, :, 1], "is of 64 x 40 pixels, other flow of the clip of 64 x 48"),
    ):
        cv2.imwrite(str(path), np.ascontiguousarray(picture))
        _fail(folder, "bad_flow", message)
    path.write_bytes(good[: len(good) // 2])
    _fail(folder, "corrupt", "flow_y_00002.png is cut off or damaged")
    # Gray that is stored as three equal channels is taken.
    cv2.imwrite(str(path), np.repeat(field[..., 1:], 3, 2))
    assert len(_read(folder)[0]) == 2


def test_what_is_doubtful_is_noted(tmp_path):
    still = _write(tmp_path / "still", _noise(3), [_pictures(np.ones((48, 64, 2)))] * 2)
    assert "4 of 4 flow pictures are the same at every pixel" in _read(still)[1][0]
    cut = _write(tmp_path / "cut", _noise(3), [_pictures(4 * _ramp(48, 64))] * 2)
    (note,) = _read(cut)[1]
    assert "of its flow lies at the ends of 0..255" in note
    stretched = np.round(255 * (_ramp(48, 64) - [-6, -9]) / [12, 18]).astype(np.uint8)
    stretched[:2, :2] = 0
    stretched[-2:, -2:] = 255
    folder = _write(tmp_path / "stretched", _noise(3), [stretched] * 2)
    assert "2 of 2 flow fields reach both ends of 0..255" in _read(folder)[1][0]
    folder = _write(tmp_path / "shape", _noise(3), [_pictures(_ramp(64, 64))] * 2)
    assert "has frames of 64 x 48 and flow of 64 x 64: taken as" in _read(folder)[1][0]
