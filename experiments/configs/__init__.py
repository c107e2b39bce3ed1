"""Configurations of `experiments.train`, and where those of earlier versions are now."""

from pathlib import Path

FOLDER = Path(__file__).parent

# Name of a file that this project had once: what has its values now.
MOVED = {
    "ucf101.py": "paper.py",
    "ucf11.py": "paper.py:ucf11",
    "ucf_sports.py": "paper.py:ucf_sports",
    "small.py": "real_videos.py:imagenet",
    "modern.py": "modern.py",  # was in recipes/
}


def new_place(path: str) -> str | None:
    """What to give for --config in place of a file that does not exist any more.

    None where the file of the value, which may have a `:string`, exists or never was this
    project's.
    """
    file = Path(path.partition(":")[0])
    moved = MOVED.get(file.name)
    if moved is None or file.exists():
        return None
    return f"experiments/configs/{moved}"


def packaged(path: str) -> str | None:
    """The file beside this one that --config names, where the current folder has none of its name.

    So `real_videos.py` and `experiments/configs/real_videos.py` work from any folder, without the
    project's source. None where the file of the value, which may have a `:string`, exists or is not
    one of these.
    """
    name, colon, string = path.partition(":")
    file = Path(name)
    ours = FOLDER / file.name
    if file.exists() or str(file.parent) not in (".", "experiments/configs"):
        return None
    if ours.suffix != ".py" or ours.stem == "__init__" or not ours.is_file():
        return None
    return f"{ours}{colon}{string}"
