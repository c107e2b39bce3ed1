"""From a configuration file and a record set to the configuration of a run."""

from pathlib import Path

from preprocessing.errors import UserError
from stfnet.config import ClipConfig, ModelConfig, RunConfig, TrainingConfig, from_dict


def run_of_fold(workdir: Path, fold: str) -> Path:
    """Folder of one official split's run among those that --folds trains."""
    return Path(workdir) / f"fold-{fold}"


def make_run_config(config, metadata) -> RunConfig:
    """Joins a configuration with the classes of the records.

    Args:
        config: ml_collections.ConfigDict of a file in experiments/configs: `model` (with `clip`),
            `training`, `protocol`, `fold`, `split_seed`, `split_from`.
        metadata: of the records.

    Returns:
        RunConfig.

    Raises:
        UserError: a setting is unknown or out of range.
    """
    try:
        values = config.to_dict()
    except OSError as error:
        cause = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"--config does not name a configuration file: {cause}") from error
    model = {**values.pop("model", {}), "num_classes": len(metadata.classes)}
    model["clip"] = from_dict(ClipConfig, model.get("clip", {}))
    training = from_dict(TrainingConfig, values.pop("training", {}))
    known = {"protocol", "fold", "split_seed", "split_from"}
    if set(values) - known:
        raise UserError(
            f"the configuration has unknown settings {sorted(set(values) - known)}; beside model "
            f"and training it may have {sorted(known)}"
        )
    return RunConfig(
        name=metadata.name,
        classes=tuple(metadata.classes),
        model=from_dict(ModelConfig, model),
        training=training,
        **values,
    )
