"""UCF101: Soomro, Zamir & Shah, 2012. 13,320 clips of 101 actions, 25 groups a class.

https://www.crcv.ucf.edu/data/UCF101.php gives the clips (UCF101.rar) and the official split lists
(UCF101TrainTestSplits-RecognitionTask.zip).
"""

import re
from pathlib import Path

from preprocessing.datasets import class_folders as folders
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.video_tree import find_videos
from preprocessing.errors import UserError

# Published archive: the folder that it holds.
ARCHIVES = {
    "UCF101.rar": "UCF-101",
    "UCF101TrainTestSplits-RecognitionTask.zip": "ucfTrainTestlist",
}
NUM_VIDEOS, NUM_CLASSES = 13_320, 101
_FOLDS = ("1", "2", "3")
_NAME = re.compile(r"v_(?P<class_name>\w+)_(?P<group>g\d+)_c\d+", re.IGNORECASE)


def load(folder: Path) -> Catalogue:
    """Reads the clips and the official lists, both anywhere under `folder`.

    The lists and the clips spell one class differently (`HandStandPushups`, `HandstandPushups`),
    so names are compared without case; the class is named as in `classInd.txt`.

    Raises:
        UserError: clips or lists are missing, or a clip is of no known class.
    """
    folder = folders.existing(Path(folder))
    lists = sorted(folder.rglob("classInd.txt"))
    if not lists:
        raise UserError(
            f"{folder} has no classInd.txt: unpack UCF101's split lists"
            " (UCF101TrainTestSplits-RecognitionTask.zip) in it"
        )
    classes = tuple(line.split()[1] for line in lists[0].read_text().splitlines() if line.strip())
    label_of = {name.lower(): label for label, name in enumerate(classes)}
    official = read_official(lists[0].parent)
    paths = [path for path in find_videos(folder) if path.suffix.lower() == ".avi"]
    if not paths:
        raise UserError(f"{folder} has no .avi files: unpack UCF101.rar in it (UCF-101/<class>/)")
    videos = []
    for path in paths:
        match = _NAME.fullmatch(path.stem)
        label = label_of.get(match["class_name"].lower()) if match else None
        if label is None:
            raise UserError(
                f"{path} is of no class in {lists[0]}: UCF101 names are v_<class>_gGG_cCC.avi"
            )
        group = f"{classes[label]}/{match['group'].lower()}"
        splits = official.get(path.stem.lower(), {})
        videos.append(Video(path.stem, path, label, classes[label], group, splits))
    return Catalogue("ucf101", classes, tuple(videos))


def read_official(lists: Path) -> dict[str, dict[str, str]]:
    """Lower-case clip name -> {"1": "train", "2": "test", ...} from train/testlist01-03.txt."""
    official: dict[str, dict[str, str]] = {}
    for fold in _FOLDS:
        for side in ("train", "test"):
            path = lists / f"{side}list0{fold}.txt"
            if not path.is_file():
                raise UserError(f"{path} is missing: unpack UCF101's split lists again")
            for line in path.read_text().splitlines():
                if line.strip():
                    name = Path(line.split()[0]).stem.lower()
                    official.setdefault(name, {})[fold] = side
    return official
