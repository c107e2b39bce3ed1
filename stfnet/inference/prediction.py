"""From a video file and a trained run to the probability of each class."""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from preprocessing import files
from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import LearnedConfig, TrainingConfig, to_dict
from stfnet.export import head
from stfnet.export.layout import VERSION, is_export, is_foreign
from stfnet.inference.clip import read_clip
from stfnet.networks.model import STFNet, undrawn_weights  # registers the layers of networks
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig


def load_run(folder: Path | str) -> tuple[STFNet, RunConfig]:
    """Loads the best network of a run.

    Example:
        >>> model, config = load_run("run")
        >>> model.count_params() > 0, config.classes
        (True, ('Left', 'Right', 'Still'))

    Args:
        folder: of the run, with `config.json` and `best.keras`.

    Returns:
        (STFNet, RunConfig): what the network learned from is that of its own file, where it has it.

    Raises:
        UserError: the folder is no run, has no network yet, or the file is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        wrong = "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"{folder} {wrong}; a run's folder (--workdir of experiments.train) is needed"
        )
    config = run.read_config(folder)
    path = folder / run.BEST_FILE
    if not path.is_file():
        raise UserError(
            f"{path} is missing: the run has not finished an epoch yet; train it with "
            f"experiments.train --workdir={folder}"
        )
    model = _load_network(path, "train the run again")
    learned = model.learned or config.learned
    for what, own, others in (
        ("model configuration", to_dict(model.config), to_dict(config.model)),
        ("class names", learned.classes, tuple(config.classes)),
    ):
        if own != others:
            raise UserError(
                f"{path} was made with another {what} than {folder / run.CONFIG_FILE} holds; "
                "restore the file that belongs to it or train the run again"
            )
    return model, dataclasses.replace(config, records=learned.records)


def load_file(path: Path | str) -> tuple[STFNet, RunConfig]:
    """Loads a network from its `.keras` file alone.

    Example:
        >>> model, config = load_file("run/best.keras")
        >>> config.classes
        ('Left', 'Right', 'Still')

    Args:
        path: of the file. Where it is the best network of the run in whose folder it lies, that run
            is loaded.

    Returns:
        (STFNet, RunConfig): the configuration has the network, what it learned from, and for all
        else its defaults. A file that does not say what it learned from has classes `class 0`,
        `class 1`, ..., which a line says.

    Raises:
        UserError: the file is missing, damaged or of no network of stfnet.
    """
    path = Path(path)
    if path.name == run.BEST_FILE and (path.parent / run.CONFIG_FILE).is_file():
        return load_run(path.parent)
    if not path.is_file():
        raise UserError(f"{path} is missing: give the .keras file of a network")
    model = _load_network(path, "save the network again")
    learned = model.learned
    if not learned:
        logging.warning(
            "%s does not say what it learned from: its classes are called class 0, class 1, ..., "
            "and videos are read as JPEG records of quality 95 with fast flow",
            path,
        )
        learned = LearnedConfig(tuple(f"class {k}" for k in range(model.config.num_classes)))
    training = TrainingConfig(
        batch_size=2,  # of one clip, a network may have no statistics
        tau_range=learned.tau_range,
        frame_grid=learned.frame_grid,
    )
    return model, RunConfig(
        path.stem, learned.classes, model.config, training, records=learned.records
    )


def _load_network(path: Path, remedy: str) -> STFNet:
    try:
        checkpoints.check_members(path)
        with undrawn_weights():
            model = keras.saving.load_model(path, compile=False)
    except checkpoints.DAMAGED as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} does not load ({reason}): {remedy}") from error
    if not isinstance(model, STFNet):
        raise UserError(f"{path} holds {type(model).__name__}, and a network of stfnet is needed")
    return model


def load_model(folder: Path | str) -> tuple[Any, RunConfig]:
    """Loads a run's best network, a network's file, an export or a head, whichever is named.

    Example:
        >>> model, config = load_model("run")  # or a .keras file, an export, a network that ships
        >>> config.model.network
        'stfnet'

    Args:
        folder: of any of them, a `.keras` file, or what else `stfnet.export.head.find` takes: the
            name of a network that ships, and the file of its VGG-16 weights after a colon.

    Returns:
        (keras.Model or ExportedModel, RunConfig): both have `predict_on_batch`.

    Raises:
        UserError: as `load_run`, `load_file`, `stfnet.export.saved_model.load_export` and
            `stfnet.export.head.load_head`, or the export is for another runtime.
    """
    if Path(folder).suffix == ".keras":
        return load_file(folder)
    if found := head.find(folder):
        return head.load_head(*found)
    if not Path(folder).exists() and (shipped := head.shipped()):
        raise UserError(
            f"{folder} does not exist; a run's folder (--workdir of experiments.train), an export "
            f"or the name of a network that ships ({', '.join(shipped)}) is needed"
        )
    if is_foreign(folder):
        raise UserError(
            f"{folder} is an export for another runtime: give the run, a SavedModel export of it, "
            f"or the folder {VERSION} in an export for TensorFlow Serving"
        )
    if not is_export(folder):
        return load_run(folder)
    try:
        from stfnet.export.saved_model import load_export
    except ImportError as error:
        raise UserError(
            f"{folder} is a SavedModel, which needs TensorFlow ({error}): pip install 'stfnet[cpu]'"
            ", or give the run that it was made from"
        ) from error
    return load_export(folder)


def for_one_clip(model: Any) -> None:
    """Has a network compute without a graph, which takes TensorFlow longer than one clip does.

    In bfloat16 it keeps the graph: the two differ by some thousandths, and evaluation has one.

    Example:
        >>> model, config = load_model("run")
        >>> for_one_clip(model)
        >>> model.run_eagerly
        True

    Args:
        model: as of `predict_clip`; an export and other backends stay as they are.
    """
    if keras.backend.backend() == "tensorflow":
        model.run_eagerly = getattr(model, "compute_dtype", None) == "float32"


def predict_clip(model: Any, clip_inputs: Mapping[str, Any]) -> np.ndarray:
    """Class probabilities of one clip.

    Example:
        >>> model, config = load_model("run")
        >>> clip = read_clip("a.mp4", config.model.clip)
        >>> predict_clip(model, clip).shape
        (3,)

    Args:
        model: anything with `predict_on_batch`: a network or an `ExportedModel`.
        clip_inputs: what `stfnet.inference.clip.read_clip` returns.

    Returns:
        float32 (C,).

    Raises:
        UserError: a probability is not a number: the weights are not finite.
    """
    batch = {name: clip_inputs[name][None] for name in ("rgb", "flow") if name in clip_inputs}
    probabilities = np.asarray(model.predict_on_batch(batch), np.float32)[0]
    if not np.isfinite(probabilities).all():
        raise UserError("the network gives no finite probabilities: its weights are damaged")
    return probabilities


def predict_video(
    model: Any,
    config: RunConfig,
    path: Path | str | np.ndarray,
    quality: str | None = None,
    longest: float = math.inf,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Class probabilities of a video file, and the clip that they were computed from.

    Example:
        >>> model, config = load_model("run")
        >>> probabilities, clip = predict_video(model, config, "a.mp4")
        >>> probabilities.shape, clip["num_frames"], clip["frame_numbers"]
        ((3,), 11, array([0, 3, 6]))

    Args:
        model: a network or an `ExportedModel`.
        config: RunConfig.
        path: video file, folder of images, or the frames, uint8 (N, H, W, 3), RGB.
        quality: of the flow, `reference` or `fast`; None for that of the run's records.
        longest: seconds that the video may have.

    Returns:
        (float32 (C,), dictionary of `stfnet.inference.clip.read_clip`).
    """
    clip = read_clip(
        path, config.model.clip, config.model.streams, quality, config.records, longest=longest
    )
    return predict_clip(model, clip), clip


