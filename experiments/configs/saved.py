"""The settings of a finished run, to train it once more.

    python -m experiments.train --config=RUN/config.json --records=RECORDS --workdir=NEW

Time and Expected result: the run's own, up to rounding. On the same records the parts of the split
are the same, with the same SHA-256 in the report; the classes are read from the records.
"""

from pathlib import Path

from ml_collections import config_dict

from experiments.configs import defaults
from preprocessing.errors import UserError
from stfnet.config import read_json, to_dict
from stfnet.run.config import RunConfig


def get_config(path: str = "") -> config_dict.ConfigDict:
    """The settings in the `config.json` of a run; a UserError where no file is named, or it holds
    none.
    """
    if not path:
        raise UserError(
            "experiments/configs/saved.py needs the settings of a run: give experiments.train "
            "--config=RUN/config.json"
        )
    values = to_dict(read_json(RunConfig, Path(path)))
    for name in ("name", "classes", "records"):  # of the new records
        del values[name]
    del values["model"]["num_classes"]
    return defaults.changed(**values)
