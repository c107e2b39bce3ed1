"""One video to one `tf.train.Example`: decode, resize, TV-L1, encode; a pure function of the file.

Runners differ in where this runs (`preprocessing.worker_pool`, `preprocessing.preparation.beam`),
never in what it gives.
"""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from preprocessing import flow, records, video
from preprocessing.errors import UserError
from preprocessing.flow import given
from preprocessing.settings import check, setting

# Kinds of notes, as in `notes.jsonl`.
FEWER_FRAMES, REPEATED_FRAMES = "fewer_frames", "repeated_frames"
GIVEN_FLOW = "given_flow"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the stored bytes depend on."""

    # Side of the stored frames and flow fields, in pixels.
    image_size: int = setting(224, "[16, 8192]")
    # See `preprocessing.video.resize`; `motion` is the window around what moves.
    resize: str = setting("stretch", video.RESIZE_MODES)
    # `png` is lossless.
    image_format: str = setting("jpeg", records.IMAGE_FORMATS)
    jpeg_quality: int = setting(95, "[1, 100]")
    # Displacement in pixels at the ends of the 8-bit range.
    flow_bound: float = setting(flow.BOUND, "(0, 10000]")
    # See `preprocessing.flow.Solver`; `given` reads flow that is there, in pictures of the same
    # `flow_bound` (`preprocessing.flow.given`).
    flow_method: str = setting("opencv", (*flow.METHODS, given.METHOD))
    # Of `opencv`.
    flow_quality: str = setting("reference", flow.QUALITIES)

    def __post_init__(self):
        check(self)
        if self.flow_quality == "fast" and self.flow_method != "opencv":
            raise UserError(f"flow_quality=fast is of flow_method=opencv, not {self.flow_method}")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a video after its conversion.

    Attributes:
        num_frames: frames that decoded.
        mean_motion: mean length of the flow vectors, in pixels of the stored size.
        note: what is doubtful about it, in one line; empty where nothing is.
        doubt: the kind of note; empty where there is none.
    """

    num_frames: int
    mean_motion: float
    note: str = ""
    doubt: str = ""


def convert(
    path: Path,
    writer: records.ExampleWriter,
    settings: Settings,
    report: Callable[[int], None] = lambda pairs: None,
    frame_limit: int | None = None,
    solver: flow.Solver | None = None,
    segment: video.Segment | None = None,
    given_flow: tuple[Path, Path] | None = None,
) -> Facts:
    """Fills `writer` with a video's frames and flow, holding only a few frames at a time.

    Args:
        path: video file or folder of images.
        writer: takes the encoded images.
        settings: sizes and encodings.
        report: called with 1 after every pair of frames, and with 0 while the decoder or the
            device is waited for.
        frame_limit: stop after this many frames (None: all).
        solver: of the flow (None: the one of the settings, in this process).
        segment: the part of the file to convert (None: all of it).
        given_flow: the folders of its ready-made flow, which `flow_method="given"` reads.

    Raises:
        VideoError: the video cannot be used.
    """
    num_frames = 0
    notes: list[str] = []
    repeats = video.RepeatCounter()

    def decode(note):
        decoded = video.read_frames(path, note, lambda: report(0), segment)
        return itertools.islice(decoded, frame_limit)

    resize = video.Resizer(settings.image_size, settings.resize, decode(lambda text: None))
    ready: given.GivenFlow | None = None
    if settings.flow_method == given.METHOD:
        ready = given.GivenFlow(path, given_flow, settings.flow_bound, resize)
    source = ready or solver or flow.Solver(settings.flow_method, settings.flow_quality)

    def gray_frames():
        nonlocal num_frames
        for frame in decode(notes.append):
            small = resize(frame)
            writer.add_frame(
                records.encode_frame(small, settings.image_format, settings.jpeg_quality)
            )
            num_frames += 1
            if writer.size > records.MAX_EXAMPLE_BYTES - (1 << 20):
                raise video.VideoError(
                    "too_long",
                    f"{path} fills a record's 2 GiB after {num_frames} frames: cut it into clips",
                )
            gray = video.grayscale(small)
            repeats.add(gray)
            yield gray

    motion = 0.0
    for field in source.fields(gray_frames(), waiting=lambda: report(0)):
        planes = flow.encode(field, settings.flow_bound).transpose(2, 0, 1)  # h w xy -> xy h w
        writer.add_flow(records.encode_field(planes, settings.image_format, settings.jpeg_quality))
        motion += float(np.hypot(field[..., 0], field[..., 1]).mean())
        report(1)
    if num_frames < 2:
        where = f"{path} from {segment.start:g} to {segment.end:g} s" if segment else path
        raise video.VideoError(
            "too_short", f"{where} has {num_frames} frame, and flow needs two: leave it out"
        )
    doubt = FEWER_FRAMES if notes else ""
    if repeated := repeats.note(path):
        notes.append(repeated)
        doubt = doubt or REPEATED_FRAMES
    if ready and ready.notes:
        notes += ready.notes
        doubt = doubt or GIVEN_FLOW
    note = "; ".join(notes)
    return Facts(num_frames, round(motion / (num_frames - 1), 4), note, doubt)
