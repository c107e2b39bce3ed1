r"""A baseline (docs/reference/baselines.md) with the recipe of paper.py.

    python -m experiments.train --config=experiments/configs/baselines.py:lrcn --records=RECORDS \
        --workdir=RUN

The name after the colon is that of a baseline, or `lrcn_frames`, which is `lrcn` without flow. Each
has its own settings, such as `--config.model.lstm_units=512`.

Time: not measured. Result: not measured; under equal conditions on small data: docs/results.md.
"""

from experiments.configs import defaults, paper
from preprocessing.errors import UserError
from stfnet.networks import BASELINES, NETWORKS

NAMES = {name: {"network": name} for name in BASELINES}
NAMES["lrcn_frames"] = {"network": "lrcn", "streams": "rgb"}


def get_config(name="lrcn"):
    if name not in NAMES:
        raise UserError(f"baselines.py:{name} is not one of {', '.join(NAMES)}")
    config = defaults.changed(protocol="official", model=NAMES[name])
    config.training.update(paper.get_config().training)
    if not NETWORKS[NAMES[name]["network"]](1).vgg16:
        config.training.weights = ""
    return config
