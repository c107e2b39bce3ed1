"""The studies of an ablation: what each varies, the paper's value, and what the paper says of it.

The paper (Ou & Sun 2019) argues for its choices and prints no ablation. Where it names no value,
the reference of a study is this project's reading (docs/fidelity.md).
"""

from collections.abc import Iterable
from typing import Any

from experiments.studies.variants import Study, text, variants
from preprocessing.errors import UserError
from stfnet.config import NORMALIZE
from stfnet.networks.settings import STREAMS
from stfnet.networks.stfnet import FUSIONS
from stfnet.run.config import RunConfig

ALL = "all"  # in place of the name of a study


def _one(path: str, values: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {text(value): {path: value} for value in values}


def _dropout(fc6: float, lstm: float) -> dict[str, float]:
    return {"model.fc6_dropout": fc6, "model.lstm_dropout": lstm}


# A baseline has none of these settings: networks that are compared would be the same.
_STFNET = {"model.network": ("stfnet", "small_data")}
_STUDIES = (
    Study(
        "streams",
        _one("model.streams", STREAMS),
        "both",
        "Flow tells how a hand moves, frames where it is, and only both together tell brushing "
        "teeth from combing hair (Sec. 3.2).",
    ),
    Study(
        "fusion",
        _one("model.fusion", FUSIONS),
        "conv3d",
        "The fusion must be able to learn which channel of one stream belongs to which of the "
        "other, so it is a 3-D convolution (Sec. 3.2, Eqs. 1 and 2).",
        needs=_STFNET | {"model.streams": ("both",)},
    ),
    Study(
        "fusion_init",
        _one("model.fusion_init", ("glorot_uniform", "identity_sum")),
        "glorot_uniform",
        "Two stacked identities as the fusion's filters sum the streams; no initialiser is named "
        "(Sec. 3.2).",
        stated=False,
        needs=_STFNET | {"model.streams": ("both",), "model.fusion": ("conv3d", "conv2d")},
    ),
    Study(
        "branches",
        _one("model.branches", ("both", "conv", "fc")),
        "both",
        "The fully connected layer, rich in categories, gives the convolutional layer, rich in "
        "space, an attention to regions of the frames (Sec. 3.4, Eqs. 7 to 12).",
        needs=_STFNET,
    ),
    Study(
        "merge",
        _one("model.merge", ("concat", "sum", "product")),
        "concat",
        "The states of both LSTMs are merged at each time; how is not said (Sec. 3.4, Eqs. 11 and "
        "12).",
        stated=False,
        needs=_STFNET | {"model.branches": ("both",)},
    ),
    Study(
        "normalize",
        _one("model.normalize", NORMALIZE),
        "gates",
        "Layer normalisation of the gates' inputs ensures that the training of so deep a network "
        "converges (Sec. 3.3, Eqs. 3 to 6).",
        needs=_STFNET,
    ),
    Study(
        "flow_length",
        _one("model.clip.flow_length", (1, 2, 4, 6, 8)),
        "4",
        "L < 4 loses motion and lowers the recognition rate; L = 4 keeps it high at less "
        "computation (Sec. 3.6).",
        needs={"model.streams": ("both", "flow")},
    ),
    Study(
        "num_frames",
        _one("model.clip.num_frames", (4, 8, 17, 25)),
        "17",
        "With too few frames T the rate of Table 1 is not reached (Sec. 3.6).",
    ),
    Study(
        "tau_range",
        _one("training.tau_range", ((1, 2), (4, 4), (2, 10), (10, 20))),
        "2 to 10",
        "Too large an interval loses local, too small a one overall information, and the range "
        "must contain L (Sec. 3.6).",
    ),
    Study(
        "dropout",
        {
            "fc6 0.5, LSTMs 0.25": _dropout(0.5, 0.25),
            "fc6 0.25, LSTMs 0.25": _dropout(0.25, 0.25),
            "fc6 0.75, LSTMs 0.25": _dropout(0.75, 0.25),
            "fc6 0.5, LSTMs 0": _dropout(0.5, 0.0),
            "fc6 0.5, LSTMs 0.5": _dropout(0.5, 0.5),
            "none": _dropout(0.0, 0.0),
        },
        "fc6 0.5, LSTMs 0.25",
        "A ratio of fc6 other than 0.5, or one of the LSTMs above 0.25, lowers the recognition "
        "rate (Sec. 3.6).",
        needs=_STFNET | {"model.branches": ("both",)},
    ),
)
STUDIES = {study.name: study for study in _STUDIES}


def chosen(names: Iterable[str], base: RunConfig) -> list[Study]:
    """The studies that were asked for; prints a line for each that `all` leaves out.

    `all` names every one that fits the configuration. A UserError where a study that is named does
    not, or none of all does.
    """
    names, left_out = list(dict.fromkeys(names)), []
    found = {name: STUDIES[name] for name in names if name != ALL}
    for study in found.values():
        variants(study, base)
    for name, study in STUDIES.items() if ALL in names else ():
        try:
            variants(study, base)
            found.setdefault(name, study)
        except UserError as error:
            left_out.append(f"study {name} is left out: {error}")
    if not found:
        raise UserError(f"no study fits the configuration: {'; '.join(left_out)}")
    for line in left_out:
        print(line, flush=True)
    return list(found.values())


def described() -> str:
    """Every study with its settings, values and the paper's claim, as text."""
    lines = []
    for study in STUDIES.values():
        lines += [
            study.name,
            f"  settings: {', '.join(study.settings)}",
            f"  values:   {'; '.join(study.marked(name) for name in study.values)}",
            f"  paper:    {study.claim}",
        ]
    return "\n".join(lines)
