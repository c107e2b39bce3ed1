"""The process that holds the network: it decodes videos that may be anything, and may die of one.

The server imports this module for its functions' names, so Keras is imported inside them.
"""

import base64
import dataclasses
import functools
import signal
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from preprocessing import video, worker_pool
from preprocessing.errors import UserError
from stfnet.drawing.annotation import draw_clip, to_png

LARGEST_PICTURE = 8192 * 4320  # pixels of a frame: 8K; a header may claim any size
VIDEO = "the video"  # what a message calls the file, whose name here is nobody's business


class Network(BaseModel):
    """What a server says of its network."""

    dataset: str = Field(description="name of the data that it was trained on")
    classes: list[str]
    explains: bool = Field(description="whether it gives more than probabilities")


class Frame(BaseModel):
    """A sampled frame."""

    number: int = Field(description="in the video, from 0")
    seconds: float = Field(description="since the beginning of the video")


class Prediction(BaseModel):
    """What the network says of a video."""

    label: str = Field(description="the most probable class")
    probabilities: dict[str, float] = Field(description="of every class, the largest first")
    num_frames: int = Field(description="of the video")
    fps: float = Field(description="frames a second of the video")
    seconds: float = Field(description="length of the video")
    frames: list[Frame] = Field(description="those that the network read")
    notes: list[str] = Field(description="what of the video was repaired or is damaged")
    took: float = Field(description="seconds from the whole upload to the answer")
    picture: str | None = Field(description="PNG in base64; null without `picture`")
    film: str | None = Field(description="WebM in base64; null without `film`, and of an export")


@dataclasses.dataclass
class _Opened:
    model: Any
    config: Any
    network: Network
    quality: str | None

    @functools.cached_property
    def in_float32(self) -> Any:
        """The network as explanations need it, converted once."""
        from stfnet.networks.model import in_float32

        return in_float32(self.model)


_opened: Future[_Opened] = Future()  # done when `open_network` is, which comes before all else


def open_network(folder: str, quality: str | None) -> None:
    """Loads a network and predicts once; what goes wrong is raised by `describe`.

    The folder is of a run or an export; `quality` is that of the flow, None for that of the
    records.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends at once, whatever it computes
    threading.Thread(target=worker_pool.die_with_parent, daemon=True).start()
    try:
        _opened.set_result(_open(folder, quality))
    except Exception as error:
        _opened.set_exception(error)


def describe() -> Network:
    """What this process serves; a UserError where the folder holds no network that works."""
    return _opened.result().network


def recognise(
    path: str, max_seconds: float, picture: bool = False, film: bool = False
) -> Prediction:
    """Recognises what happens in a video file of at most so many seconds; `took` is 0.

    With `picture` the answer has the explanation as a picture, or the sampled frames above their
    flow where the network cannot be explained but has flow; with `film` the explanation as a film,
    written beside the file, if the network can be explained.

    Raises:
        UserError: the file is no video, does not decode, is too long or too short, or its frames
            are too large. The message does not name the file.
    """
    try:
        return _recognise(_opened.result(), path, max_seconds, picture, film)
    except UserError as error:
        # One argument, so that it survives the way to the server.
        raise UserError(str(error).replace(path, VIDEO)) from None


def _open(folder: str, quality: str | None) -> _Opened:
    with worker_pool.silenced_stderr():
        import keras

        keras.ops.zeros(1)
    from stfnet.explanation import attribution
    from stfnet.export.layout import is_export
    from stfnet.inference import prediction

    model, config = prediction.load_model(folder)
    prediction.warm_up(model, config, quality)
    explains = not is_export(folder) and attribution.has_maps(model)
    network = Network(dataset=config.name, classes=config.classes, explains=explains)
    return _Opened(model, config, network, quality)


def _recognise(
    opened: _Opened, path: str, max_seconds: float, picture: bool, film: bool
) -> Prediction:
    from stfnet.inference import prediction

    claim = video.probe(Path(path))
    if claim.width * claim.height > LARGEST_PICTURE:
        size = f"{claim.width} x {claim.height}"
        raise UserError(f"{VIDEO} has frames of {size} pixels, more than 8192 x 4320")
    model, config = opened.model, opened.config
    drawn = filmed = None
    if (picture or film) and opened.network.explains:
        from stfnet.explanation import explain, pictures
        from stfnet.explanation.film import write_film

        explained, clip = explain.explain_video(
            opened.in_float32, config, path, quality=opened.quality, longest=max_seconds
        )
        probabilities, numbers = explained.probabilities, clip.numbers
        times, fps, notes = clip.times, clip.fps, clip.notes
        if picture:
            drawn = pictures.draw_clip(explained, clip)
        if film:
            file = Path(path).with_name("film.webm")
            write_film(file, Path(path), explained, clip)
            filmed = base64.b64encode(file.read_bytes()).decode()
    else:
        probabilities, inputs = prediction.predict_video(
            model, config, path, opened.quality, max_seconds
        )
        numbers = inputs["frame_numbers"].tolist()
        times, fps, notes = (inputs[name] for name in ("times", "fps", "notes"))
        if picture and {"rgb", "flow"} <= set(inputs):
            planes = inputs["flow"].reshape(*inputs["rgb"].shape[:3], -1, 2)  # t h w l xy
            drawn = draw_clip(inputs["rgb"], planes.transpose(0, 3, 4, 1, 2), config.model.clip)
    ranking = prediction.rank(probabilities, opened.network.classes, len(probabilities))
    return Prediction(
        label=ranking[0][0],
        probabilities=dict(ranking),
        num_frames=len(times),
        fps=fps,
        seconds=times[-1] + 1 / fps,
        frames=[Frame(number=k, seconds=times[k]) for k in numbers],
        notes=[note.replace(path, VIDEO) for note in notes],
        took=0,
        picture=None if drawn is None else base64.b64encode(to_png(drawn)).decode(),
        film=filmed,
    )