def warm_up(model: Any, config: RunConfig, quality: str | None = None) -> None:
    """Predicts once, so that no video waits while something is loaded or compiled.

    Example:
        >>> model, config = load_model("run")
        >>> warm_up(model, config)

    Args:
        model, config, quality: as of `predict_video`.

    Raises:
        UserError: as `predict_clip`.
    """
    clip = config.model.clip
    black = np.zeros((clip.num_frames + 1, clip.image_size, clip.image_size, 3), np.uint8)
    predict_video(model, config, black, quality)


def rank(probabilities: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The `top` most probable classes: list of (class name, probability), best first.

    Example:
        >>> rank(np.array([0.25, 0.5, 0.125]), ["bow", "jump", "wave"], top=2)
        [('jump', 0.5), ('bow', 0.25)]
    """
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[k], float(probabilities[k])) for k in order]


def write_result(
    path: Path | str,
    source: Path | str,
    model_folder: Path | str,
    dataset: str,
    ranking: Sequence[tuple[str, float]],
    clip: Mapping[str, Any],
) -> None:
    """Writes one prediction as JSON.

    Example:
        >>> clip = read_clip("a.mp4", stfnet.ClipConfig(num_frames=3, image_size=32))
        >>> ranking = [("Left", 0.75), ("Right", 0.25)]
        >>> write_result("answer.json", "a.mp4", "run", "squares", ranking, clip)

    Args:
        path: file to write.
        source: the video.
        model_folder: folder of the run or export.
        dataset: name of the data that the network was trained on.
        ranking: of `rank`.
        clip: what `stfnet.inference.clip.read_clip` returned for the video.
    """
    result = {
        "video": str(source),
        "model": str(model_folder),
        "dataset": dataset,
        "top": [{"class": name, "probability": value} for name, value in ranking],
        "num_frames": clip["num_frames"],
        "frame_numbers": clip["frame_numbers"].tolist(),
        "fps": clip["fps"],
        "notes": clip["notes"],
    }
    files.write_json(Path(path), result)
