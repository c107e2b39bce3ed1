"""The configuration of a run from a file and a record set; the runs of several folds."""

import logging
from collections.abc import Iterable
from pathlib import Path

from preprocessing.errors import UserError
from stfnet import networks, run
from stfnet.config import RecordsConfig, TrainingConfig, from_dict
from stfnet.evaluation import result_files
from stfnet.run.config import RunConfig, refuse_without_effect


def run_of_fold(workdir: Path, fold: str) -> Path:
    """Folder of one official split's run among those that --folds trains."""
    if "/" in fold:
        raise UserError(f"fold {fold!r} has a / in it and cannot be a folder: rename it in splits")
    return Path(workdir) / f"fold-{fold}"


AUTO = "auto"  # value of model.streams, for `selection.choose_streams`


def chooses_streams(config) -> bool:
    """Whether the streams are to be chosen; `make_run_config` then gives both."""
    return config.model.get("streams") == AUTO


def folders_of_folds(workdir: Path, folds: Iterable[str]) -> dict[str, Path]:
    """Fold -> folder of its run; a UserError where one is missing or has not been trained to its
    end.
    """
    folders = {fold: run_of_fold(workdir, fold) for fold in folds}
    missing = [fold for fold, folder in folders.items() if not folder.is_dir()]
    if missing:
        raise UserError(
            f"{workdir} has no run of fold {', '.join(missing[:5])}: train it with "
            f"experiments.train --folds={','.join(missing)}, or name in --folds what there is"
        )
    unfinished = [fold for fold, folder in folders.items() if not run.is_finished(folder)]
    if unfinished:
        raise UserError(
            f"{workdir}: the run of fold {', '.join(unfinished[:5])} has not trained to its end: "
            f"resume it with experiments.train --folds={','.join(unfinished)}, or leave it out"
        )
    return folders


def check_one_run(workdir: Path) -> None:
    """Checks that a folder is not that of several folds, nor one of fused predictions.

    The error says what to do for one run.
    """
    workdir = Path(workdir)
    if (workdir / run.CONFIG_FILE).exists():
        return
    pattern = run_of_fold(workdir, "*").name
    folds = sorted(path.parent for path in workdir.glob(f"{pattern}/{run.CONFIG_FILE}"))
    if folds:
        raise UserError(
            f"{workdir} holds the runs of several folds, and one run is needed: give "
            f"--workdir={folds[0]} and so on for each; their mean is in "
            f"{result_files.paths_in(workdir).results} and, as a table, in what "
            f"experiments.compare --results={workdir} writes"
        )
    if result_files.paths_in(workdir).results.exists():
        raise UserError(
            f"{workdir} holds the fused predictions of several runs, and one run is needed: give "
            "--workdir of each; experiments.compare shows fused results beside theirs"
        )


def make_run_config(config, record_set) -> RunConfig:
    """Joins a configuration with the classes of the records.

    It is the ml_collections.ConfigDict of a file in experiments/configs: `model` (with `clip`),
    `training`, `protocol`, `fold`, `split_seed`, `split_from`. A UserError where a setting is
    unknown or out of range.
    """
    try:
        values = config.to_dict()
    except AttributeError as error:
        raise UserError(
            f"get_config() of the configuration file returns {config!r}, and an ml_collections."
            "ConfigDict is needed: see experiments/configs/defaults.py"
        ) from error
    except OSError as error:
        cause = str(error).strip().splitlines()[-1].rpartition("failure to load: ")[2].strip()
        raise UserError(f"--config does not name a configuration file: {cause}") from error
    for name in ("model", "training"):
        if not isinstance(values.setdefault(name, {}), dict):
            raise UserError(
                f"the configuration's {name}={values[name]!r} is not a group of settings"
            )
    if len(record_set.classes) < 2:
        raise UserError(
            f"{record_set.folder} has videos of one class, {record_set.classes[0]}, which leaves"
            " nothing to tell apart: prepare two or more"
        )
    model = {**values.pop("model"), "num_classes": len(record_set.classes)}
    if model.get("streams") == AUTO:
        model["streams"] = "both"
    training = from_dict(TrainingConfig, values.pop("training"))
    known = {"protocol", "fold", "split_seed", "split_from"}
    if set(values) - known:
        raise UserError(
            f"the configuration has unknown settings {sorted(set(values) - known)}; beside model "
            f"and training it may have {sorted(known)}"
        )
    if str(values.get("fold", "1")) != "1" and values.get("protocol") != "official":
        raise UserError(
            f"fold={values['fold']} has no effect with protocol={values.get('protocol')}: set "
            "protocol=official or fold=1"
        )
    if training.weights not in ("", "imagenet") and not Path(training.weights).is_file():
        raise UserError(
            f"training.weights={training.weights} is not a file: give an .h5, .safetensors or .pth "
            f"file of VGG-16, the {run.BEST_FILE} of another run, or imagenet to download VGG-16's"
        )
    network = networks.read(model)
    refuse_without_effect(network, training)
    if any(training.frozen_blocks) and not training.weights:
        logging.warning(
            "training.frozen_blocks=%s keeps random filters, since training.weights is empty: "
            "give weights, or frozen_blocks of 0",
            training.frozen_blocks,
        )
    return RunConfig(
        name=record_set.title,
        classes=tuple(record_set.classes),
        model=network,
        training=training,
        records=RecordsConfig.of(record_set),
        **values,
    )
