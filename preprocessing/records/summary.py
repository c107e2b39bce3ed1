"""What a record set holds, in figures: classes, lengths, motion, splits, and what failed."""

import collections
import dataclasses
import statistics

from preprocessing import records, splits
from preprocessing.captions import one_line
from preprocessing.errors import UserError
from preprocessing.records.outcomes import FAILURES_FILE, NOTES_FILE, Row, read_rows

RATES_DIFFER = 1.5  # times the lowest frame rate
_BARS = 12  # of the histogram of lengths, at most
_SHOWN = 3  # classes with the lowest rates, and with the highest


@dataclasses.dataclass(frozen=True)
class ClassSummary:
    """The recorded videos of one class.

    Attributes:
        videos, groups: how many.
        shortest, median, longest: frames a video.
        mean_motion: mean over its videos of the mean length of the flow vectors, in pixels of the
            stored size.
        example: id of the video whose motion is nearest to that; None without videos.
    """

    name: str
    videos: int
    groups: int = 0
    shortest: int = 0
    median: float = 0.0
    longest: int = 0
    mean_motion: float = 0.0
    example: str | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A record set in figures.

    Attributes:
        classes: in label order, also those without videos.
        lengths: (first frame count, last frame count, videos) of each bar of a histogram.
        divisions: the parts into which each protocol divides the set.
        outcomes: name of a fault -> videos that have it.
        failures: the videos that failed, as in `failures.jsonl`.
        notes: the videos in the set that are doubtful, as in `notes.jsonl`.
    """

    classes: tuple[ClassSummary, ...]
    lengths: tuple[tuple[int, int, int], ...]
    divisions: tuple[splits.Division, ...]
    outcomes: dict[str, int]
    failures: tuple[Row, ...]
    notes: tuple[Row, ...]


def summarise(record_set: records.RecordSet) -> Summary:
    """Summarises a record set from its metadata, `failures.jsonl` and `notes.jsonl`.

    Raises:
        UserError: `failures.jsonl` or `notes.jsonl` is damaged.
    """
    videos_of = collections.defaultdict(list)
    for video in record_set.videos:
        videos_of[video.label].append(video)
    failures = read_rows(record_set.folder, FAILURES_FILE)
    return Summary(
        classes=tuple(
            _class_summary(name, videos_of[label]) for label, name in enumerate(record_set.classes)
        ),
        lengths=tuple(_histogram([video.num_frames for video in record_set.videos])),
        divisions=tuple(splits.divisions(record_set.videos)),
        outcomes=dict(collections.Counter(row["outcome"] for row in failures).most_common()),
        failures=failures,
        notes=read_rows(record_set.folder, NOTES_FILE),
    )


def _class_summary(name: str, videos: list[records.RecordedVideo]) -> ClassSummary:
    if not videos:
        return ClassSummary(name, 0)
    lengths = [video.num_frames for video in videos]
    motion = statistics.fmean(video.mean_motion for video in videos)
    return ClassSummary(
        name=name,
        videos=len(videos),
        groups=len({video.group for video in videos}),
        shortest=min(lengths),
        median=statistics.median(lengths),
        longest=max(lengths),
        mean_motion=motion,
        example=min(videos, key=lambda video: abs(video.mean_motion - motion)).id,
    )


def _histogram(lengths: list[int]) -> list[tuple[int, int, int]]:
    first, last = min(lengths), max(lengths)
    width = -(-(last - first + 1) // _BARS)  # rounded up
    counts = collections.Counter((length - first) // width for length in lengths)
    return [
        (first + k * width, first + (k + 1) * width - 1, counts[k]) for k in range(max(counts) + 1)
    ]


def choose_video(
    record_set: records.RecordSet, summary: Summary, video_id: str | None = None
) -> records.RecordedVideo:
    """The video of an id, or the typical one of the class with the most motion.

    Args:
        video_id: None for the typical one.

    Raises:
        UserError: there is no such video; the message names some that there are.
    """
    if video_id is None:
        moving = max(summary.classes, key=lambda one: one.mean_motion if one.videos else -1)
        video_id = moving.example
    for video in record_set.videos:
        if video.id == video_id:
            return video
    wanted = str(video_id)
    similar = [video.id for video in record_set.videos if wanted.lower() in video.id.lower()]
    some = similar or [video.id for video in record_set.videos]
    failed = " (it failed: failures.jsonl has the reason)" if wanted in record_set.failed else ""
    raise UserError(
        f"{record_set.folder} has no video {wanted!r}{failed}: there are"
        f" {', '.join(some[:5])}{' and others' if len(some) > 5 else ''}"
    )


def rates_that_differ(record_set: records.RecordSet) -> str:
    """A line with the frame rates of each class, where they differ by more than RATES_DIFFER times.

    A network can then know a class by its camera: motion looks faster at fewer frames a second.
    Empty where they do not, or all are unknown.
    """
    rates = collections.defaultdict(list)
    for video in record_set.videos:
        if video.fps:
            rates[video.class_name].append(video.fps)
    everything = [rate for of_class in rates.values() for rate in of_class]
    if not everything or max(everything) <= RATES_DIFFER * min(everything):
        return ""
    shown = sorted(rates.items(), key=lambda item: statistics.median(item[1]))
    left_out = max(0, len(shown) - 2 * _SHOWN)
    if left_out:
        shown = shown[:_SHOWN] + shown[-_SHOWN:]
    classes = "; ".join(
        f"{one_line(name, 40)} {min(some):g} to {max(some):g}, median {statistics.median(some):g}"
        for name, some in shown
    )
    return (
        f"frame rates differ, {min(everything):g} to {max(everything):g} a second, and may tell the"
        f" class: {classes}{f' ({left_out} classes between them)' if left_out else ''}."
        f" experiments.prepare --fps={min(everything):g} takes all at one rate"
    )
