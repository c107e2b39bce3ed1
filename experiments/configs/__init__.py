"""Configurations of `experiments.train`, and where those of earlier versions are now."""

from pathlib import Path

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

    Args:
        path: value of --config, with a `:string` or not.

    Returns:
        The new value, or None where the file exists or never was this project's.
    """
    file = Path(path.partition(":")[0])
    moved = MOVED.get(file.name)
    if moved is None or file.exists():
        return None
    return f"experiments/configs/{moved}"
