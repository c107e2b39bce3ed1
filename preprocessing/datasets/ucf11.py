"""UCF11 (YouTube Action): Liu, Luo & Shah, 2009. 1,600 clips of 11 actions, 25 groups a class.

https://www.crcv.ucf.edu/data/UCF_YouTube_Action.php gives UCF11_updated_mpg.rar.
"""

import re
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.video_tree import VideoTree, find_root
from preprocessing.errors import UserError

# Published archive: the folder that it holds.
ARCHIVES = {"UCF11_updated_mpg.rar": "UCF11_updated_mpg"}
CLIPS = {
    "basketball": 141,
    "biking": 145,
    "diving": 156,
    "golf_swing": 142,
    "horse_riding": 198,
    "soccer_juggling": 156,
    "swing": 137,
    "tennis_swing": 167,
    "trampoline_jumping": 119,
    "volleyball_spiking": 116,
    "walking": 123,
}
_NUM_GROUPS, _NUM_FOLDS = 25, 5
_NAME = re.compile(r"v_\w+?_(?P<group>\d+)_\d+$")


def load(folder: Path) -> Catalogue:
    """Reads `<class>/v_<name>_GG/v_<name>_GG_CC.mpg`, anywhere under `folder`.

    Splits "1" to "5" are five folds of five groups each; "group01" to "group25" hold out one
    group, which is the authors' protocol. Videos in no folder of a class are named as left out.

    Raises:
        UserError: the folder has no such clips.
    """
    root = find_root(Path(folder), CLIPS)
    classes, tree = tuple(CLIPS), VideoTree(root)
    videos, others = [], []
    for path in tree.videos():
        name = path.relative_to(root).parts[0]
        if name not in CLIPS:
            others.append(path)
            continue
        match = _NAME.match(path.stem)
        if not match or not 1 <= int(match["group"]) <= _NUM_GROUPS:
            raise UserError(
                f"{path} is not named as UCF11 names its clips, v_<name>_GG_CC.mpg with a group"
                f" GG of 01 to {_NUM_GROUPS}"
            )
        group, label = int(match["group"]), classes.index(name)
        videos.append(Video(path.stem, path, label, name, f"{name}/g{group:02d}", _splits(group)))
    left_out = (f"left out: {tree.line('videos in no folder of a class', others)}",) * bool(others)
    return Catalogue("ucf11", classes, tuple(videos), left_out)


def _splits(group: int) -> dict[str, str]:
    groups_a_fold = _NUM_GROUPS // _NUM_FOLDS
    folds = {str(k + 1): (group - 1) // groups_a_fold == k for k in range(_NUM_FOLDS)}
    held_out = {f"group{g:02d}": g == group for g in range(1, _NUM_GROUPS + 1)}
    return {name: "test" if out else "train" for name, out in (folds | held_out).items()}
