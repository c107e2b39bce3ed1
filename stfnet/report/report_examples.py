"""The tested clips that a report shows: which, and as short films of frames, flow and answer."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np

from preprocessing import flow, records, video
from preprocessing.captions import draw_text
from preprocessing.errors import UserError
from preprocessing.flow.colors import flow_to_color, scale_of
from preprocessing.records.reader import RecordReader
from stfnet import run
from stfnet.clips import input_pipeline, plans
from stfnet.config import ClipConfig
from stfnet.drawing.annotation import BACKGROUND, MARGIN, MUTED, TEXT, TRACK, data_url, enlarge
from stfnet.evaluation import result_files
from stfnet.explanation import attribution
from stfnet.explanation.pictures import overlay
from stfnet.networks.model import in_float32
from stfnet.run.config import RunConfig

MOST_RIGHT = 4  # recognised clips that are shown
MOST_FILM_BYTES = 16_000_000  # of a page: mail takes it, and a browser opens it at once
FPS = 4.0  # sampled frames are far apart, and are shown slowly enough to be looked at
SIDE, HEAD, FOOT = 224, 72, 30  # pixels: of a picture, and of the lines above and below
GOOD, BAD = (110, 205, 150), (255, 130, 115)


@dataclasses.dataclass(frozen=True)
class Example:
    """A test clip as the report shows it."""

    name: str  # of the video
    truth: str
    predicted: str
    probability: float  # of the predicted class
    probability_of_class: float  # of the true one
    film: str = ""  # data URL of a WebM file with VP8; empty without a film
    poster: str = ""  # data URL of its middle frame as a JPEG
    height: int = 0  # of the film, in pixels
    width: int = 0
    missing: str = ""  # why there is no film, where there could be one


def choose_examples(
    rows: Sequence[dict[str, str]], count: int
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Picks the most wrong mistakes, and the most confident successes of different classes.

    Of the rows of predictions.csv at most `count` of both together: mistakes come first, those
    whose true class is least probable, and of the others at most MOST_RIGHT, the surest.
    """
    wrong = [row for row in rows if row["class"] != row["predicted"]]
    wrong.sort(key=lambda row: float(row["probability_of_class"]))
    right: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: -float(row["probability"])):
        if row["class"] == row["predicted"]:
            right.setdefault(row["class"], row)
    wrong = wrong[:count]
    return wrong, list(right.values())[: min(MOST_RIGHT, count - len(wrong))]


def read_examples(workdir: Path, count: int) -> tuple[list[Example], list[Example]]:
    """The examples of an evaluated run, as `choose_examples`, without films; none where there are
    no predictions.

    Raises:
        UserError: a row of predictions.csv is none.
    """

    def example(row: dict[str, str]) -> Example:
        return Example(
            name=row["video"],
            truth=row["class"],
            predicted=row["predicted"],
            probability=float(row["probability"]),
            probability_of_class=float(row["probability_of_class"]),
        )

    try:
        wrong, right = choose_examples(result_files.read_predictions(workdir), count)
        return list(map(example, wrong)), list(map(example, right))
    except (KeyError, ValueError, TypeError) as error:
        path = result_files.paths_in(workdir).predictions
        raise UserError(
            f"{path} has a row that is no prediction ({error}): evaluate again"
        ) from error


def with_films(
    examples: Sequence[Example],
    workdir: Path,
    record_set: records.RecordSet,
    config: RunConfig,
    network: keras.Model | None,
) -> list[Example]:
    """The examples with their films (see `films`), as long as these stay below MOST_FILM_BYTES.

    A video whose file is another one now gets no film, since the answer was not to that.
    """
    located = run.locate(run.read_videos(workdir), record_set)
    there = {record_set.videos[k].id for k in located.test} - set(located.changed)
    known = [one for one in examples if one.name in there]
    shown, total = {}, 0
    for one in films(record_set, config, known, network):
        total += len(one.film) + len(one.poster)
        if total > MOST_FILM_BYTES:
            break
        shown[one.name] = one
    too_large = "the page would be too large"
    absent = "the records do not have the video that was tested"
    return [
        shown.get(one.name)
        or dataclasses.replace(one, missing=too_large if one.name in there else absent)
        for one in examples
    ]


