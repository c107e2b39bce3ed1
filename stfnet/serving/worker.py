"""The process that holds the network: it decodes videos that may be anything, and may die of one.

The server imports this module for its functions' names, so TensorFlow is imported inside them.
"""

import dataclasses
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import flow, video, worker_pool
from preprocessing.errors import UserError
from stfnet.config import ClipConfig
from stfnet.inference.clip import read_timed_frames

LARGEST_PICTURE = 8192 * 4320  # pixels of a frame: 8K; a header may claim any size
VIDEO = "the video"  # what a message calls the file, whose name here is nobody's business


@dataclasses.dataclass(frozen=True)
class Network:
    """What a server says of its network.

    Attributes:
        dataset: name of the data that it was trained on.
        classes: names of its classes.
        streams: `both`, `rgb` or `flow`.
        num_frames: sampled of a video.
        explains: whether it can be explained; an export and C3D give probabilities alone.
    """

    dataset: str
    classes: tuple[str, ...]
    streams: str
    num_frames: int
    explains: bool


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a network says of a video.

    Attributes:
        ranking: (class name, probability), best first, of all classes.
        num_frames: of the video.
        fps: frames a second of the video.
        seconds: length of the video.
        frames: (number from 0, seconds since the beginning) of each sampled frame.
        picture: uint8 (H, W, 3), RGB: the explanation, or the sampled frames above their flow
            where the network cannot be explained; None where nobody asked, or there is no flow.
        notes: a line for whatever of the video was repaired or is damaged.
    """

    ranking: tuple[tuple[str, float], ...]
    num_frames: int
    fps: float
    seconds: float
    frames: tuple[tuple[int, float], ...]
    picture: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass
class _Opened:
    model: Any
    config: Any
    network: Network
    quality: str


_opened: _Opened | Exception | None = None


def open_network(folder: str, quality: str) -> None:
    """Loads a network and predicts once; what goes wrong is raised by `describe`.

    Args:
        folder: of a run or an export.
        quality: of the flow, `reference` or `fast`.
    """
    global _opened
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it ends at once, whatever it computes
    threading.Thread(target=worker_pool.die_with_parent, daemon=True).start()
    try:
        _opened = _open(folder, quality)
    except Exception as error:
        _opened = error


def describe() -> Network:
    """What this process serves.

    Raises:
        UserError: the folder holds no network that works.
    """
    return _ready().network


def recognise(path: str, max_seconds: float, draw: bool = False, film: str | None = None) -> Answer:
    """Recognises what happens in a video file.

    Args:
        path: of the file.
        max_seconds: length that it may have.
        draw: whether the answer has a picture.
        film: file to write the explanation as a video to, `.webm`; None for none. Only of a
            network that can be explained.

    Raises:
        UserError: the file is no video, does not decode, is too long or too short, or its frames
            are too large. The message does not name the file.
    """
    try:
        return _recognise(_ready(), path, max_seconds, draw, film)
    except UserError as error:
        # One argument, so that it survives the way to the server.
        raise UserError(str(error).replace(path, VIDEO)) from None


def frame_times(
    path: str, max_seconds: float, clip: ClipConfig, notes: list[str] | None = None
) -> list[float]:
    """The time of every frame of a video file in seconds.

    Args:
        path, max_seconds: as of `recognise`.
        clip: says which frames count.
        notes: gets a line for whatever was repaired or is damaged, without the file's name.

    Raises:
        UserError: as `recognise`.
    """
    claim = video.probe(Path(path))
    if claim.width * claim.height > LARGEST_PICTURE:
        size = f"{claim.width} x {claim.height}"
        raise UserError(f"{VIDEO} has frames of {size} pixels, more than 8192 x 4320")
    times, noted = [], [] if notes is None else notes

    def note(kind: str, reason: str):
        noted.append(reason.replace(path, VIDEO))

    for seconds, _ in read_timed_frames(path, clip, note=note):
        if seconds > max_seconds:
            raise UserError(f"{VIDEO} is longer than {max_seconds:g} s: send a part of it")
        times.append(seconds)
    return times


def _ready() -> _Opened:
    if isinstance(_opened, Exception):
        raise _opened
    assert _opened is not None  # `open_network` is the first that a process does
    return _opened


def _open(folder: str, quality: str) -> _Opened:
    with worker_pool.silenced_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
    from stfnet.explanation import attribution
    from stfnet.export.saved_model import is_export
    from stfnet.inference import prediction

    model, config = prediction.load_model(folder)
    clip, streams = config.model.clip, config.model.streams
    network = Network(
        dataset=config.name,
        classes=tuple(config.classes),
        streams=streams,
        num_frames=clip.num_frames,
        explains=not is_export(folder) and attribution.has_maps(model),
    )
    # The first of everything is slow, and a prediction shows weights that are not finite.
    if streams != "rgb":
        grey = np.zeros((clip.image_size, clip.image_size), np.uint8)
        flow.Solver(quality=quality).fields((grey, grey))
    shape = (clip.num_frames, clip.image_size, clip.image_size)
    channels = {"rgb": 3, "flow": 2 * clip.flow_length}
    read = channels if streams == "both" else [streams]
    blank = {name: np.full((*shape, channels[name]), 128, np.uint8) for name in read}
    prediction.predict_clip(model, blank)
    return _Opened(model, config, network, quality)


def _recognise(
    opened: _Opened, path: str, max_seconds: float, draw: bool, film: str | None
) -> Answer:
    from stfnet.inference import prediction

    notes: list[str] = []
    times = frame_times(path, max_seconds, opened.config.model.clip, notes)
    picture = None
    if draw and opened.network.explains:
        probabilities, numbers, fps, picture = _explain(opened, path, film)
    else:
        probabilities, clip = prediction.predict_video(
            opened.model, opened.config, path, opened.quality
        )
        numbers, fps = clip["frame_numbers"].tolist(), clip["fps"]
        if draw:
            picture = _draw_clip(clip, opened.config.model.clip)
    classes = opened.network.classes
    return Answer(
        ranking=tuple(prediction.rank(probabilities, classes, len(classes))),
        num_frames=len(times),
        notes=tuple(notes),
        fps=fps,
        seconds=times[-1] + 1 / fps,
        frames=tuple((number, times[min(number, len(times) - 1)]) for number in numbers),
        picture=picture,
    )


def _explain(opened: _Opened, path: str, film: str | None):
    """(probabilities, frame numbers, frames a second, picture) of `stfnet.explanation`."""
    from stfnet.explanation import explain, pictures
    from stfnet.explanation.film import write_film

    explanation, clip = explain.explain_video(
        opened.model, opened.config, path, quality=opened.quality
    )
    if film:
        write_film(Path(film), Path(path), explanation, clip)
    picture = pictures.draw_clip(explanation, clip)
    return explanation.probabilities, clip.numbers, clip.fps, picture


def _draw_clip(clip_inputs, clip) -> np.ndarray | None:
    """The sampled frames above their flow, as far as a network reads both."""
    from stfnet.drawing import annotation

    if not {"rgb", "flow"} <= set(clip_inputs):
        return None
    frames, height, width, _ = clip_inputs["flow"].shape
    planes = clip_inputs["flow"].reshape(frames, height, width, clip.flow_length, 2)  # t h w l xy
    return annotation.draw_clip(clip_inputs["rgb"], planes.transpose(0, 3, 4, 1, 2), clip)
