"""Which pictures of a folder are frames, and which are ready-made flow, by their names.

Tools that compute flow beforehand write one gray picture for each direction: `flow_x_00001.jpg` and
`flow_y_00001.jpg` (dense_flow), `x_00001.jpg` and `y_00001.jpg`, beside `img_00001.jpg`; or whole
folders `u` and `v` of them.
"""

import collections
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from preprocessing.errors import UserError

_NAMED = re.compile(r"(?:^|[^a-z])flow[_-]?([xyuv])(?![a-z])", re.IGNORECASE)
# A letter alone may be anything: it counts beside frames, or where both directions are there.
_LETTER = re.compile(r"^([xyuv])[_-]?#$|#[_-]?([xyuv])$", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
_AXES = {"x": "x", "u": "x", "y": "y", "v": "y"}


def number(path: Path) -> int | None:
    """The last number in a file's name; None without one."""
    match = _LAST_NUMBER.search(path.stem)
    return int(match[0]) if match else None


def split(images: Iterable[Path]) -> dict[str, list[Path]]:
    """Divides the pictures of one folder, keeping their order.

    Returns:
        `frames`; `x` and `y`: the pictures of horizontal and of vertical displacement.
    """
    named: dict[str, list[Path]] = {"frames": [], "x": [], "y": []}
    letters: dict[str, list[Path]] = {"frames": [], "x": [], "y": []}
    for image in images:
        pattern = _LAST_NUMBER.sub("#", image.stem)
        if match := _NAMED.search(pattern):
            named[_AXES[match[1].lower()]].append(image)
        elif match := _LETTER.search(pattern):
            letters[_AXES[(match[1] or match[2]).lower()]].append(image)
            letters["frames"].append(image)
        else:
            named["frames"].append(image)
    if not (named["x"] or named["y"]) and (named["frames"] or (letters["x"] and letters["y"])):
        return letters | {"frames": named["frames"]}
    return named | {"frames": named["frames"] or letters["frames"]}


def folder_axis(name: str) -> str | None:
    """`x` or `y` for a folder's name that may stand for a direction of flow; None for others."""
    match = re.fullmatch(r"(?:.*flow[_-]?)?([xyuv])", name, re.IGNORECASE)
    return _AXES[match[1].lower()] if match else None


def other_direction(name: str) -> str:
    """The name of the folder of the other direction: `v` for `u`, `flow_x` for `flow_y`."""
    return name[:-1] + name[-1].translate(str.maketrans("xyuvXYUV", "yxvuYXVU"))


def check(folder: Path, frames: Sequence[Path]):
    """Refuses frames of several videos, or of one in two formats, by their names."""
    numbers = collections.defaultdict(list)
    first: dict[str, str] = {}
    of_stem: dict[str, Path] = {}
    for image in frames:
        if (other := of_stem.setdefault(image.stem, image)) is not image:
            raise UserError(f"{folder} has {other.name} and {image.name}: remove one kind of image")
        if match := _LAST_NUMBER.search(image.stem):
            name = f"{image.stem[: match.start()]}#{image.stem[match.end() :]}".casefold()
            numbers[name].append(int(match[0]))
            first.setdefault(name, image.name)
    several = {name: some for name, some in numbers.items() if len(some) > 1}
    texts = {re.sub(r"\d+", "", name) for name in several}
    # A time in a name has several numbers too, but the last of them leaves most values out.
    dense = all(max(some) - min(some) < 2 * len(some) for some in several.values())
    if len(texts) > 1 or (len(several) > 1 and dense):
        names = ", ".join(first[name] for name in sorted(several)[:3])
        raise UserError(
            f"{folder} has images of {len(several)} series, which begin with {names}: give each"
            " video's images a folder of their own"
        )
