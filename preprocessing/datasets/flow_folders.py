"""Clips of which frames and flow are there already, in the folders that other tools write.

| layout | frames | flow |
|---|---|---|
| dense_flow | `CLASS/CLIP/img_00001.jpg` | `flow_x_00001.jpg`, `flow_y_00001.jpg` beside |
| twostreamfusion | `jpegs_256/CLIP/` | `tvl1_flow/u/CLIP/`, `tvl1_flow/v/CLIP/` |
| two trees | `rgb/CLASS/CLIP/` | `flow/CLASS/CLIP/` with both directions |

Which folder holds the frames is found by its clips, not by its name.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from preprocessing import video
from preprocessing.errors import UserError
from preprocessing.video import images, series

_Parts = tuple[str, ...]
_Kinds = Callable[[Path], set[str]]
_UCF_NAME = re.compile(r"v_(?P<class_name>\w+)_g\d+_c\d+")


@dataclasses.dataclass(frozen=True)
class Paired:
    """Videos, and the ready-made flow of some.

    Attributes:
        videos: (class, path), in their order; folders of flow alone are none.
        flow: path -> its flow, as in `preprocessing.datasets.catalogue.Video`.
        left_out: a line for flow without frames.
    """

    videos: list[tuple[str, Path]]
    flow: dict[Path, tuple[Path, Path]]
    left_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where a tree has frames and flow: folders below which clips have the same paths."""

    frames: _Parts
    x: _Parts
    y: _Parts


def pair(folder: Path, found: Iterable[tuple[str, Path]]) -> Paired:
    """Puts frames and their flow together.

    Args:
        folder: the source.
        found: (name of the folder in it, path) of each video as `VideoTree` finds them.

    Raises:
        UserError: all flow is without frames, or beside several folders of them, or inside the
            folder of a clip, or a clip's class is not known.
    """
    found = list(found)
    folders = {path.relative_to(folder).parts: path for _, path in found if path.is_dir()}
    kinds = functools.cache(_kinds)
    layouts = _layouts(folder, folders, kinds)
    videos: list[tuple[str, Path]] = []
    flow: dict[Path, tuple[Path, Path]] = {}
    alone = []
    for class_name, path in found:
        parts = path.relative_to(folder).parts
        layout = next((some for some in layouts if _is_below(parts, some.frames)), None)
        if parts in folders and layout:
            rest = parts[len(layout.frames) :]
            flow[path] = folder.joinpath(*layout.x, *rest), folder.joinpath(*layout.y, *rest)
            videos.append((_class_name(path, rest), path))
        elif any(_is_below(parts, some.x) or _is_below(parts, some.y) for some in layouts):
            alone.append(path)
        else:
            videos.append((class_name, path))
            if parts in folders and kinds(path) & {"x", "y"}:
                flow[path] = path, path
    alone = sorted(set(alone) - {path for places in flow.values() for path in places})
    line = f"left out: {len(alone)} folders of flow without frames of their own"
    left_out = (f"{line} ({alone[0].relative_to(folder)})",) if alone else ()
    return Paired(videos, flow, left_out)


def _is_below(parts: _Parts, folder: _Parts) -> bool:
    return parts[: len(folder)] == folder


def _class_name(path: Path, rest: _Parts) -> str:
    """The class of the frames in `path`, which lie at `rest` in the tree of all frames."""
    if not rest:
        raise UserError(
            f"{path} has flow in folders beside it: put all into one folder, as flow_x_00001.jpg"
            " and flow_y_00001.jpg, or into trees of their own, as frames/CLASS/CLIP,"
            " flow/u/CLASS/CLIP and flow/v/CLASS/CLIP"
        )
    if len(rest) > 1:
        return rest[0]
    if match := _UCF_NAME.fullmatch(rest[0]):
        return match["class_name"]
    raise UserError(
        f"{path} is of no known class: put clips into class folders, as"
        f" {path.parent / 'CLASS' / path.name} and the same for the flow, or call them"
        " v_CLASS_gNN_cNN as UCF101 does"
    )


def _kinds(path: Path) -> set[str]:
    """Of `frames`, `x` and `y` what a folder of images holds."""
    held = series.split(filter(video.is_image, path.iterdir()))
    return {kind for kind, found in held.items() if found}


def _layouts(folder: Path, folders: Mapping[_Parts, Path], kinds: _Kinds) -> list[_Layout]:
    """Where the tree has flow in other folders than the frames."""
    layouts: list[_Layout] = []
    alone = []
    # Folders that are flow by their names come first: they spare a look into the others.
    for parts in sorted(folders, key=lambda parts: not any(map(series.folder_axis, parts))):
        known = [where for some in layouts for where in (some.frames, some.x, some.y)]
        if any(_is_below(parts, where) for where in known):
            continue
        path = folders[parts]
        for index, x, y in _flow_places(folder, parts, path, kinds):
            frames = _frames_beside(folders, parts, index, {x[-1], y[-1]}, kinds)
            if len(frames) > 1:
                names = " and ".join(sorted("/".join(place) for place in frames))
                raise UserError(f"{path} is flow of {names}: leave one folder of frames")
            if frames:
                layouts.append(_Layout(frames.pop(), x, y))
                break
            alone += [x] if x != y else []
    if alone and not layouts:
        raise UserError(
            f"{folder.joinpath(*alone[0])} holds flow, and no folder beside it the frames of the"
            " same clips: put them there"
        )
    return layouts


def _flow_places(
    folder: Path, parts: _Parts, path: Path, kinds: _Kinds
) -> Iterator[tuple[int, _Parts, _Parts]]:
    """(position in the path, folder of x, folder of y) by which a folder of images may be flow."""
    for index, name in enumerate(parts):
        axis = series.folder_axis(name)
        if not axis:
            continue
        other = series.other_direction(name)
        above = parts[:index]
        says_flow = any("flow" in text.lower() for text in (name, *above[-1:]))
        # A letter may be a class too.
        if says_flow or (folder.joinpath(*above, other).is_dir() and _is_gray(path)):
            x, y = (name, other) if axis == "x" else (other, name)
            yield index, (*above, x), (*above, y)
    if "frames" not in kinds(path):
        for index in range(len(parts)):
            yield index, parts[: index + 1], parts[: index + 1]


def _frames_beside(
    folders: Mapping[_Parts, Path],
    parts: _Parts,
    index: int,
    directions: set[str],
    kinds: _Kinds,
) -> set[_Parts]:
    """Folders of frames beside that of flow, or one level higher, that have the same clip."""
    rest = parts[index + 1 :]
    for level in (index, index - 1)[: index + 1]:
        names = directions | {parts[level]}
        beside = {
            other[: level + 1]
            for other, path in folders.items()
            if other[:level] == parts[:level]
            and other[level + 1 :] == rest
            and len(other) > level
            and other[level] not in names
            and "frames" in kinds(path)
        }
        if beside:
            return beside
    return set()


def _is_gray(path: Path) -> bool:
    picture = images.read_image(video.image_files(path)[0])
    return bool((picture == picture[..., :1]).all())
