import pytest

from preprocessing.datasets import listed_files
from preprocessing.datasets.entries import Entry
from preprocessing.errors import UserError
from preprocessing.video import Segment


def _find(folder, *names):
    """Paths from the folder that the names are found at, and the notes."""
    entries = [Entry(f"list.txt line {k}", name, "0") for k, name in enumerate(names, 1)]
    notes = []
    found = listed_files.of_paths(folder / "list.txt", entries, notes)
    assert [entry for _, entry in found] == entries
    return [path.relative_to(folder.parent).as_posix() for path, _ in found], notes


@pytest.mark.parametrize("place", ["", "videos", "clips_256", "../videos", "../rawframes"])
def test_paths_count_from_the_folder_that_has_the_videos(tmp_path, place, touch):
    folder = tmp_path / "sets"
    (folder / "other").mkdir(parents=True)
    touch(folder / place / "jump" / "a.mp4", folder / place / "wave" / "b.mp4")
    found, notes = _find(folder, "jump/a.mp4", "./wave\\b.mp4")
    root = (folder / place).resolve().relative_to(tmp_path)
    assert found == [f"{root}/jump/a.mp4", f"{root}/wave/b.mp4"]
    assert notes == ([f"the paths in list.txt count from {tmp_path / root}"] if place else [])


def test_files_of_other_endings_and_folders_of_frames(touch):
    root = touch("jump/a.mp4", "jump/a.txt", "jump/B.mkv", "jump/c/1.jpg", "jump/d/1.jpg")
    found, _ = _find(root, "jump/a.avi", "jump/b.avi", "jump/c.avi", "jump/d")
    assert found == ["own/jump/a.mp4", "own/jump/B.mkv", "own/jump/c", "own/jump/d"]
    absolute = str(root / "jump" / "a.mp4")
    assert _find(root, absolute)[0] == ["own/jump/a.mp4"]


def test_a_list_of_frames_is_not_of_the_videos_beside_them(touch):
    root = touch("rawframes/jump/a/1.jpg", "videos/jump/a.mp4")
    assert _find(root, "jump/a")[0] == ["own/rawframes/jump/a"]
    assert _find(root, "jump/a.mp4")[0] == ["own/videos/jump/a.mp4"]
    # A stroke in front of a path makes no difference.
    assert _find(root, "/videos/jump/a.avi")[0] == ["own/videos/jump/a.mp4"]


def test_names_without_folders_lie_anywhere_if_they_are_there_once(touch):
    root = touch("train/jump/a.mp4", "val/wave/b.avi", "val/jump/c.avi", "train/jump/c.avi")
    assert _find(root, "a.mp4", "b")[0] == ["own/train/jump/a.mp4", "own/val/wave/b.avi"]
    for name in ("c.avi", "wave/a.mp4"):
        with pytest.raises(UserError, match=f"line 2 names {name}, which is not in"):
            _find(root, "a.mp4", name)


def test_missing_files_are_counted_and_the_first_is_named(touch):
    root = touch("jump/a.mp4", "jump/c.mp4")
    with pytest.raises(UserError, match=r"line 2 names jump/b.mp4, .* 2 of the 4 videos are miss"):
        _find(root, "jump/a.mp4", "jump/b.mp4", "jump/c.mp4", "jump/e.mp4")


def _youtube(*rows):
    return [
        Entry(f"k.csv line {k}", name, "jump", segment=Segment(*times), youtube=True)
        for k, (name, *times) in enumerate(rows, 2)
    ]


def test_youtube_videos_are_found_by_id_and_times(tmp_path, write_video, touch):
    for name in ("train/jump/-_aaaaaaaaa_000010_000020.mp4", "b_b_b_b_b_b_5_15.webm"):
        touch(tmp_path / name)
    write_video(tmp_path / "c" / "ccccccccccc.mp4", 30)
    entries = _youtube(
        ("-_aaaaaaaaa", 10, 20), ("-_aaaaaaaaa", 30, 40), ("b_b_b_b_b_b", 5, 15),
        ("ccccccccccc", 0.2, 0.6), ("gone", 1, 2),
    )  # fmt: skip
    notes = []
    found = listed_files.of_youtube(tmp_path / "k.csv", entries, notes)
    assert [(path.stem, entry.segment) for path, entry in found] == [
        ("-_aaaaaaaaa_000010_000020", None),
        ("b_b_b_b_b_b_5_15", None),
        ("ccccccccccc", None),  # of 1.2 s: nearer to the times than to a whole video
    ]
    assert notes == ["left out: 2 of 5 videos of the list are not there (-_aaaaaaaaa, gone)"]
    with pytest.raises(UserError, match=r"none of the 1 videos .* gone_000010_000020.mp4, with"):
        listed_files.of_youtube(tmp_path / "k.csv", entries[-1:], notes)


@pytest.mark.parametrize(
    ("rows", "num_frames"),
    [([("ccccccccccc", 1, 2)], 100), ([("ccccccccccc", 0, 1), ("ccccccccccc", 1, 2)], 50)],
)
def test_whole_youtube_videos_are_cut_by_the_times(tmp_path, write_video, rows, num_frames):
    write_video(tmp_path / "ccccccccccc.mp4", num_frames)
    notes = []
    found = listed_files.of_youtube(tmp_path / "k.csv", _youtube(*rows), notes)
    assert [entry.segment for _, entry in found] == [Segment(*times) for _, *times in rows]
    assert notes == [f"{len(rows)} files such as ccccccccccc.mp4 are cut by the list's times"]
