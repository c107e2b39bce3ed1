"""The folder of features: an array of each stream of each video, and what they are of.

    FOLDER/CLASS/VIDEO-rgb.npy    pooled: float32 (N, 512), block5_conv3 averaged over the map; else
    FOLDER/CLASS/VIDEO-flow.npy   the maps themselves, float16 (N, H / 16, W / 16, 512)
    FOLDER/CLASS/VIDEO-fc6.npy    float32 (N, 4096), where the network has fc6
    FOLDER/features.json          records, weights, settings, shapes; another's are refused
    FOLDER/index.csv              video, class, group, splits, frames and files; written last

Row t of an array is of frame t.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet
from preprocessing.records.reader import RecordReader
from stfnet import sampling
from stfnet.frame_features.networks import FC6, FrameNetwork

FORMAT = 1
FEATURES_FILE, INDEX_FILE = "features.json", "index.csv"
TIMED_FRAMES = 4  # from which the time is forecast
LARGEST = float(np.finfo(np.float16).max)


class Kind(NamedTuple):
    """An array's shape without its first axis, the frames, and its type."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def frame_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


def kinds(network: FrameNetwork, pooled: bool) -> dict[str, Kind]:
    """The arrays of a video, by the ending of their file's name; pooled, the maps are averaged."""
    one = (
        Kind(network.map_shape[-1:], np.dtype(np.float32))
        if pooled
        else Kind(network.map_shape, np.dtype(np.float16))
    )
    arrays = dict.fromkeys(network.streams, one)
    if network.fc6_units:
        arrays[FC6] = Kind((network.fc6_units,), np.dtype(np.float32))
    return arrays


def identity(network: FrameNetwork, record_set: RecordSet, pooled: bool) -> dict[str, Any]:
    """What `features.json` has, JSON values: all that the arrays depend on."""
    return {
        "format": FORMAT,
        # Sets from before digests are told from each other by where they lie.
        "records_sha256": record_set.sha256 or str(record_set.folder.resolve()),
        "weights": network.identity,
        "clip": {
            "image_size": network.clip.image_size,
            "resize": network.clip.resize,
            "flow_length": network.clip.flow_length,
            "flow_bound": network.clip.flow_bound,
        },
        "pooled": pooled,
        "arrays": {
            name: {"shape": ["frames", *kind.shape], "dtype": kind.dtype.name}
            for name, kind in kinds(network, pooled).items()
        },
    }


def paths_of(video: RecordedVideo, names: Iterable[str]) -> dict[str, str]:
    """Array -> path of its file in the folder.

    Raises:
        UserError: the video's class or id leads out of the folder.
    """
    # Where two videos have one file name, their ids are paths that begin with the class.
    stem = f"{video.class_name}/{video.id.removeprefix(f'{video.class_name}/')}"
    if stem.startswith("/") or ".." in Path(stem).parts:
        raise UserError(f"{stem}: a video of this name has no place in a folder: rename it")
    return {name: f"{stem}-{name}.npy" for name in names}


