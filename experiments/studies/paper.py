"""The published figures (Ou & Sun 2019), to compare with, and the arithmetic of its times."""

import dataclasses
from collections.abc import Mapping

from preprocessing import splits
from preprocessing.datasets import titles
from stfnet import complexity
from stfnet.networks import ModelConfig

OWN = "Ou & Sun 2019"
UNKNOWN = "unknown"  # a protocol that neither the paper nor the method's usual figure tells


@dataclasses.dataclass(frozen=True)
class Published:
    """A row of Table 1 or 2."""

    method: str
    rate: float  # of recognition, in percent
    citation: str  # the paper that Ou & Sun take it from
    # Of `preprocessing.splits`. The paper gives none for the figures of others; those marked
    # `official` are published as means over UCF101's three splits.
    protocol: str = UNKNOWN


_TRAJECTORIES = "Wang et al., CVPR 2011"
_SOFT_ATTENTION = "Sharma et al., 2015"
_TWO_STREAM_LSTM = "Gammulle et al., WACV 2017"
_THIS = "J. Electronic Imaging 28(2) 023009, 2019"

# Data set -> the rows of Table 1 (UCF101) or Table 2. The paper's own rows are on its random 7:3
# split over clips, where 98.9 % of UCF101's test clips have a sibling from the same video in
# training; on the official splits none has.
PUBLISHED = {
    "ucf101": (
        Published("dense trajectories", 84.2, _TRAJECTORIES),
        Published("composite LSTM", 84.3, "Srivastava et al., ICML 2015"),
        Published("soft attention", 84.9, _SOFT_ATTENTION),
        Published("two-stream ConvNet", 88.0, "Simonyan & Zisserman, NIPS 2014", "official"),
        Published("beyond short snippets", 88.6, "Ng et al., CVPR 2015", "official"),
        Published("C3D + iDT + SVM", 90.4, "Tran et al., ICCV 2015", "official"),
        Published("two-stream fusion", 92.5, "Feichtenhofer et al., CVPR 2016", "official"),
        Published(OWN, 95.3, _THIS, "paper"),
    ),
    "ucf11": (
        Published("dense trajectories", 84.2, _TRAJECTORIES),
        Published("soft attention", 84.9, _SOFT_ATTENTION),
        Published("Cho et al.", 88.0, "Cho et al., Pattern Recognition 47(5), 2014"),
        Published("two-stream LSTM", 94.6, _TWO_STREAM_LSTM),
        Published(OWN, 100.0, _THIS, "paper"),
    ),
    "ucf_sports": (
        Published("dense trajectories", 89.1, _TRAJECTORIES),
        Published("Weinzaepfel et al.", 90.5, "Weinzaepfel et al., ICCV 2015"),
        Published("SGSH", 90.9, "Abdulmunem et al., Computational Visual Media 2(1), 2016"),
        Published("two-stream LSTM", 99.1, _TWO_STREAM_LSTM),
        Published(OWN, 100.0, _THIS, "paper"),
    ),
}
ACCURACY = {
    name: {row.method: row.rate for row in published} for name, published in PUBLISHED.items()
}

# Prediction and training time on the paper's computer. Flow is computed beforehand and not counted.
GPU = "GTX 1080 Ti"
GPU_FLOPS = 11.34e12  # its peak in float32: 3584 cores, 2 operations a cycle, 1.582 GHz
PREDICTION_SECONDS = 0.770  # of one video
TRAINING = ((140, 24.0), (46, 8.0))  # of UCF101: epochs and hours of each stage


def comparison(results: Mapping) -> str:
    """A table of the published figures beside a result, as lines of text.

    Of an evaluation or of `average_folds`; empty where the paper does not report the data set.
    """
    published = ACCURACY.get(results["dataset"])
    if published is None:
        return ""
    ours = f"this run, protocol {results['protocol']}"
    rows = [*sorted(published.items(), key=lambda row: row[1]), (ours, 100 * results["top1"])]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}s} {value:6.1f} %" for name, value in rows]
    if results["protocol"] != "paper":
        # Clips of UCF Sports have no groups.
        leaks = ", which leaks groups into the test" * (results["dataset"] != "ucf_sports")
        lines.append(
            f"  The paper's own figure is on a random split of clips (--protocol=paper){leaks}."
        )
    return "\n".join(lines) + "\n"


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the paper's training time would need."""

    multiply_adds: int  # of the network for one clip
    milliseconds: float  # a clip of training, of the first stage
    lines: tuple[str, ...]  # the arithmetic in words


def claim() -> Claim:
    """The arithmetic of the paper's times on UCF101, from the network's multiply-adds."""
    multiply_adds = complexity.forward_multiply_adds(ModelConfig(num_classes=101))
    operations = 2 * multiply_adds  # a multiplication and an addition
    step = 3 * operations
    clips = round((1 - splits.TEST_FRACTION) * titles.PUBLISHED["ucf101"][1])
    needed = [step * clips * epochs / (3600 * hours) for epochs, hours in TRAINING]
    (epochs, hours), (later_epochs, later_hours) = TRAINING
    days = step * clips * epochs / GPU_FLOPS / 86400
    tera = 1e12
    return Claim(
        multiply_adds,
        1000 * 3600 * hours / (clips * epochs),
        (
            f"One clip (T = 17, 224 pixels) takes {multiply_adds / 1e9:.0f} G multiply-adds "
            f"forward, {operations / tera:.2f} T operations; a training step takes three times as "
            f"many, {step / tera:.2f} T.",
            f"The paper trains {epochs} epochs in {hours:.0f} h. On 70 % of UCF101, {clips:,} "
            f"clips, that is {step / tera:.2f} T × {clips:,} × {epochs} / {3600 * hours:,.0f} s = "
            f"{needed[0] / tera:.0f} TFLOP/s, and {needed[1] / tera:.0f} TFLOP/s for the second "
            f"stage ({later_epochs} epochs in {later_hours:.0f} h).",
            f"The peak of a {GPU} is {GPU_FLOPS / tera:.1f} TFLOP/s, so the claim "
            f"needs {needed[0] / GPU_FLOPS:.1f} times its peak: at full peak the first stage "
            f"would take {days:.1f} days. As stated it cannot be reproduced.",
            f"Its prediction, {PREDICTION_SECONDS:.3f} s a video without flow, needs "
            f"{operations / PREDICTION_SECONDS / tera:.1f} TFLOP/s, "
            f"{operations / PREDICTION_SECONDS / GPU_FLOPS:.0%} of the peak: possible.",
            "Training is the median over the epochs of a run, validation not counted; streams that "
            "are frozen cost less than the paper's.",
        ),
    )
