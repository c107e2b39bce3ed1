"""How a network is trained."""

import dataclasses

from preprocessing.errors import UserError
from preprocessing.settings import check, setting

# Choices that more than one module reads; all others stand at their setting alone.
TEMPORAL_CONV1 = ("random", "cross_modality")
FC6_INIT = ("random", "imagenet")
WHOLE_STREAM = 5  # blocks of VGG-16
STRATEGIES = ("auto", "one", "mirrored", "multi_worker")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained (docs/fidelity.md, "Training").

    Stage k trains at `learning_rates[k]` for at most `max_epochs[k]` epochs, from the best
    weights of stage k - 1, and ends early when validation has not improved for `patience` epochs.

    Example:
        >>> from stfnet.config import TrainingConfig
        >>> training = TrainingConfig(learning_rates=(1e-3,), max_epochs=(20,), frozen_blocks=(5,))
        >>> training.unchanged_blocks(stage=0)
        5
    """

    learning_rates: tuple[float, ...] = setting((1e-5, 1e-6), "(0, 1e38]")
    """Of each stage, of which the paper has two."""
    max_epochs: tuple[int, ...] = setting((140, 46), "[1, 1000000]")
    """The most epochs of each stage."""
    patience: int = setting(10, "[1, 1000000]")
    """Epochs without a better validation accuracy (at equal accuracy: loss) that end a stage, as
    the paper's "until the accuracy is steady".
    """
    batch_size: int = setting(1, "[1, 1000000]")
    """Clips an optimiser step, over all devices."""
    accumulation_steps: int = setting(1, "[1, 1000000]")
    """Microbatches into which a device divides its clips of a batch, computed one after the other
    to save memory.
    """
    optimizer: str = setting("adam", ("adam", "adamw", "sgd"))
    """`sgd` has momentum 0.9."""
    weight_decay: float = setting(0.0, "[0, 1e6]")
    """Decoupled weight decay of `adamw`."""
    warmup_epochs: float = setting(0.0, "[0, 1e6]")
    """Epochs at the start of a stage with a linearly rising learning rate."""
    schedule: str = setting("constant", ("constant", "cosine"))
    """`cosine` falls to zero over the stage."""
    clip_norm: float = setting(0.0, "[0, 1e38]")
    """Gradients are scaled down to this global norm; 0 leaves them alone."""
    label_smoothing: float = setting(0.0, "[0, 1)")
    """Fraction of each label that is spread over all classes."""
    tau_range: tuple[int, ...] = setting((2, 10), "[1, 1000000]")
    """Lowest and highest interval between sampled frames, both included."""
    frame_grid: int = setting(0, "[0, 100000]")
    """Number of frames, spread evenly over a video, from which clips of training and validation are
    taken: each sampled frame is replaced by the nearest of them. 0 takes any frame. With few of
    them, --cache=features has few maps to compute.
    """
    clips_per_video: int = setting(1, "[1, 10000]")
    """Clips drawn from each training video in an epoch."""
    validation_clips: int = setting(1, "[1, 1000]")
    """Clips of each validation video, of which the first is the test clip."""
    balanced: bool = False
    """Draw every class equally often, however many videos it has."""
    class_weighted: bool = False
    """Weight a clip's loss with the inverse frequency of its class (1 on average)."""
    augmentation: str = setting("none", ("none", "flip", "crop", "flip_crop"))
    """`none` is the paper's: random start and interval only. `flip`: mirrored clips with the x flow
    turned. `crop`: a random square, enlarged; for actions that a mirror turns into others.
    """
    validation_fraction: float = setting(0.15, "[0, 1)")
    """Fraction of each class's training videos held back for validation, by whole groups."""
    validation_fold: str = ""
    """`K/N`: in place of that fraction, the K-th of N parts of the training videos, divided by
    whole groups. Empty for the fraction.
    """
    train_on_validation: bool = False
    """Train on the validation videos too, with keep=last: where everything was chosen before, they
    are worth more for learning. Validation figures are then of videos that were trained on.
    """
    keep: str = setting("best", ("best", "last"))
    """Which epoch is kept: the `best` on validation, or the `last` of all, whatever validation
    says.
    """
    weights: str = ""
    """What to start from: VGG-16 weights for both streams (an .h5, .safetensors or .pth file, or
    `imagenet`), the network of another run (its best.keras) or, empty, nothing.
    """
    linear_start: bool = False
    """Fit the linear path (`model.linear_parts` of the network `small_data`) to the test clips of
    the training videos before the first step: training begins at a logistic regression, whose
    blocks, parts and penalty are chosen by cross-validation over their groups. It stays as it is,
    with those clips' statistics of batch normalisations, and the LSTMs learn beside it.
    """
    temporal_conv1: str = setting("random", TEMPORAL_CONV1)
    """First convolution of the flow stream: the paper's, or the mean of the RGB filters."""
    fc6_init: str = setting("random", FC6_INIT)
    """`imagenet` is VGG-16's own fc1 (of a baseline, also fc2 for its fc7)."""
    frozen_blocks: tuple[int, ...] = setting((0, 0), "[0, 5]")
    """VGG blocks kept at their initial weights, for each stage: 0 none (the paper's), 5 the whole
    streams.
    """
    ema: float = setting(0.0, "[0, 1)")
    """Decay of the running mean of the weights that is evaluated and kept; 0 for none."""
    precision: str = setting("float32", ("float32", "mixed_bfloat16", "mixed_float16"))
    """`mixed_float16` comes with loss scaling."""
    remat: bool = False
    """Compute the streams' activations again in the backward pass instead of keeping them."""
    jit_compile: bool = False
    """Compile the training step with XLA; on one device."""
    checkpoint_minutes: float = setting(10.0, "[0, 1e6]")
    """Longest time between two checkpoints, 0 for one after each step; an epoch ends with one."""
    seed: int = setting(0, "[0, 4294967295]")
    """Of initial weights, dropout, data order and sampling."""

    def __post_init__(self):
        check(self, "training.")
        stages = len(self.learning_rates)
        if not stages:
            raise UserError("training.learning_rates=() has no stage: give a rate for each stage")
        for name in ("max_epochs", "frozen_blocks"):
            if len(getattr(self, name)) != stages:
                raise UserError(
                    f"training.{name}={getattr(self, name)} has {len(getattr(self, name))} "
                    f"values, but training.learning_rates has {stages}: one a stage is needed"
                )
        if len(self.tau_range) != 2 or self.tau_range[0] > self.tau_range[1]:
            raise UserError(f"training.tau_range={self.tau_range} is not (lowest, highest)")
        if self.warmup_epochs > min(self.max_epochs):
            raise UserError(
                f"training.warmup_epochs={self.warmup_epochs} is longer than a stage of "
                f"training.max_epochs={self.max_epochs}: its learning rate would not be reached"
            )
        self._check_fold()
        self._refuse_without_effect()

    def _check_fold(self):
        part, _, parts = self.validation_fold.partition("/")
        digits = f"{part}{parts}".isascii() and part.isdecimal() and parts.isdecimal()
        if self.validation_fold and not (
            digits and 1 <= int(part) <= int(parts) and int(parts) > 1
        ):
            raise UserError(
                f"training.validation_fold={self.validation_fold!r} is not K/N, such as 1/5: fold "
                "K of N, N at least 2"
            )

    @property
    def held_back(self) -> float:
        """Fraction of the training videos that validation has; 0 where it is the test part."""
        if self.validation_fold:
            return 1 / int(self.validation_fold.partition("/")[2])
        return self.validation_fraction

    def unchanged_blocks(self, stage: int) -> int:
        """Number of first VGG blocks that no stage up to this one (0-based) trains."""
        return min(self.frozen_blocks[: stage + 1])

    def _refuse_without_effect(self):
        if self.train_on_validation and not (self.keep == "last" and self.held_back):
            raise UserError(
                "training.train_on_validation needs training.keep=last, since an epoch cannot be "
                "chosen on videos that were trained on, and a training.validation_fraction above "
                "0, since the validation part would be the test part"
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise UserError(
                f"training.weight_decay={self.weight_decay} has no effect with "
                f"training.optimizer={self.optimizer}: set optimizer=adamw or weight_decay=0.0"
            )
        if self.balanced and self.class_weighted:
            raise UserError(
                "training.balanced and training.class_weighted both make up for classes of "
                "different size: set one of them"
            )
        if self.temporal_conv1 != "random" and not self.weights:
            raise UserError(
                f"training.temporal_conv1={self.temporal_conv1} has no effect without "
                "training.weights: set weights=imagenet or temporal_conv1=random"
            )
        if self.fc6_init != "random" and (not self.weights or self.weights.endswith(".keras")):
            raise UserError(
                f"training.fc6_init={self.fc6_init} has no effect with training.weights="
                f"{self.weights!r}: set weights=imagenet or fc6_init=random"
            )


def microbatches_per_device(training: TrainingConfig, devices: int) -> int:
    """Number of microbatches that each device computes, one after the other, for a batch.

    A microbatch has `batch_size / accumulation_steps` clips, or fewer where that does not divide
    the device's clips: what fits one device's memory fits each of several.

    Raises:
        UserError: the batch cannot be divided.
    """
    size, steps = training.batch_size, training.accumulation_steps
    if size % devices:
        raise UserError(
            f"training.batch_size={size} cannot be shared by {devices} devices: it must be a "
            "multiple of their number"
        )
    if size % steps:
        raise UserError(
            f"training.accumulation_steps={steps} does not divide training.batch_size={size}"
        )
    clips = size // devices
    fewest = -(-clips * steps // size)
    return next(count for count in range(fewest, clips + 1) if clips % count == 0)
