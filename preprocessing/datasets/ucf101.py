"""UCF101: Soomro, Zamir & Shah, 2012. 13,320 clips of 101 actions, 25 groups a class.

https://www.crcv.ucf.edu/data/UCF101.php has two archives: the clips and the official split lists.
"""

import re
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.video_tree import existing_folder, find_videos
from preprocessing.errors import UserError

# Published archive: the folder that it holds.
_CLIPS_ARCHIVE, _LISTS_ARCHIVE = "UCF101.rar", "UCF101TrainTestSplits-RecognitionTask.zip"
ARCHIVES = {_CLIPS_ARCHIVE: "UCF-101", _LISTS_ARCHIVE: "ucfTrainTestlist"}
NUM_VIDEOS = 13_320
_FOLDS = ("1", "2", "3")
_NAME = re.compile(r"v_(?P<class_name>\w+)_(?P<group>g\d+)_c\d+", re.IGNORECASE)


def load(folder: Path) -> Catalogue:
    """Reads the clips and the official lists, both anywhere under `folder`.

    The lists and the clips spell one class differently (`HandStandPushups`, `HandstandPushups`),
    so names are compared without case; the class is named as in `classInd.txt`.

    Raises:
        UserError: clips or lists are missing, or a clip is of no known class.
    """
    folder = existing_folder(Path(folder))
    index = _class_index(folder)
    classes = tuple(line.split()[1] for line in index.read_text().splitlines() if line.strip())
    label_of = {name.lower(): label for label, name in enumerate(classes)}
    official = read_official(folder)
    paths = [path for path in find_videos(folder) if path.suffix.lower() == ".avi"]
    if not paths:
        raise UserError(
            f"{folder} has no .avi files: unpack {_CLIPS_ARCHIVE} in it"
            f" ({ARCHIVES[_CLIPS_ARCHIVE]}/<class>/)"
        )
    videos = []
    for path in paths:
        match = _NAME.fullmatch(path.stem)
        label = label_of.get(match["class_name"].lower()) if match else None
        if match is None or label is None:
            raise UserError(
                f"{path} is of no class in {index}: UCF101 names are v_<class>_gGG_cCC.avi"
            )
        group = f"{classes[label]}/{match['group'].lower()}"
        splits = official.get(path.stem.lower(), {})
        videos.append(Video(path.stem, path, label, classes[label], group, splits))
    return Catalogue("ucf101", classes, tuple(videos))


def read_official(folder: Path) -> dict[str, dict[str, str]]:
    """Lower-case clip name -> {"1": "train", "2": "test", ...} from train/testlist01-03.txt.

    Raises:
        UserError: a list is missing anywhere under `folder`.
    """
    lists = _class_index(folder).parent
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


def _class_index(folder: Path) -> Path:
    """The file of the class names; the official lists lie beside it."""
    paths = sorted(Path(folder).rglob("classInd.txt"))
    if not paths:
        raise UserError(
            f"{folder} has no classInd.txt: unpack UCF101's split lists ({_LISTS_ARCHIVE}) in it"
        )
    return paths[0]
