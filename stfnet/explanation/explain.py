"""From a run and a video to the files that explain the network's answer."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from preprocessing import files, video
from preprocessing.errors import UserError
from stfnet import sampling
from stfnet.config import ClipConfig
from stfnet.drawing.annotation import color_fields, to_png
from stfnet.explanation import pictures
from stfnet.explanation.attribution import Explanation, explain_clip
from stfnet.explanation.film import write_film
from stfnet.export.layout import is_export, is_foreign
from stfnet.inference.clip import read_clip
from stfnet.inference.prediction import load_model, rank
from stfnet.networks.model import in_float32
from stfnet.run.config import RunConfig

MAPS_FILE, CLIP_FILE, FILM_FILE = "feature_maps.png", "explanation.png", "explanation.mp4"
FRAMES_FILE, JSON_FILE = "frame_importance.csv", "explanation.json"


def load_network(folder: Path | str) -> tuple[keras.Model, RunConfig]:
    """Loads the best network of a run, or a head, as `prediction.load_model`, in float32.

    Raises:
        UserError: also where the folder is another export, which has no layers to look into.
    """
    if is_export(folder) or is_foreign(folder):
        raise UserError(
            f"{folder} is an export, which gives probabilities alone: name the folder of the run "
            "that it was made from"
        )
    model, config = load_model(folder)
    return in_float32(model), config


def class_position(config: RunConfig, name: str | None) -> int | None:
    """Position of a class by its name, None for None; a UserError where there is none of it."""
    if name is None:
        return None
    if name not in config.classes:
        known = ", ".join(config.classes[:20]) + (", ..." if len(config.classes) > 20 else "")
        raise UserError(f"the run has no class {name!r}; it has {known}")
    return config.classes.index(name)


def explain_video(
    model: keras.Model,
    config: RunConfig,
    path: Path | str,
    target: int | None = None,
    quality: str | None = None,
    longest: float = math.inf,
) -> tuple[Explanation, pictures.ShownClip]:
    """Explains the answer of a network to the test clip of a video (Eqs. 13-14).

    `target` is the position of the class to explain, None for the most probable; `quality` that of
    the flow, None for that of the records; `longest` the seconds that the video may have.

    Raises:
        UserError: as `read_clip` and `explain_clip`.
    """
    streams = config.model.streams
    # A network that reads flow alone is explained on the frames all the same.
    streams = "both" if streams == "flow" else streams
    clip_inputs = read_clip(
        path, config.model.clip, streams, quality, config.records, longest=longest
    )
    explanation = explain_clip(model, config.classes, clip_inputs, target)
    first = next(iter(video.read_frames(Path(path), square=True)))
    return explanation, _shown(clip_inputs, config.model.clip, first.shape[1] / first.shape[0])


def write_explanation(
    folder: Path,
    source: Path | str,
    explanation: Explanation,
    clip: pictures.ShownClip,
    about: Mapping[str, Any],
) -> list[Path]:
    """Writes feature maps, Grad-CAM and importance as PNG, MP4, CSV and JSON, and returns the
    files.

    Explanation and clip are what `explain_video` returned for the source; `about` is more for the
    JSON file. The folder is made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (
        (MAPS_FILE, pictures.draw_feature_maps(explanation, clip)),
        (CLIP_FILE, pictures.draw_clip(explanation, clip)),
    ):
        with files.writing(folder / name) as file:
            file.write(to_png(picture))
    write_film(folder / FILM_FILE, Path(source), explanation, clip)
    rows = frame_rows(explanation, clip)
    files.write_csv(folder / FRAMES_FILE, [rows[0], *(row.values() for row in rows)])
    ranking = rank(explanation.probabilities, explanation.classes, len(explanation.classes))
    summary = {
        **about,
        "class": explanation.classes[explanation.target],
        "logit": float(explanation.logits[explanation.target]),
        "probabilities": dict(ranking),
        "num_frames": clip.num_frames,
        "fps": clip.fps,
        "frames": rows,
    }
    files.write_json(folder / JSON_FILE, summary)
    return [folder / name for name in (CLIP_FILE, FILM_FILE, MAPS_FILE, FRAMES_FILE, JSON_FILE)]


def frame_rows(explanation: Explanation, clip: pictures.ShownClip) -> list[dict[str, Any]]:
    """For each frame of a clip its number, time in seconds and importance in each branch."""
    return [
        {
            "frame_number": number,
            "seconds": round(number / clip.fps, 3),
            **{
                f"{branch}_{measure}": float(getattr(importance, measure)[t])
                for branch, importance in explanation.importance.items()
                for measure in ("left_out", "gradient")
            },
        }
        for t, number in enumerate(clip.numbers)
    ]


def _shown(clip_inputs: Mapping[str, Any], clip: ClipConfig, aspect: float) -> pictures.ShownClip:
    numbers, num_frames = clip_inputs["frame_numbers"], clip_inputs["num_frames"]
    fields = None
    if colored := color_fields(clip_inputs, clip):
        stacks = sampling.flow_indices(numbers, num_frames, clip.flow_length)
        at_frames = stacks[:, clip.flow_length // 2].tolist()
        fields = np.stack([colored[number] for number in at_frames])
    whole = clip.resize == "stretch"
    return pictures.ShownClip(
        frames=clip_inputs["rgb"],
        fields=fields,
        numbers=tuple(numbers.tolist()),
        num_frames=num_frames,
        times=clip_inputs["times"],
        fps=clip_inputs["fps"],
        whole=whole,
        aspect=aspect if whole else 1.0,
        window=clip_inputs["window"],
        selection=video.Selection(clip.fps, clip.repeats),
        notes=tuple(clip_inputs["notes"]),
    )
