"""HMDB51: Kuehne, Jhuang, Garrote, Poggio & Serre, 2011. 6,766 clips of 51 actions.

https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database gives the clips, an
archive of an archive a class, and three official splits.
"""

import re
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.lists import clip_name, official_splits, read_lines
from preprocessing.datasets.video_tree import find_files, named_videos
from preprocessing.errors import UserError

CLASSES = (
    "brush_hair",
    "cartwheel",
    "catch",
    "chew",
    "clap",
    "climb",
    "climb_stairs",
    "dive",
    "draw_sword",
    "dribble",
    "drink",
    "eat",
    "fall_floor",
    "fencing",
    "flic_flac",
    "golf",
    "handstand",
    "hit",
    "hug",
    "jump",
    "kick",
    "kick_ball",
    "kiss",
    "laugh",
    "pick",
    "pour",
    "pullup",
    "punch",
    "push",
    "pushup",
    "ride_bike",
    "ride_horse",
    "run",
    "shake_hands",
    "shoot_ball",
    "shoot_bow",
    "shoot_gun",
    "sit",
    "situp",
    "smile",
    "smoke",
    "somersault",
    "stand",
    "swing_baseball",
    "sword",
    "sword_exercise",
    "talk",
    "throw",
    "turn",
    "walk",
    "wave",
)
_ACTIONS = "|".join(sorted(CLASSES, key=len, reverse=True))
# VideoName_action_bodypart_camera_people_viewpoint_quality_number; a film that was cut into several
# files has their number behind its name.
NAME = re.compile(
    rf"(?P<film>.+?)(_\d+)?_(?P<class_name>{_ACTIONS})_[a-z]_[a-z]+_np\d+_[a-z]+_[a-z]+_\d+",
    re.IGNORECASE,
)
_LIST = re.compile(rf"(?P<class_name>{_ACTIONS})_test_split(?P<fold>\d+)\.txt", re.IGNORECASE)
_LINE = re.compile(r"(?P<name>.+?)\s+(?P<side>[012])")
_SIDES = {"0": "", "1": "train", "2": "test"}


def load(folder: Path) -> Catalogue:
    """Reads the clips, and the split lists that are there, both anywhere under `folder`.

    The class of a clip is its folder's name, or the one in its own; its group is the film that it
    was cut from, in whichever class.

    Raises:
        UserError: there are no clips, or as `read_official`.
    """
    folder = Path(folder)
    clips, others = named_videos(
        folder,
        NAME,
        "HMDB51, which are called such as April_09_brush_hair_u_nm_np1_ba_goo_0: unpack"
        " hmdb51_org.rar in it, and then the archive of each class",
    )
    official = read_official(folder)
    videos = []
    for path, match in clips:
        above = path.parent.name.lower()
        class_name = above if above in CLASSES else match["class_name"].lower()
        label, group = CLASSES.index(class_name), match["film"].lower()
        splits = official.get(match[0], {})
        videos.append(Video(match[0], path, label, class_name, group, splits))
    if not official:
        others.append(f"no official splits: {folder} has no brush_hair_test_split1.txt and so on")
    return Catalogue("hmdb51", CLASSES, tuple(videos), tuple(others))


def read_official(folder: Path) -> dict[str, dict[str, str]]:
    """Name of a clip -> {"1": "train", "2": "test", ...}, from the split lists in a folder.

    Raises:
        UserError: a line is another, or a clip is in both parts of a fold.
    """
    entries = []
    for path, list_name in find_files(folder, _LIST):
        fold = str(int(list_name["fold"]))
        for where, line in read_lines(path):
            match = _LINE.fullmatch(line)
            if match is None:
                raise UserError(
                    f"{where} is {line!r}: it needs the name of a clip and 1 (training), 2 (test)"
                    " or 0 (neither)"
                )
            entries.append((where, clip_name(match["name"]), fold, _SIDES[match["side"]]))
    return official_splits(entries)
