"""One video to one `tf.train.Example`: decode, resize, TV-L1, encode; a pure function of the file.

Runners differ in where this runs (`preprocessing.worker_pool`, `preprocessing.preparation.beam`),
never in what it gives.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import numpy as np

from preprocessing import flow, records, video
from preprocessing.errors import UserError
from preprocessing.flow import constants, given
from preprocessing.records import grid
from preprocessing.settings import FLOW_LENGTH, check, setting

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

    image_size: int = setting(224, "[16, 8192]")
    """Side of the stored frames and flow fields, in pixels."""
    resize: str = setting("stretch", video.RESIZE_MODES)
    """See `preprocessing.video.resize`; `motion` is the window around what moves."""
    fps: float = setting(0.0, "[0, 1000]")
    """Frames a second that are taken of videos with more; 0 takes all."""
    repeats: str = setting(video.REPEATS[0], video.REPEATS)
    """Whether frames that repeat the one before are kept, see `preprocessing.video.Selection`."""
    image_format: str = setting("jpeg", records.IMAGE_FORMATS)
    """`png` is lossless."""
    jpeg_quality: int = setting(95, "[1, 100]")
    """Of JPEGs."""
    flow_bound: float = setting(flow.BOUND, "(0, 10000]")
    """Displacement in pixels at the ends of the 8-bit range."""
    flow_method: str = setting("opencv", (*flow.METHODS, constants.GIVEN))
    """See `preprocessing.flow.Solver`; `given` reads flow that is there, in pictures of the same
    `flow_bound` (`preprocessing.flow.given`).
    """
    flow_quality: str = setting("fast", flow.QUALITIES)
    """Of `opencv`; of other methods always `reference`, whatever is given."""
    frame_grid: int = setting(0, "[0, 100000]")
    """Frames of a video that are stored, spread evenly over it (`preprocessing.records.grid`), and
    of the flow only the fields around these; 0 stores everything.
    """
    flow_length: int = setting(FLOW_LENGTH, "[1, 1000]")
    """Of a grid: the largest L of which the fields are stored; without one always the default."""

    def __post_init__(self):
        check(self)
        if not self.frame_grid:
            object.__setattr__(self, "flow_length", FLOW_LENGTH)
        if self.flow_method != "opencv":
            object.__setattr__(self, "flow_quality", "reference")
        if self.flow_method == constants.GIVEN and (self.fps or self.repeats != video.REPEATS[0]):
            raise UserError(
                f"fps={self.fps:g} and repeats={self.repeats} leave out frames, and given flow is"
                " between all of them: leave both settings out, or compute the flow"
            )

    def stored(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the frames and of the flow fields that are stored of a video of so many."""
        return grid.stored(num_frames, self.frame_grid, self.flow_length)


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a video after its conversion.

    Attributes:
        num_frames: frames that decoded.
        mean_motion: mean length of the stored flow vectors, in pixels of the stored size.
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

    With a grid, the frames to store follow from the number of frames, which decoding all of them
    tells. The header mostly tells it too: the video is decoded again where it does not.

    Args:
        report: called with 1 after every flow field, and with 0 while none comes.
        frame_limit: stop after this many frames (None: all).
        solver: of the flow (None: the one of the settings, in this process).
        segment: the part of the file to convert (None: all of it).
        given_flow: the folders of its ready-made flow, which `flow_method="given"` reads.

    Raises:
        VideoError: the video cannot be used.
    """
    selection = video.Selection(settings.fps, settings.repeats)

    def waiting():
        report(0)

    def decode(note=lambda kind, text: None):
        square = settings.resize != "stretch"
        timed = video.read_unconverted(path, note, waiting, segment, square, selection)
        return itertools.islice(timed, frame_limit)

    num_frames = 0

    def looked_through():
        nonlocal num_frames
        for _, picture in decode():
            num_frames += 1
            yield picture()

    resize = video.Resizer(settings.image_size, settings.resize, looked_through(), waiting)
    if settings.frame_grid and not num_frames:
        claim = video.probe(path)
        num_frames = selection.num_frames(claim.num_frames, claim.fps, segment)
        num_frames = min(num_frames, frame_limit or num_frames)
    ready: given.GivenFlow | None = None
    if settings.flow_method == constants.GIVEN:
        ready = given.GivenFlow(path, given_flow, settings.flow_bound, resize)
    source = ready or solver or flow.Solver(settings.flow_method, settings.flow_quality)
    conversion = _Conversion(path, writer, settings, report, resize, source)
    seen = conversion.run(decode, num_frames)
    if settings.frame_grid and 1 < seen.count != num_frames:
        writer.clear()
        num_frames, seen = seen.count, conversion.run(decode, seen.count)
        if seen.count != num_frames:
            raise video.VideoError(
                "unreadable",
                f"{path} had {num_frames} frames and then {seen.count}: it changes while it is"
                " read. Run the same command again",
            )
    if seen.count < 2:
        where = f"{path} {segment}" if segment else path
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
        mean_motion=round(seen.motion / seen.num_fields, 4),
        note="; ".join(notes.values()),
        doubt=next(iter(notes), ""),
        fps=fps,
    )


@dataclasses.dataclass(frozen=True)
class _Conversion:
    """The conversion of a video once it is known how its frames become small; see `convert`."""

    path: Path
    writer: records.ExampleWriter
    settings: Settings
    report: Callable[[int], None]
    resize: video.Resizer
    source: flow.Solver | given.GivenFlow

    def run(self, decode, num_frames: int) -> "_Seen":
        """Stores the frames and fields of a video of so many frames, which matter with a grid."""
        settings, writer, seen = self.settings, self.writer, _Seen()
        frames: Container[int] = range(sys.maxsize)
        fields = frames
        if settings.frame_grid:
            numbers = [one.tolist() for one in settings.stored(num_frames)]
            writer.set_numbers(*numbers)
            frames, fields = map(frozenset, numbers)
        pairs = self._pairs(decode(seen.notes.setdefault), frames, fields, seen)
        if isinstance(self.source, given.GivenFlow):
            solved = self.source.fields(number for number, _, _ in pairs)
        else:
            solved = self.source.solve((first, second) for _, first, second in pairs)
        for field in solved:
            planes = flow.encode(field, settings.flow_bound).transpose(2, 0, 1)  # h w xy -> xy h w
            writer.add_flow(
                records.encode_field(planes, settings.image_format, settings.jpeg_quality)
            )
            seen.num_fields += 1
            seen.motion += float(np.hypot(field[..., 0], field[..., 1]).mean())
            self.report(1)
        return seen

    def _pairs(
        self, decoded, frames: Container[int], fields: Container[int], seen: "_Seen"
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Stores the frames, and gives (number of the field, its two frames in gray)."""
        settings, last = self.settings, np.zeros(0)
        for number, (seconds, picture) in enumerate(decoded):
            completes = number - 1 in fields
            if not (completes or number in frames or number in fields):
                seen.add(seconds)
                self.report(0)
                continue
            small = self.resize(picture())
            if number in frames:
                self.writer.add_frame(
                    records.encode_frame(small, settings.image_format, settings.jpeg_quality)
                )
            gray = video.grayscale(small)
            seen.add(seconds, gray)
            if self.writer.size > records.MAX_EXAMPLE_BYTES - (1 << 20):
                raise video.VideoError(
                    "too_long",
                    f"{self.path} fills a record's 2 GiB after {seen.count} frames: cut it into"
                    " clips",
                )
            if completes:
                yield number - 1, last, gray
            last = gray


class _Seen:
    """What the frames of a video showed."""

    def __init__(self) -> None:
        self.count = self.num_fields = 0
        self.motion = 0.0  # sum over the fields
        self.notes: dict[str, str] = {}  # kind -> one line
        self._repeats = video.RepeatCounter()
        self._brightest = 0
        self._first = self._last = 0.0  # seconds
        self._looked_at = -1  # the last frame whose pixels were taken

    def add(self, seconds: float, gray: np.ndarray | None = None):
        """Takes the next frame: its time, and uint8 (H, W) where it is looked at."""
        self._first = seconds if self.count == 0 else self._first
        self._last = seconds
        if gray is not None:
            self._repeats.add(gray, follows=self._looked_at == self.count - 1)
            self._brightest = max(self._brightest, int(gray.max()))
            self._looked_at = self.count
        self.count += 1

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
