"""The settings of a run: its data, its network and its training, and what must agree among them."""

import dataclasses

from preprocessing import splits
from preprocessing.errors import UserError
from preprocessing.settings import check, setting
from stfnet import networks
from stfnet.config import LearnedConfig, RecordsConfig, TrainingConfig, microbatches_per_device
from stfnet.networks import NetworkConfig


def partial_statistics(model: NetworkConfig, training: TrainingConfig, devices: int) -> str:
    """What to know where a network's statistics are those of a part of a batch, divided among
    devices; else empty.
    """
    parts = devices * microbatches_per_device(training, devices)
    synchronized = parts == devices and model.lstm_statistics != "batch"
    kept = training.linear_start and model.lstm_statistics != "batch"  # those of all clips
    if not model.batch_statistics or parts == 1 or synchronized or kept:
        return ""
    return (
        f"the network normalises with statistics over the {training.batch_size // parts} clips "
        f"that a device computes at once, not over all {training.batch_size} of a batch: training "
        "is another than on one device with accumulation_steps=1"
    )


def check_together(model: NetworkConfig, training: TrainingConfig, devices: int = 1) -> None:
    """Checks the settings of a run's network and training that depend on each other.

    Raises:
        UserError: the batch cannot be divided evenly among the devices, statistics are taken over
            the batch where a device computes one clip at a time, VGG-16's weights do not fit the
            network, it has no VGG-16 to freeze, or there is no linear path to fit.
    """
    vgg16 = training.weights and not training.weights.endswith(".keras")
    if vgg16:
        needed = [("width_divisor", model.width_divisor, 1)]
        if training.fc6_init == "imagenet":
            needed += [("fc6_units", model.fc6_units, 4096)]
            needed += [("clip.image_size", model.clip.image_size, 224)]
        for name, value, fitting in needed:
            if value != fitting:
                raise UserError(
                    f"training.weights={training.weights} are VGG-16's and need model.{name}="
                    f"{fitting}, not {value}"
                )
    if not model.vgg16 and (vgg16 or any(training.frozen_blocks)):
        raise UserError(
            f"the network {model.network} has no VGG-16, which training.weights="
            f"{training.weights!r} and training.frozen_blocks={training.frozen_blocks} are for: "
            "leave weights empty and set frozen_blocks to zeros"
        )
    if training.linear_start and not model.linear_parts:
        raise UserError(
            "training.linear_start=True fits the linear path of model.linear_parts, and this "
            f"network ({model.network}) has none: set linear_start=False, or give the network "
            "small_data with linear_parts=1 or more"
        )
    microbatch = training.batch_size // devices // microbatches_per_device(training, devices)
    if model.lstm_statistics == "batch" and microbatch == 1:
        raise UserError(
            f"model.lstm_statistics=batch needs two clips or more at a time, but training."
            f"batch_size={training.batch_size} over {devices} device(s) x accumulation_steps="
            f"{training.accumulation_steps} leaves one: set a larger batch_size or "
            "lstm_statistics=layer"
        )


def refuse_without_effect(model: NetworkConfig, training: TrainingConfig) -> None:
    """Refuses settings without effect, where a run is asked for; earlier ones may have them."""
    model.refuse_without_effect()
    if training.remat and not model.vgg16:
        raise UserError(
            f"training.remat=True has no effect with the network {model.network}, which has no "
            "VGG-16: set remat=False"
        )
    if training.temporal_conv1 != "random" and training.weights.endswith(".keras"):
        raise UserError(
            f"training.temporal_conv1={training.temporal_conv1} has no effect with training."
            f"weights={training.weights}, whose flow stream has a first convolution of its own: "
            "set temporal_conv1=random"
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Every setting of a run; `config.json` in its folder.

    Example:
        >>> from stfnet import run
        >>> config = run.read_config("run")
        >>> config.classes, config.protocol, config.model.clip.num_frames
        (('Left', 'Right', 'Still'), 'group', 3)
    """

    name: str
    """Name of the data set."""
    classes: tuple
    """Class names, in the order of the softmax."""
    model: NetworkConfig = dataclasses.field(metadata={"read": networks.read})
    """The settings of the network."""
    training: TrainingConfig
    """How it is trained."""
    protocol: str = setting("group", splits.PROTOCOLS)
    """How the videos are divided: `group` holds out whole groups, `official` takes the lists of the
    data set, `paper` divides clips at random, 7:3, so that clips of one recording are on both
    sides.
    """
    fold: str = "1"
    """Which official split, by its name."""
    split_seed: int = setting(0, "[0, 4294967295]")
    """Of what is drawn by `group` and `paper`."""
    split_from: str = ""
    """Folder of another run whose videos keep their parts; empty for none."""
    records: RecordsConfig = dataclasses.field(default_factory=RecordsConfig)
    """The records that it began with."""

    def __post_init__(self):
        object.__setattr__(self, "fold", str(self.fold))  # a number before folds had names
        check(self)
        for name, kind in (
            ("model", NetworkConfig),
            ("training", TrainingConfig),
            ("records", RecordsConfig),
        ):
            if not isinstance(getattr(self, name), kind):
                raise UserError(f"{name}={getattr(self, name)!r} is not a group of settings")
        check_together(self.model, self.training)

    @property
    def learned(self) -> LearnedConfig:
        """What the run's network is saved with."""
        training = self.training
        return LearnedConfig(
            tuple(self.classes), self.records, training.tau_range, training.frame_grid
        )
