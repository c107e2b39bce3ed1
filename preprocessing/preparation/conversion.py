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

# Kinds of notes, as in `notes.jsonl`, beside those of `preprocessing.video`.
GIVEN_FLOW = "given_flow"
REPEATED_FRAMES, STILL, BLACK, SLOW = "repeated_frames", "still", "black", "slow"
# A video counts as black where no grey level of its frames is above this, and as still where no
# two neighbours differ by more than STILL_CHANGE levels on average; and as slow below this share
# of the rate that is asked for.
_BLACK_LEVEL, _STILL_CHANGE, _SLOW = 24, 0.05, 0.9


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the stored bytes depend on."""

    # Side of the stored frames and flow fields, in pixels.
    image_size: int = setting(224, "[16, 8192]")
    # See `preprocessing.video.resize`; `motion` is the window around what moves.
    resize: str = setting("stretch", video.RESIZE_MODES)
    # Frames a second that are taken of videos with more; 0 takes all.
    fps: float = setting(0.0, "[0, 1000]")
    # Whether frames that repeat the one before are kept, see `preprocessing.video.Selection`.
    repeats: str = setting(video.REPEATS[0], video.REPEATS)
    # `png` is lossless.
    image_format: str = setting("jpeg", records.IMAGE_FORMATS)
    jpeg_quality: int = setting(95, "[1, 100]")
    # Displacement in pixels at the ends of the 8-bit range.
    flow_bound: float = setting(flow.BOUND, "(0, 10000]")
    # See `preprocessing.flow.Solver`; `given` reads flow that is there, in pictures of the same
    # `flow_bound` (`preprocessing.flow.given`).
    flow_method: str = setting("opencv", (*flow.METHODS, given.METHOD))
    # Of `opencv`; of other methods always `reference`, whatever is given.
    flow_quality: str = setting("fast", flow.QUALITIES)

    def __post_init__(self):
        check(self)
        if self.flow_method != "opencv":
            object.__setattr__(self, "flow_quality", "reference")
        if self.flow_method == given.METHOD and (self.fps or self.repeats != video.REPEATS[0]):
            raise UserError(
                f"fps={self.fps:g} and repeats={self.repeats} leave out frames, and given flow is"
                " between all of them: leave both settings out, or compute the flow"
            )


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a video after its conversion.

    Attributes:
        num_frames: frames that decoded.
        mean_motion: mean length of the flow vectors, in pixels of the stored size.
        note: what is doubtful about it or was repaired, in one line; empty where nothing is.
        doubt: the kind of note, of several the first; empty where there is none.
        fps: frames a second that were taken, by their times; 0 for images, which have none.
    """

    num_frames: int
    mean_motion: float
    note: str = ""
    doubt: str = ""
    fps: float = 0.0


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
    seen = _Seen()

    def waiting():
        report(0)

    def decode(note):
        timed = video.read_timed_frames(
            path,
            note,
            waiting,
            segment,
            square=settings.resize != "stretch",
            selection=video.Selection(settings.fps, settings.repeats),
        )
        return itertools.islice(timed, frame_limit)

    resize = video.Resizer(
        settings.image_size,
        settings.resize,
        (frame for _, frame in decode(lambda kind, text: None)),
        waiting,
    )
    ready: given.GivenFlow | None = None
    if settings.flow_method == given.METHOD:
        ready = given.GivenFlow(path, given_flow, settings.flow_bound, resize)
    source = ready or solver or flow.Solver(settings.flow_method, settings.flow_quality)

    def gray_frames():
        for seconds, frame in decode(seen.notes.setdefault):
            small = resize(frame)
            writer.add_frame(
                records.encode_frame(small, settings.image_format, settings.jpeg_quality)
            )
            gray = video.grayscale(small)
            seen.add(seconds, gray)
            if writer.size > records.MAX_EXAMPLE_BYTES - (1 << 20):
                raise video.VideoError(
                    "too_long",
                    f"{path} fills a record's 2 GiB after {seen.count} frames: cut it into clips",
                )
            yield gray

    motion = 0.0
    for field in source.fields(gray_frames(), waiting=lambda: report(0)):
        planes = flow.encode(field, settings.flow_bound).transpose(2, 0, 1)  # h w xy -> xy h w
        writer.add_flow(records.encode_field(planes, settings.image_format, settings.jpeg_quality))
        motion += float(np.hypot(field[..., 0], field[..., 1]).mean())
        report(1)
    if seen.count < 2:
        where = f"{path} from {segment.start:g} to {segment.end:g} s" if segment else path
        raise video.VideoError(
            "too_short", f"{where} has {seen.count} frame, and flow needs two: leave it out"
        )
    fps = 0.0 if Path(path).is_dir() else seen.fps
    writer.set_fps(fps)
    notes = seen.all_notes(path)
    if ready and ready.notes:
        notes[GIVEN_FLOW] = "; ".join(ready.notes)
    if 0 < fps < _SLOW * settings.fps:
        notes[SLOW] = f"{path} has {fps:g} frames a second, fewer than fps={settings.fps:g}"
    return Facts(
        num_frames=seen.count,
        mean_motion=round(motion / (seen.count - 1), 4),
        note="; ".join(notes.values()),
        doubt=next(iter(notes), ""),
        fps=fps,
    )


class _Seen:
    """What the frames of a video showed."""

    def __init__(self) -> None:
        self.count = 0
        self.notes: dict[str, str] = {}  # kind -> one line
        self._repeats = video.RepeatCounter()
        self._brightest = 0
        self._first = self._last = 0.0  # seconds

    def add(self, seconds: float, gray: np.ndarray):
        """Takes the next frame: its time and uint8 (H, W)."""
        self._first = seconds if self.count == 0 else self._first
        self._last = seconds
        self.count += 1
        self._repeats.add(gray)
        self._brightest = max(self._brightest, int(gray.max()))

    @property
    def fps(self) -> float:
        """Frames a second by their times, rounded; 0 of one frame."""
        length = self._last - self._first
        return round((self.count - 1) / length, 3) if length > 0 else 0.0

    def all_notes(self, path: Path) -> dict[str, str]:
        """The notes of the decoder and what the frames themselves make doubtful."""
        notes = dict(self.notes)
        if repeated := self._repeats.note(path):
            notes[REPEATED_FRAMES] = repeated
        if self._brightest <= _BLACK_LEVEL:
            notes[BLACK] = f"{path} is black: no pixel is above level {self._brightest} of 255"
        elif self._repeats.largest < _STILL_CHANGE:
            notes[STILL] = f"{path} never changes: its {self.count} frames are one picture"
        return notes
