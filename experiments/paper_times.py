"""The arithmetic of the times that the paper claims."""

import dataclasses

from experiments import paper
from preprocessing import splits
from preprocessing.datasets.titles import PUBLISHED
from stfnet import complexity
from stfnet.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the paper's training time would need.

    Attributes:
        multiply_adds: of the network for one clip.
        flops: floating-point operations a second, of the first stage.
        milliseconds: a clip of training, of the first stage.
        lines: the arithmetic in words.
    """

    multiply_adds: int
    flops: float
    milliseconds: float
    lines: tuple[str, ...]


def claim() -> Claim:
    """The arithmetic of the paper's times on UCF101, from the network's multiply-adds."""
    multiply_adds = complexity.forward_multiply_adds(ModelConfig(num_classes=101))
    operations = 2 * multiply_adds  # a multiplication and an addition
    step = 3 * operations
    clips = round((1 - splits.TEST_FRACTION) * PUBLISHED["ucf101"][1])
    needed = [step * clips * epochs / (3600 * hours) for epochs, hours in paper.TRAINING]
    (epochs, hours), (later_epochs, later_hours) = paper.TRAINING
    days = step * clips * epochs / paper.GPU_FLOPS / 86400
    tera = 1e12
    return Claim(
        multiply_adds,
        needed[0],
        1000 * 3600 * hours / (clips * epochs),
        (
            f"One clip (T = 17, 224 pixels) takes {multiply_adds / 1e9:.0f} G multiply-adds "
            f"forward, {operations / tera:.2f} T operations; a training step takes three times as "
            f"many, {step / tera:.2f} T.",
            f"The paper trains {epochs} epochs in {hours:.0f} h. On 70 % of UCF101, {clips:,} "
            f"clips, that is {step / tera:.2f} T × {clips:,} × {epochs} / {3600 * hours:,.0f} s = "
            f"{needed[0] / tera:.0f} TFLOP/s, and {needed[1] / tera:.0f} TFLOP/s for the second "
            f"stage ({later_epochs} epochs in {later_hours:.0f} h).",
            f"The peak of a {paper.GPU} is {paper.GPU_FLOPS / tera:.1f} TFLOP/s, so the claim "
            f"needs {needed[0] / paper.GPU_FLOPS:.1f} times its peak: at full peak the first stage "
            f"would take {days:.1f} days. As stated it cannot be reproduced.",
            f"Its prediction, {paper.PREDICTION_SECONDS:.3f} s a video without flow, needs "
            f"{operations / paper.PREDICTION_SECONDS / tera:.1f} TFLOP/s, "
            f"{operations / paper.PREDICTION_SECONDS / paper.GPU_FLOPS:.0%} of the peak: possible.",
            "Training is the median over the epochs of a run, validation not counted; streams that "
            "are frozen cost less than the paper's.",
        ),
    )
