"""From a video file to the clip that the network takes.

Each step (resize, grey, TV-L1, encode, JPEG) is that of preparing records, so a video gives the
values that its record gives.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import flow, records, video, worker_pool
from preprocessing.errors import UserError
from preprocessing.flow.constants import GIVEN
from stfnet import sampling
from stfnet.config import ClipConfig, RecordsConfig


def stored_frame(frame: np.ndarray, stored: RecordsConfig) -> np.ndarray:
    """A small frame, uint8 (H, W, 3), as records give it back."""
    if stored.image_format == "png":
        return frame
    image = records.encode_frame(frame, stored.image_format, stored.jpeg_quality)
    return records.decode_frame(image)


def stored_field(field: np.ndarray, stored: RecordsConfig) -> np.ndarray:
    """An encoded flow field, uint8 (H, W, 2), as records give it back."""
    if stored.image_format == "png":
        return field
    planes = np.ascontiguousarray(field.transpose(2, 0, 1))  # h w xy -> xy h w
    image = records.encode_field(planes, stored.image_format, stored.jpeg_quality)
    return records.decode_field(image).transpose(1, 2, 0)


def encoded_field(
    pair: tuple[np.ndarray, np.ndarray], flow_bound: float, quality: str, stored: RecordsConfig
) -> np.ndarray:
    """The flow from a frame to the next as records give it back.

    Args:
        pair: the two frames, uint8 (H, W), resized, grayscale.
        flow_bound: displacement in pixels at the ends of the 8-bit range.
        quality: of the flow, `reference` or `fast` (see `preprocessing.flow.Solver`).
        stored: how the run's records hold fields.

    Returns:
        uint8 (H, W, 2), the x and the y plane.
    """
    (field,) = flow.Solver(quality=quality).fields(pair)
    return stored_field(flow.encode(field, flow_bound), stored)


def stack(fields: Sequence[np.ndarray]) -> np.ndarray:
    """The flow stack of one sampled frame: L fields uint8 (H, W, 2) to uint8 (H, W, 2L).

    Along the channels each field's x comes before its y: x1, y1, x2, y2, ...
    """
    return np.concatenate(fields, axis=-1)


def read_clip(
    path: Path | str | np.ndarray,
    config: ClipConfig,
    streams: str = "both",
    quality: str | None = None,
    stored: RecordsConfig = RecordsConfig(),  # noqa: B008  # frozen
    threads: int = 0,
    waiting: Callable[[], None] = lambda: None,
    longest: float = math.inf,
) -> dict[str, Any]:
    """Reads the test clip of a video (Eqs. 13-14) as the network takes it.

    The video is decoded twice, first to count its frames, since headers may lie, and to find what
    moves: only the clip's own frames and flow fields are ever held.

    Args:
        path: video file, folder of images, or the frames, uint8 (N, H, W, 3), RGB.
        config: the clip configuration.
        streams: `both`, `rgb` or `flow`: what to read.
        quality: of the flow, `reference` or `fast` (see `preprocessing.flow.Solver`); None for that
            of the records.
        stored: how the run's records hold frames and fields.
        threads: that compute flow, a field each; 0 for one on each core.
        waiting: called after every frame and field, to show that the work continues.
        longest: seconds that the video may have.

    Returns:
        Dictionary of `rgb` uint8 (T, H, W, 3) and `flow` uint8 (T, H, W, 2L) as far as asked for,
        `frame_numbers` int64 (T,) 0-based, `num_frames`, `times`, the seconds at which these are
        seen, `fps` (frames a second), `window`, the `preprocessing.video.Window` of the frame that
        was cut out, None where the whole is read, and `notes`, a line for whatever was repaired or
        is damaged.

    Raises:
        UserError: the video does not decode, has fewer than two frames, or fewer than T under
            `short_video="error"`, or is too long.
    """
    notes: list[str] = []
    if streams != "rgb" and stored.flow_method == GIVEN:
        notes.append("the network learned from flow that other programs made; this is TV-L1")
    quality = quality or stored.flow_quality
    times, fps, resize = _look_through(path, config, notes, waiting, longest)
    num_frames = len(times)
    try:
        frame_numbers = sampling.test_indices(num_frames, config.num_frames, config.short_video)
        stacks = sampling.flow_indices(frame_numbers, num_frames, config.flow_length)  # t l
    except UserError as error:
        name = "frames" if isinstance(path, np.ndarray) else path
        raise UserError(f"{name}: {error}") from error
    clip = {
        "frame_numbers": frame_numbers,
        "num_frames": num_frames,
        "times": times,
        "fps": fps,
        "window": resize.window,
        "notes": notes,
    }
    wanted_frames = set() if streams == "flow" else set(frame_numbers.tolist())
    wanted_fields = set() if streams == "rgb" else set(stacks.ravel().tolist())
    frames, pairs = _read(path, config, resize, wanted_frames, wanted_fields, waiting)
    fields = {}
    with ThreadPoolExecutor(threads or worker_pool.cores()) as pool:
        encode = functools.partial(
            encoded_field, flow_bound=config.flow_bound, quality=quality, stored=stored
        )
        for number, field in zip(pairs, pool.map(encode, pairs.values()), strict=True):
            waiting()
            fields[number] = field
    if wanted_frames:
        frames = {number: stored_frame(frame, stored) for number, frame in frames.items()}
        clip["rgb"] = np.stack([frames[number] for number in frame_numbers.tolist()])
    if wanted_fields:
        clip["flow"] = np.stack([stack([fields[k] for k in row]) for row in stacks.tolist()])
    return clip


def selection(config: ClipConfig) -> video.Selection:
    """Which frames of a video are those of the network's records."""
    return video.Selection(config.fps, config.repeats)