def write(
    network: FrameNetwork,
    record_set: RecordSet,
    folder: Path,
    pooled: bool,
    must_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Writes the features of every frame of a record set; videos that have theirs are left out.

    With `pooled` the streams' maps are averaged. Returns whether all are there; not, where it
    `must_stop`, which is asked before each video.

    Raises:
        UserError: the records have a grid, the folder has features of others, another process
            writes them, a record is damaged, or a map has values that float16 cannot hold.
    """
    if grid := record_set.clip["frame_grid"]:
        raise UserError(
            f"{record_set.folder}: records hold {grid} frames of each video, and features are of "
            "every frame: prepare again, into another folder, with experiments.prepare without "
            "--frame_grid"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = kinds(network, pooled)
    with files.locked(folder, "computation of features"):
        _claim(folder, identity(network, record_set, pooled))
        places = [
            {name: folder / path for name, path in paths_of(video, arrays).items()}
            for video in record_set.videos
        ]
        for parent in {path.parent for paths in places for path in paths.values()}:
            parent.mkdir(parents=True, exist_ok=True)
            files.remove_partial(parent)
        missing = [
            k for k, paths in enumerate(places) if not all(p.is_file() for p in paths.values())
        ]
        if missing:
            reader = RecordReader(record_set)
            frames = sum(record_set.videos[k].num_frames for k in missing)
            size = frames * sum(kind.frame_bytes for kind in arrays.values())
            seconds = frames * _seconds_per_frame(network, reader, missing[0])
            print(
                f"features of {frames:,} frames of {len(missing):,} videos in {folder}: "
                f"{size / 1e6:,.1f} MB, about {max(seconds / 60, 1):,.0f} min",
                flush=True,
            )
            with tqdm(total=frames, unit="frame", desc="features", leave=False) as bar:
                for k in missing:
                    if must_stop():
                        return False
                    _write_video(network, reader, k, places[k], arrays, bar.update)
        _write_index(folder, record_set, arrays)
    return True


def _claim(folder: Path, values: dict[str, Any]) -> None:
    """Writes `features.json`, or compares it with what is there."""
    path = folder / FEATURES_FILE
    if not path.exists():
        files.check_unclaimed(folder, [INDEX_FILE], "these features")
        files.write_json(path, values)
        return
    try:
        there = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): name another folder") from error
    if there != values:
        there = there if isinstance(there, dict) else {}
        different = [name for name in values if there.get(name) != values[name]]
        raise UserError(
            f"{path} is of other features than these (other {', '.join(different)}): name another "
            "folder, or delete this one"
        )


def _compute(
    network: FrameNetwork, reader: RecordReader, position: int, frames: np.ndarray
) -> dict[str, np.ndarray]:
    count = reader.record_set.videos[position].num_frames
    fields = sampling.flow_indices(frames, count, network.clip.flow_length)
    rgb, flow = reader.clips([position], frames[None], fields[None])
    return network.maps(rgb[0], flow[0])


def _seconds_per_frame(network: FrameNetwork, reader: RecordReader, position: int) -> float:
    frames = np.minimum(np.arange(TIMED_FRAMES), reader.record_set.videos[position].num_frames - 1)
    _compute(network, reader, position, frames)  # the first call traces the graph
    started = time.perf_counter()
    _compute(network, reader, position, frames)
    return (time.perf_counter() - started) / TIMED_FRAMES


def _write_video(
    network: FrameNetwork,
    reader: RecordReader,
    position: int,
    paths: dict[str, Path],
    arrays: dict[str, Kind],
    report: Callable[[int], object],
) -> None:
    video = reader.record_set.videos[position]
    with contextlib.ExitStack() as stack:
        opened = {
            name: _Rows(stack.enter_context(files.writing(path)), video.num_frames, arrays[name])
            for name, path in paths.items()
        }
        for frames in network.sequences(video.num_frames):
            maps = _compute(network, reader, position, frames)
            values = {
                name: one.mean((1, 2)) if len(arrays[name].shape) == 1 else one
                for name, one in maps.items()
            }
            if FC6 in arrays:
                try:
                    values[FC6] = network.fc6(maps)
                except UserError as error:  # a video that is too short
                    raise UserError(f"{video.id}: {error}") from error
            for name, rows in values.items():
                if arrays[name].dtype == np.float16 and not np.abs(rows).max() <= LARGEST:
                    raise UserError(
                        f"the {name} stream's maps of {video.id} reach {np.abs(rows).max()}, which "
                        "float16 cannot hold: give --pooled"
                    )
                opened[name].put(frames, rows)
            report(len(frames))


class _Rows:
    """A .npy file whose rows are written in any order, without holding the array."""

    def __init__(self, file: BinaryIO, count: int, kind: Kind):
        np.lib.format.write_array_header_1_0(
            file,
            {
                "descr": np.lib.format.dtype_to_descr(kind.dtype),
                "fortran_order": False,
                "shape": (count, *kind.shape),
            },
        )
        self._file, self._kind, self._begin = file, kind, file.tell()

    def put(self, numbers: np.ndarray, rows: np.ndarray) -> None:
        for number, row in zip(numbers, rows, strict=True):
            self._file.seek(self._begin + int(number) * self._kind.frame_bytes)
            self._file.write(row.astype(self._kind.dtype).tobytes())


def _write_index(folder: Path, record_set: RecordSet, arrays: dict[str, Kind]) -> None:
    folds = sorted({fold for video in record_set.videos for fold in video.splits})

    def rows() -> Iterator[tuple]:
        yield ("video", "class", "group", *(f"split_{f}" for f in folds), "frames", *arrays)
        for video in record_set.videos:
            splits = (video.splits.get(fold, "") for fold in folds)
            row = (video.id, video.class_name, video.group, *splits, video.num_frames)
            yield (*row, *paths_of(video, arrays).values())

    files.write_csv(folder / INDEX_FILE, rows(), end="\r\n")
