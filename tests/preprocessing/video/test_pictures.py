import gc
import struct
from fractions import Fraction

import av
import av.filter
import cv2
import numpy as np
import pytest

from preprocessing import video


def _decoded(path):
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def _deinterlaced(path):
    """All frames through the filter, as `ffmpeg -vf bwdif=send_frame:deint=interlaced` does."""
    frames = _decoded(path)
    first = frames[0]
    graph = av.filter.Graph()
    size = {"width": first.width, "height": first.height, "format": first.format}
    source = graph.add_buffer(**size, time_base=Fraction(1, 25))
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    out = []
    for number, frame in enumerate([*frames, None]):
        if frame is not None:
            frame.pts, frame.time_base = number, Fraction(1, 25)
        graph.vpush(frame)
        while True:
            try:
                out.append(graph.vpull().to_ndarray(format="rgb24"))
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return out


def _noted(path):
    notes = []
    frames = list(video.read_frames(path, lambda kind, reason: notes.append((kind, reason))))
    return frames, notes


def test_interlaced_frames_are_those_of_ffmpegs_filter_one_for_one(interlaced):
    assert _decoded(interlaced)[0].interlaced_frame
    frames, notes = _noted(interlaced)
    expected = _deinterlaced(interlaced)
    assert len(frames) == len(expected) == 10
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(frames, expected, strict=True)) <= 1
    assert notes == [("deinterlaced", f"{interlaced} is interlaced: its frames were deinterlaced")]


def test_a_single_interlaced_frame_is_one_frame(tmp_path, encode):
    path = encode(tmp_path / "a.mpg", "mpeg2video", num_frames=1, options={"flags": "+ildct+ilme"})
    assert len(_noted(path)[0]) == 1


@pytest.mark.parametrize("order", ["pi", "ip", "pip"])
def test_progressive_frames_beside_interlaced_ones_stay_as_they_are(tmp_path, encode, order):
    flags = {"p": {}, "i": {"flags": "+ildct+ilme"}}
    pieces = [
        encode(tmp_path / f"{k}.mpg", "mpeg2video", options=flags[kind]).read_bytes()
        for k, kind in enumerate(order)
    ]
    path = tmp_path / "mixed.mpg"
    path.write_bytes(b"".join(pieces))
    whole = _decoded(path)
    assert len({frame.interlaced_frame for frame in whole}) == 2
    frames, notes = _noted(path)
    expected = _deinterlaced(path)
    assert len(frames) == len(whole) == len(expected)
    for frame, plain, filtered in zip(frames, whole, expected, strict=True):
        wanted = filtered if plain.interlaced_frame else plain.to_ndarray(format="rgb24")
        np.testing.assert_allclose(frame, wanted, atol=1)
    assert [kind for kind, _ in notes] == ["deinterlaced"]


def test_a_segment_of_an_interlaced_video_has_the_frames_of_the_whole(tmp_path, encode):
    path = encode(
        tmp_path / "a.mpg", "mpeg2video", num_frames=150, options={"flags": "+ildct+ilme"}
    )
    whole = list(video.read_frames(path))
    part = list(video.read_frames(path, segment=video.Segment(4, 4.4)))
    np.testing.assert_array_equal(part, whole[100:110])


def _with_matrix(path, a, b, c, d):
    """A copy of an MP4 with a display matrix in its track header (ISO 14496-12, 8.3.2)."""
    content = path.read_bytes()
    turned = path.with_name("turned.mp4")
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    position = content.index(identity, content.index(b"tkhd"))
    turned.write_bytes(content[:position] + matrix + content[position + len(matrix) :])
    return turned