def read_timed_frames(
    path: Path | str | np.ndarray,
    config: ClipConfig,
    square: bool = False,
    note: Callable[[str, str], None] = lambda kind, reason: None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of a video that count, as preparing records reads them.

    Args:
        path: video file, folder of images, or the frames, uint8 (N, H, W, 3), RGB, of which all
            count.
        config: the clip configuration.
        square: whether the pixels must be square, to be drawn; where the network stretches frames
            it reads them as they are stored.
        note, waiting: see `preprocessing.video.read_timed_frames`.

    Yields:
        As `preprocessing.video.read_timed_frames`.

    Raises:
        UserError: the frames have another shape or dtype; or as there.
    """
    if isinstance(path, np.ndarray):
        if path.dtype != np.uint8 or path.ndim != 4 or path.shape[-1] != 3:
            raise UserError(
                f"frames are {path.dtype} {path.shape}, and uint8 (N, H, W, 3) is needed, RGB"
            )
        return ((number / video.UNKNOWN_FPS, frame) for number, frame in enumerate(path))
    square = square or config.resize != "stretch"
    chosen = selection(config)
    return video.read_timed_frames(Path(path), note, waiting, square=square, selection=chosen)


def _look_through(
    path: Path | str | np.ndarray,
    config: ClipConfig,
    notes: list[str],
    waiting: Callable[[], None],
    longest: float,
) -> tuple[list[float], float, video.Resizer]:
    """The times of a video's frames, their rate, and what brings them to the network's size."""
    times: list[float] = []

    def counted() -> Iterator[np.ndarray]:
        timed = read_timed_frames(
            path, config, note=lambda *note: notes.append(note[1]), waiting=waiting
        )
        for seconds, frame in timed:
            waiting()
            if seconds > longest:
                raise UserError(f"{path} is longer than {longest:g} s: send a part of it")
            times.append(seconds)
            yield frame

    frames = counted()
    resize = video.Resizer(config.image_size, config.resize, frames)
    for _ in frames:
        pass
    length = times[-1] - times[0] if times else 0.0
    fps = (len(times) - 1) / length if length > 0 else 0.0
    return times, video.usual_fps(round(fps, 3)), resize


def _read(
    path: Path | str | np.ndarray,
    config: ClipConfig,
    resize: video.Resizer,
    wanted_frames: set[int],
    wanted_fields: set[int],
    waiting: Callable[[], None],
) -> tuple[dict[int, np.ndarray], dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Decodes the video up to the last frame that is needed.

    Returns:
        (frames, pairs): frame number -> uint8 (H, W, 3), field number -> the two frames that it is
        between, uint8 (H, W), grayscale.
    """
    frames, grey = {}, {}
    flow_frames = wanted_fields | {number + 1 for number in wanted_fields}
    needed = wanted_frames | flow_frames
    last = max(needed)
    for number, (_, frame) in enumerate(read_timed_frames(path, config, waiting=waiting)):
        waiting()
        if number in needed:
            small = resize(frame)
            if number in wanted_frames:
                frames[number] = small
            if number in flow_frames:
                grey[number] = video.grayscale(small)
        if number == last:
            break
    return frames, {k: (grey[k], grey[k + 1]) for k in sorted(wanted_fields)}
