"""Flow fields that are there already, as gray pictures of x and of y displacements.

dense_flow, denseflow and their like encode displacements of -bound to bound pixels as
round(255 * (v + bound) / (2 * bound)), mostly with a bound of 20. Displacements are in pixels of
the picture itself.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from preprocessing import video
from preprocessing.video import images, series

_COMPARED = 8  # pairs of frames by which the order of as many fields as frames is found
_OTHER_SHAPE = 0.05  # share by which the ratio of sides may differ before it is said
_STRETCHED = 0.5  # share of a clip's fields that reach both ends, from which it is said
_CLIPPED = 0.05  # share of a clip's values at the ends, from which it is said


def decode(pictures: np.ndarray, bound: float) -> np.ndarray:
    """The displacements that a picture encodes.

    0 lies between 127 and 128, and tools write it as either: both are no motion.

    Args:
        pictures: uint8, any shape.
        bound: displacement in pixels at the ends of the 8-bit range.

    Returns:
        float32 of the same shape, in pixels.
    """
    levels = np.arange(256) - 127.5
    levels[127:129] = 0
    # Each value lies halfway between two levels of `preprocessing.flow.encode`: a hair towards 0
    # makes it the lower one on either side, so that no level is lost.
    levels *= 1 - 1e-6
    return (levels * bound / 127.5).astype(np.float32)[pictures]


class GivenFlow:
    """The ready-made flow of one clip.

    Args:
        folders: those of its x and of its y pictures, as `preprocessing.video.flow_files` takes
            them; None where there are none.
        bound: displacement in pixels at the ends of the 8-bit range.

    Attributes:
        notes: what was assumed or is doubtful, in lines that are complete when `fields` has ended.

    Raises:
        VideoError: `no_flow`: a direction is missing; `flow_count`: there are not N - 1 or N
            fields for N frames, or x and y have different numbers.
    """

    def __init__(
        self, path: Path, folders: tuple[Path, Path] | None, bound: float, resize: video.Resizer
    ):
        self._path, self._bound, self._resize = path, bound, resize
        self.notes: list[str] = []
        if not path.is_dir():
            raise video.VideoError("no_flow", f"{path} is a file, and --flow=given needs {_NEEDED}")
        x_files, y_files = video.flow_files(*folders) if folders else ([], [])
        for axis, files in (("x", x_files), ("y", y_files)):
            if not files:
                where = "" if folders is None or path in folders else f" in {folders[axis == 'y']}"
                raise video.VideoError(
                    "no_flow",
                    f"{path} has no flow pictures of {axis}{where}: --flow=given needs {_NEEDED}",
                )
        frames = video.image_files(path)
        counts = f"{len(frames)} frames, {len(x_files)} x and {len(y_files)} y flow pictures"
        if len(x_files) != len(y_files) or len(frames) - len(x_files) not in (0, 1):
            raise video.VideoError(
                "flow_count",
                f"{path} has {counts}: needed are as many x as y, one less than frames or as many;"
                " copy what is missing, or leave it out",
            )
        for x_file, y_file in zip(x_files, y_files, strict=True):
            if series.number(x_file) != series.number(y_file):
                raise video.VideoError(
                    "flow_count",
                    f"{path} has {x_file.name} beside {y_file.name}: their numbers must agree",
                )
        self._files = list(zip(x_files, y_files, strict=True))
        claim = video.probe(path)
        self._frame_shape = claim.height, claim.width
        self._field_shape = self._read(0).shape[:2]
        if len(frames) == len(self._files) > 1:
            self._leave_one_out()
        height, width = self._field_shape
        ratio = width / height * claim.height / claim.width
        if abs(ratio - 1) > _OTHER_SHAPE:
            self.notes.append(
                f"{path} has frames of {claim.width} x {claim.height} and flow of {width} x"
                f" {height}: taken as the whole frame, stretched"
            )

    def fields(self, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """Some of the fields, as they are asked for.

        Args:
            numbers: which, from 0.

        Yields:
            float32 (H, W, 2), in pixels of the resized frames.

        Raises:
            VideoError: `bad_flow`: a picture is not 8-bit gray, is of another size than the others,
                or black or white all over; `corrupt`: it does not decode.
        """
        constant = stretched = count = 0
        clipped = 0.0
        for number in numbers:
            count += 1
            planes = self._read(number)
            least, most = planes.min((0, 1)), planes.max((0, 1))
            constant += int((least == most).sum())
            stretched += bool((least <= 1).all() and (most >= 254).all())
            clipped += float(((planes == 0) | (planes == 255)).mean())
            yield self._resize.field(decode(planes, self._bound), self._frame_shape)
        if constant:
            self.notes.append(
                f"{self._path}: {constant} of {2 * count} flow pictures are the same at every pixel"
            )
        if clipped > _CLIPPED * count:
            self.notes.append(
                f"{self._path}: {clipped / count:.0%} of its flow lies at the ends of 0..255, where"
                " the tool cut it off: compute it again with a larger bound"
            )
        elif stretched > _STRETCHED * count:
            self.notes.append(
                f"{self._path}: {stretched} of {count} flow fields reach both ends of 0..255, as"
                " where each was stretched to its own range: then no bound is right"
            )

    def _read(self, index: int) -> np.ndarray:
        """uint8 (h, w, 2) of a pair of pictures."""
        planes = []
        for path in self._files[index]:
            picture = images.read_image(path, cv2.IMREAD_UNCHANGED)
            if picture.ndim == 3 and (picture == picture[..., :1]).all():
                picture = picture[..., 0]
            if picture.dtype != np.uint8 or picture.ndim != 2:
                kind = "in colour" if picture.ndim == 3 else f"of {picture.dtype}"
                raise video.VideoError(
                    "bad_flow",
                    f"{path} is {kind}: needed is flow as 8-bit gray, one picture a direction",
                )
            if picture.max() == 0 or picture.min() == 255:
                raise video.VideoError(
                    "bad_flow", f"{path} is {picture[0, 0]} at every pixel, which no flow is"
                )
            planes.append(picture)
        first, second = (plane.shape for plane in planes)
        expected = getattr(self, "_field_shape", first)
        for path, shape in zip(self._files[index], (first, second), strict=True):
            if shape != expected:
                raise video.VideoError(
                    "bad_flow",
                    f"{path} is of {shape[1]} x {shape[0]} pixels, other flow of the clip of"
                    f" {expected[1]} x {expected[0]}",
                )
        return np.stack(planes, -1)

    def _leave_one_out(self):
        """Drops the first or the last of as many fields as frames.

        dense_flow writes with each field the frame that it leads to, so its first has no frame to
        begin at; other tools repeat the last. Which it is shows where the fields fit the frames.
        """
        frames = video.image_files(self._path)
        pairs = np.unique(np.linspace(0, len(frames) - 2, _COMPARED).round().astype(int))
        errors = np.zeros(2)
        size = self._field_shape[::-1]
        for pair in pairs.tolist():
            first, second = (
                cv2.resize(video.grayscale(images.read_image(frame)), size)
                for frame in frames[pair : pair + 2]
            )
            for drop in (0, 1):
                field = decode(self._read(pair + drop), self._bound)
                errors[drop] += _misfit(first, second, field)
        which = "first" if errors[1] < errors[0] else "last"
        x_file, _ = self._files.pop(0 if which == "first" else -1)
        self.notes.append(
            f"{self._path} has as many flow fields as frames: the {which} ({x_file.name}) is left"
            " out, by which the others fit the frames"
        )


_NEEDED = "flow_x_ and flow_y_ pictures beside the frames, or folders u and v of them"


def _misfit(first: np.ndarray, second: np.ndarray, field: np.ndarray) -> float:
    """Mean difference between a gray frame and the next one, moved back along the flow."""
    rows, columns = np.indices(first.shape, np.float32)
    x, y = columns + field[..., 0], rows + field[..., 1]
    moved = cv2.remap(second, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(moved.astype(np.float32) - first).mean())
