"""Which pictures of a folder are frames, and which are ready-made flow, by their names.

Tools that compute flow beforehand write one gray picture for each direction: `flow_x_00001.jpg` and
`flow_y_00001.jpg` (dense_flow), `x_00001.jpg` and `y_00001.jpg`, beside `img_00001.jpg`; or whole
folders `u` and `v` of them.
"""

import re
from collections.abc import Iterable
from pathlib import Path

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
