"""From a video file and a trained run to the probability of each class."""

from pathlib import Path

import cv2
import keras
import numpy as np

import stfnet.model  # noqa: F401 - registers the layers that a saved network is made of
from preprocessing import flow, video
from preprocessing.errors import UserError
from stfnet import run, sampling
from stfnet.config import ClipConfig, RunConfig, to_dict
from stfnet.inference.capture import usual_fps
from stfnet.inference.export import is_export, load_export
from stfnet.run import checkpoints


def load_run(folder):
    """Loads the best network of a run.

    Args:
        folder: of the run, with `config.json` and `best.keras`.

    Returns:
        (keras.Model, RunConfig).

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
    try:
        checkpoints.check_members(path)
        model = keras.saving.load_model(path, compile=False)
    except checkpoints.DAMAGED as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} does not load ({reason}); train the run again") from error
    if to_dict(model.config) != to_dict(config.model):
        raise UserError(
            f"{path} was made with another model configuration than {folder / run.CONFIG_FILE} "
            "holds; restore the file that belongs to it or train the run again"
        )
    return model, config


def load_model(folder):
    """Loads a run's best network or an exported one, whichever the folder holds.

    Returns:
        (keras.Model or ExportedModel, RunConfig): both have `predict_on_batch`.

    Raises:
        UserError: as `load_run` and `stfnet.inference.export.load_export`.
    """
    return load_export(folder) if is_export(folder) else load_run(folder)


def read_clip(path, clip: ClipConfig, streams="both", quality="reference"):
    """Reads the test clip of a video (Eqs. 13-14) as the network takes it.

    The video is decoded twice, first to count its frames, since headers may lie: only the clip's
    own frames and flow fields are ever held. The values are those of records without JPEG.

    Args:
        path: video file, or folder of images.
        clip: the clip configuration.
        streams: `both`, `rgb` or `flow`: what to read.
        quality: of the flow, `reference` or `fast` (see `preprocessing.flow.tvl1`).

    Returns:
        Dictionary of `rgb` uint8 (T, H, W, 3) and `flow` uint8 (T, H, W, 2L) as far as asked for,
        `frame_numbers` int64 (T,) 0-based, `num_frames` and `fps` (frames a second).

    Raises:
        UserError: the video does not decode, has fewer than two frames, or fewer than T under
            `short_video="error"`.
    """
    num_frames = sum(1 for _ in video.read_frames(path))
    try:
        frame_numbers = sampling.test_indices(num_frames, clip.num_frames, clip.short_video)
        fields = sampling.flow_indices(frame_numbers, num_frames, clip.flow_length)  # t l
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    found = {
        "frame_numbers": frame_numbers,
        "num_frames": num_frames,
        "fps": usual_fps(video.probe(path).fps),
    }
    wanted_frames = set() if streams == "flow" else set(frame_numbers.tolist())
    wanted_fields = set() if streams == "rgb" else set(fields.ravel().tolist())
    frames, planes = _read(path, clip, wanted_frames, wanted_fields, quality)
    if wanted_frames:
        found["rgb"] = np.stack([frames[k] for k in frame_numbers.tolist()])
    if wanted_fields:
        # Along the channels, each field's x before its y.
        found["flow"] = np.stack(
            [np.concatenate([planes[k] for k in row], axis=-1) for row in fields.tolist()]
        )
    return found


def _read(path, clip, wanted_frames, wanted_fields, quality):
    """Decodes the video up to the last thing wanted.

    Returns:
        (frames, planes): frame number -> uint8 (H, W, 3), field number -> uint8 (H, W, 2).
    """
    frames, planes, previous = {}, {}, None
    wanted_gray = wanted_fields | {k + 1 for k in wanted_fields}
    last = max(wanted_frames | wanted_gray)
    for number, frame in enumerate(video.read_frames(path)):
        if number in wanted_frames or number in wanted_gray:
            small = video.resize(frame, clip.image_size, clip.resize)
        if number in wanted_frames:
            frames[number] = small
        if number in wanted_gray:
            gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            if number - 1 in wanted_fields:
                field = flow.tvl1(np.stack([previous, gray]), quality=quality)[0]
                planes[number - 1] = flow.encode(field, clip.flow_bound)
            previous = gray
        if number == last:
            break
    return frames, planes


def predict_clip(model, clip_inputs):
    """Class probabilities of one clip.

    Args:
        model: anything with `predict_on_batch`: a network or an `ExportedModel`.
        clip_inputs: what `read_clip` returns.

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


def predict_video(model, config: RunConfig, path, quality="reference"):
    """Class probabilities of a video file, and the clip that they were found from.

    Args:
        model: a network or an `ExportedModel`.
        config: RunConfig.
        path: video file, or folder of images.
        quality: of the flow, `reference` or `fast`.

    Returns:
        (float32 (C,), dictionary of `read_clip`).
    """
    clip = read_clip(path, config.model.clip, config.model.streams, quality)
    return predict_clip(model, clip), clip


def rank(probabilities, classes, top):
    """The `top` most probable classes: list of (class name, probability), best first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[k], float(probabilities[k])) for k in order]
