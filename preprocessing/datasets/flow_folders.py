"""Clips of which frames and flow are there already, in the folders that other tools write.

docs/reference/data.md has the layouts. Which folder holds the frames is found by its clips, not by
its name.
"""

import collections
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from preprocessing import video
from preprocessing.datasets import folder_layout
from preprocessing.datasets.folder_layout import Place
from preprocessing.errors import UserError
from preprocessing.video import images, series

_Parts = tuple[str, ...]
_Kinds = Callable[[Path], set[str]]
_UCF_NAME = re.compile(r"v_(?P<class_name>\w+)_g\d+_c\d+")


@dataclasses.dataclass(frozen=True)
class Paired:
    """Videos, and the ready-made flow of some.

    Attributes:
        places: of the videos, in their order.
        flow: path of a video -> its flow, as in `preprocessing.datasets.catalogue.Video`.
        apart: folders of flow alone, which are no videos.
        left_out: a line for those of them that belong to no frames.
    """

    places: list[Place]
    flow: dict[Path, tuple[Path, Path]]
    apart: list[Path]
    left_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where a tree has frames and flow: folders below which clips have the same paths."""

    frames: _Parts
    x: _Parts
    y: _Parts


def pair(root: Path, paths: Iterable[Path]) -> Paired:
    """Puts frames and their flow together.

    Raises:
        UserError: all flow is without frames, or beside several folders of them, or inside the
            folder of a clip; or as `folder_layout.places`.
    """
    parts_of = {path: path.relative_to(root).parts for path in paths}
    folders = {parts: path for path, parts in parts_of.items() if path.is_dir()}
    kinds = functools.cache(_kinds)
    layouts = _layouts(root, folders, kinds)
    flow: dict[Path, tuple[Path, Path]] = {}
    trees = collections.defaultdict(list)  # root of frames -> its videos
    apart = []
    for path, parts in parts_of.items():
        layout = next((some for some in layouts if _is_below(parts, some.frames)), None)
        if parts in folders and layout:
            rest = parts[len(layout.frames) :]
            if not rest:
                raise UserError(
                    f"{path} has flow in folders beside it: put all into one folder, as"
                    " flow_x_00001.jpg and flow_y_00001.jpg, or into trees of their own, as"
                    " frames/CLASS/CLIP, flow/u/CLASS/CLIP and flow/v/CLASS/CLIP"
                )
            flow[path] = root.joinpath(*layout.x, *rest), root.joinpath(*layout.y, *rest)
            trees[root.joinpath(*layout.frames)].append(path)
        elif any(_is_below(parts, some.x) or _is_below(parts, some.y) for some in layouts):
            apart.append(path)
        else:
            trees[root].append(path)
            if parts in folders and kinds(path) & {"x", "y"}:
                flow[path] = path, path
    places = {
        place.path: place
        for tree, its in trees.items()
        for place in folder_layout.places(tree, its)
    }
    for path, place in places.items():
        if not place.class_folder and (match := _UCF_NAME.fullmatch(path.name)):
            places[path] = dataclasses.replace(place, class_folder=match["class_name"])
    used = {path for folders_of in flow.values() for path in folders_of}
    alone = [path for path in apart if path not in used]
    line = f"left out: {len(alone)} folders of flow without frames of their own"
    left_out = (f"{line} ({alone[0].relative_to(root)})",) if alone else ()
    return Paired([places[path] for path in parts_of if path in places], flow, apart, left_out)


def _is_below(parts: _Parts, folder: _Parts) -> bool:
    return parts[: len(folder)] == folder


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