# x' = a x + c y, y' = b x + d y: where the corner that was top left goes, and the shape.
ORIENTATIONS = {
    "as it is": ((1, 0, 0, 1), lambda image: image),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down, mirrored": ((1, 0, 0, -1), lambda image: image[::-1]),
    "half a turn": ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    "quarter clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "quarter back": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed, half a turn": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_video_is_turned_and_mirrored_as_players_show_it(tmp_path, encode, name):
    path = encode(tmp_path / "plain.mp4")
    matrix, expected = ORIENTATIONS[name]
    turned = next(video.read_frames(_with_matrix(path, *matrix)))
    np.testing.assert_array_equal(turned, expected(next(video.read_frames(path))))


@pytest.mark.parametrize("name", ["plain", "turned", "interlaced"])
def test_a_frame_is_freed_when_the_next_ones_come(tmp_path, encode, name):
    if name == "interlaced":
        options = {"flags": "+ildct+ilme"}
        path = encode(tmp_path / "a.mpg", "mpeg2video", num_frames=30, options=options)
    else:
        path = encode(tmp_path / "plain.mp4", num_frames=30)
    if name == "turned":
        path = _with_matrix(path, 0, 1, -1, 0)

    def alive():
        return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())

    gc.collect()
    gc.disable()  # which frees what refers to itself, after hundreds of frames of a video
    try:
        before = alive()
        held = [alive() - before for _ in video.read_frames(path)]
    finally:
        gc.enable()
    assert len(held) == 30
    assert max(held) <= 8


def _aspect(width, height):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(width, height)

    return prepare


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
@pytest.mark.parametrize(
    ("aspect", "shape"), [((2, 1), (48, 128)), ((12, 11), (48, 70)), ((1, 2), (96, 64))]
)
def test_pixels_become_square_only_where_they_must(tmp_path, encode, name, aspect, shape):
    codec = {"a.avi": "mpeg4"}.get(name, "libx264")
    path = encode(tmp_path / name, codec, prepare=_aspect(*aspect))
    assert next(video.read_frames(path)).shape == (48, 64, 3)
    assert next(video.read_frames(path, square=True)).shape == (*shape, 3)


def test_square_pixels_and_a_quarter_turn_go_together(tmp_path, encode):
    path = encode(tmp_path / "a.mp4", prepare=_aspect(2, 1))
    turned = _with_matrix(path, 0, 1, -1, 0)
    assert next(video.read_frames(turned, square=True)).shape == (128, 48, 3)


@pytest.mark.parametrize("curve", [16, 18])  # PQ and HLG
def test_high_dynamic_range_is_mapped_and_said(tmp_path, encode, curve):
    def mark(frame):
        frame.color_trc, frame.color_primaries, frame.colorspace = curve, 9, 9

    def prepare(stream):
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = curve, 9, 9

    path = encode(
        tmp_path / "hdr.mp4", "libx265", pixels="yuv420p10le", prepare=prepare, mark=mark,
        options={"x265-params": "log-level=none"},
    )  # fmt: skip
    (first, *_) = _decoded(path)
    assert first.color_trc == curve
    frames, notes = _noted(path)
    assert len(frames) == 10
    assert [kind for kind, _ in notes] == ["hdr"] and "mapped" in notes[0][1]
    # Read as the usual range the picture is flat and grey: mapped, its contrast is larger.
    assert frames[0].std() > 1.05 * first.to_ndarray(format="rgb24").std()


def test_frames_of_another_size_are_brought_to_that_of_the_first(tmp_path, encode):
    pieces = [
        encode(tmp_path / f"{k}.mpg", "mpeg1video", size=size)
        for k, size in enumerate(((64, 48), (96, 80)))
    ]
    path = tmp_path / "both.mpg"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    assert {frame.shape for frame in video.read_frames(path)} == {(48, 64, 3)}
    for piece, found in zip(pieces, (0, -1), strict=True):
        expected = cv2.resize(list(video.read_frames(piece))[found], (64, 48))
        difference = np.abs(list(video.read_frames(path))[found].astype(int) - expected)
        assert difference.mean() < 6


# Of codecs that keep every value; yuv420p of a phone and of UCF101 are compared elsewhere.
PIXELS = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv410p",
    "yuv411p",
    "yuv440p",
    "yuva420p",
    "yuva444p",
    "gray",
    "gray10le",
    "gray16le",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p12le",
    "yuv444p16le",
    "bgr0",
    "bgra",
    "rgb48le",
    "gbrp10le",
    "gbrp16le",
    "rgba64le",
]


@pytest.mark.parametrize("pixels", PIXELS)
def test_the_colors_of_every_kind_of_pixel_are_those_of_opencv(tmp_path, encode, pixels):
    path = encode(tmp_path / "a.mkv", "ffv1", num_frames=3, pixels=pixels)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for frame in video.read_frames(path):
        expected = capture.read()[1][..., ::-1]
        assert np.abs(frame.astype(int) - expected).max() <= 4
