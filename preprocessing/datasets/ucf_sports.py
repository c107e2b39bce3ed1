"""UCF Sports: Rodriguez, Ahmed & Shah, 2008. 150 clips of 10 actions.

https://www.crcv.ucf.edu/data/UCF_Sports_Action.php gives ucf_sports_actions.zip.
"""

import collections
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.video_tree import VideoTree, find_root
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS, IMAGE_EXTENSIONS

# Published archive: the folder that it holds.
ARCHIVES = {"ucf_sports_actions.zip": "ucf action"}
# Folder: (class, clips).
FOLDERS = {
    "Diving-Side": ("Diving", 14),
    "Golf-Swing-Back": ("Golf-Swing", 5),
    "Golf-Swing-Front": ("Golf-Swing", 8),
    "Golf-Swing-Side": ("Golf-Swing", 5),
    "Kicking-Front": ("Kicking", 10),
    "Kicking-Side": ("Kicking", 10),
    "Lifting": ("Lifting", 6),
    "Riding-Horse": ("Riding-Horse", 12),
    "Run-Side": ("Run", 13),
    "SkateBoarding-Front": ("SkateBoarding", 12),
    "Swing-Bench": ("Swing-Bench", 20),
    "Swing-SideAngle": ("Swing-Side", 13),
    "Walk-Front": ("Walk", 22),
}
CLASSES = tuple(dict.fromkeys(name for name, _ in FOLDERS.values()))
CLIPS: collections.Counter[str] = collections.Counter()
for _class_name, _count in FOLDERS.values():
    CLIPS[_class_name] += _count


def load(folder: Path) -> Catalogue:
    """Reads `<one of 13 folders>/<clip>/`, each clip a folder with a film, images or both.

    Split "1" tests on the first third of each class in the order of names, rounded down: 103 and
    47 clips, the sizes of Lan, Wang & Mori, 2011. Splits "clip001" to "clip150" hold out one
    clip. The clips have no groups, so each is its own. Films and images elsewhere are named as left
    out.

    Raises:
        UserError: the folder has no such clips.
    """
    root = find_root(Path(folder), FOLDERS)
    clips, others = [], []
    for place in sorted(root.glob("*/*")):
        name = place.parent.name
        if not (path := _video_of(place)):
            continue
        if name in FOLDERS and place.is_dir():
            clips.append((f"{name}_{place.name}", path, FOLDERS[name][0]))
        else:
            others.append(path)
    if not clips:
        raise UserError(f"{root} has no clips: each is a folder with a film or images")
    counts = collections.Counter(class_name for *_, class_name in clips)
    rank: collections.Counter[str] = collections.Counter()
    videos = []
    for number, (video_id, path, class_name) in enumerate(clips):
        tests = rank[class_name] < counts[class_name] // 3
        rank[class_name] += 1
        splits = {"1": "test" if tests else "train"}
        splits |= {
            f"clip{k + 1:03d}": "test" if k == number else "train" for k in range(len(clips))
        }
        group = f"{class_name}/{video_id}"
        label = CLASSES.index(class_name)
        videos.append(Video(video_id, path, label, class_name, group, splits, ungrouped=True))
    others = sorted(set(others))  # loose images are one folder
    line = VideoTree(root).line("videos in no folder of a clip of a class", others)
    return Catalogue("ucf_sports", CLASSES, tuple(videos), (f"left out: {line}",) * bool(others))


def _video_of(place: Path) -> Path | None:
    """A film itself; of a folder the film in it, or the folder of images where there is none."""
    inside = place.rglob("*") if place.is_dir() else [place]
    inside = sorted(path for path in inside if not path.name.startswith("."))
    films = [path for path in inside if path.suffix.lower() in EXTENSIONS]
    images = [path.parent for path in inside if path.suffix.lower() in IMAGE_EXTENSIONS]
    return next(iter(films + images), None)
