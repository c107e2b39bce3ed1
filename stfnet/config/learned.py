"""What a network learned from, as far as whoever asks it must know: a part of its file."""

import dataclasses

from preprocessing import flow
from preprocessing.flow.constants import GIVEN
from preprocessing.records import IMAGE_FORMATS, RecordSet
from preprocessing.settings import check, setting


@dataclasses.dataclass(frozen=True)
class RecordsConfig:
    """The records that a run began with, as far as other videos must be read like them.

    The defaults are those of runs of a version that kept none of it.
    """

    image_format: str = setting("jpeg", IMAGE_FORMATS)
    """How frames and flow fields are stored, see `preprocessing.records`."""
    jpeg_quality: int = setting(95, "[1, 100]")
    """Of JPEGs."""
    num_frames: int = setting(0, "[0, 2147483647]")
    """Median number of frames of a video; 0 where unknown."""
    flow_method: str = setting("opencv", (*flow.METHODS, GIVEN))
    """What computed their flow. The flow of `keras` is that of `opencv` in the quality `reference`;
    `given` was made by other programs, and TV-L1 stands in for it.
    """
    flow_quality: str = setting("fast", flow.QUALITIES)
    """Of TV-L1."""

    def __post_init__(self):
        check(self, "records.")

    @classmethod
    def of(cls, record_set: RecordSet) -> "RecordsConfig":
        """That of a record set."""
        lengths = sorted(video.num_frames for video in record_set.videos)
        encoding, made = record_set.encoding, record_set.flow
        return cls(
            encoding["image_format"],
            encoding["jpeg_quality"],
            lengths[len(lengths) // 2],
            made["method"],
            made["quality"],
        )


@dataclasses.dataclass(frozen=True)
class LearnedConfig:
    """What a trained network knows of its classes and of its training clips.

    It is saved with the network, so that a `.keras` file alone names what it sees in a video.

    Example:
        >>> from stfnet.config import LearnedConfig
        >>> learned = LearnedConfig(classes=("bow", "jump", "wave"))
        >>> clip = stfnet.ClipConfig(num_frames=3, image_size=32)
        >>> config = stfnet.ModelConfig(len(learned.classes), clip, width_divisor=32)
        >>> stfnet.build_stfnet(config, learned).save("mine.keras")  # a file that knows its classes
    """

    classes: tuple[str, ...]
    """Class names, in the order of the softmax."""
    records: RecordsConfig = dataclasses.field(default_factory=RecordsConfig)
    """How its records were made."""
    tau_range: tuple[int, ...] = setting((2, 10), "[1, 1000000]")
    """As in `TrainingConfig`."""
    frame_grid: int = setting(0, "[0, 100000]")
    """As in `TrainingConfig`."""

    def __post_init__(self):
        check(self, "learned.")