def films(
    record_set: records.RecordSet,
    config: RunConfig,
    examples: Sequence[Example],
    network: keras.Model | None = None,
) -> Iterator[Example]:
    """Makes the films of test clips (Eqs. 13-14), one after the other, and yields the examples with
    them.

    Those whose video the records lack are left out. The third picture is Grad-CAM of the predicted
    class by the run's network; without one there are frames and flow alone.

    Raises:
        UserError: the records do not fit the run, or are damaged.
    """
    place = {video.id: k for k, video in enumerate(record_set.videos)}
    examples = [one for one in examples if one.name in place]
    if not examples:
        return
    plans.check_records(record_set, config)
    clip = config.model.clip
    network = in_float32(network) if network is not None else None
    plan = plans.plan_evaluation(
        record_set, np.array([place[one.name] for one in examples]), clip, 1
    )
    reader = RecordReader(record_set)
    batches = input_pipeline.clip_dataset(record_set, plan, clip, 1, reader=reader)
    with input_pipeline.naming_damage(reader):
        for one, batch in zip(examples, batches, strict=True):
            cam = None
            if network is not None:
                cam = _grad_cam(network, batch, config.classes.index(one.predicted))
            rgb, fields = batch["rgb"][0].numpy(), batch["fields"][0].numpy()
            frames = draw(rgb, fields, clip, one, cam)
            film, poster = encode(frames)
            yield dataclasses.replace(
                one,
                film=data_url("video/webm", film),
                poster=data_url("image/jpeg", poster),
                height=frames.shape[1],
                width=frames.shape[2],
            )


def draw(
    rgb: np.ndarray,
    fields: np.ndarray,
    clip: ClipConfig,
    example: Example,
    cam: np.ndarray | None = None,
) -> np.ndarray:
    """Draws each sampled frame beside the flow from it to the next frame, with truth and answer.

    `rgb` is uint8 (T, H, W, 3), the encoded fields (T, L, 2, H, W). Grad-CAM, float (T, h, w), at
    least 0, is drawn over the frames as a third picture. Returns uint8 (T, HEAD + SIDE + FOOT, 2
    SIDE or 3 SIDE, 3), RGB.
    """
    at_frame = np.moveaxis(fields[:, clip.flow_length // 2], 1, -1)  # t xy h w -> t h w xy
    displacements = flow.decode(at_frame, clip.flow_bound)
    colored = flow_to_color(displacements, scale_of(displacements))
    width = SIDE * (2 if cam is None else 3)
    head = _draw_head(example, width)
    frames = []
    for t, frame in enumerate(rgb):
        pictures = [enlarge(frame, SIDE, SIDE), enlarge(colored[t], SIDE, SIDE)]
        names = [f"frame {t + 1} of {len(rgb)}", "flow to the next frame"]
        if cam is not None:
            pictures.append(overlay(frame, cam[t], float(cam.max()), SIDE, SIDE))
            names.append(f"Grad-CAM of {example.predicted}")
        foot = np.full((FOOT, width, 3), BACKGROUND, np.uint8)
        for k, name in enumerate(names):
            draw_text(foot, name, k * SIDE + MARGIN, 19, 15, MUTED, width=SIDE - 2 * MARGIN)
        foot[-3:] = TRACK
        foot[-3:, : round(width * (t + 1) / len(rgb))] = TEXT
        frames.append(np.concatenate([head, np.concatenate(pictures, axis=1), foot]))
    return np.stack(frames)


def _draw_head(example: Example, width: int) -> np.ndarray:
    head = np.full((HEAD, width, 3), BACKGROUND, np.uint8)
    right = example.truth == example.predicted
    answer = f"{example.predicted}  {example.probability:.1%}"
    lines = (("truth", example.truth, TEXT), ("answer", answer, GOOD if right else BAD))
    for k, (name, value, color) in enumerate(lines):
        baseline = 28 + 30 * k
        draw_text(head, name, MARGIN, baseline, 18, MUTED)
        draw_text(head, value, MARGIN + 72, baseline, 22, color, 600, width - 72 - 2 * MARGIN)
    return head


def encode(frames: np.ndarray) -> tuple[bytes, bytes]:
    """Encodes RGB frames, uint8 (T, H, W, 3) with even H and W, as a WebM file, and the middle one
    as a JPEG.

    VP8 plays in Chromium, Firefox and Safari, without licensed encoders. A UserError where PyAV was
    built without it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.webm"
        with video.VideoWriter(path, FPS) as writer:
            for frame in frames:
                writer.write(frame)
        film = path.read_bytes()
    middle = cv2.cvtColor(frames[len(frames) // 2], cv2.COLOR_RGB2BGR)
    poster = cv2.imencode(".jpg", middle, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return film, poster


def _grad_cam(network: keras.Model, batch: Mapping, target: int) -> np.ndarray:
    """Grad-CAM of a class on the clip of a batch of one, float32 (T, h, w)."""
    inputs = input_pipeline.network_inputs(batch)
    fused = attribution.fuse(network, {name: inputs[name][0] for name in network.input})
    return attribution.grad_cam(network, fused, target)
