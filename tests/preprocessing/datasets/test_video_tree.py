import os
import re

import pytest

from preprocessing.datasets import class_folders
from preprocessing.datasets.video_tree import VideoTree, find_files, find_videos, named_videos
from preprocessing.errors import UserError


def _names(catalogue, root):
    return [video.path.relative_to(root).as_posix() for video in catalogue.videos]


@pytest.mark.parametrize(
    "ending", ["3gp", "m4v", "wmv", "flv", "ts", "mts", "gif", "MOV", "MP4", "Avi", "3GP"]
)
def test_every_ending_of_a_video_counts_in_either_case(touch, ending):
    root = touch(f"Bow/a.{ending}")
    assert _names(class_folders.load(root), root) == [f"Bow/a.{ending}"]


def test_what_is_left_out_is_told_by_ending(touch):
    root = touch(
        "Bow/a.mp4",
        "Bow/a.txt",
        "Bow/b.txt",
        "Bow/c.txt",
        "Wave/b.mp4",
        "Wave/README",
        "top.mp4",
        "splits.csv",
        "Bow/.hidden",
        "Bow/deep/splits.csv",
        ".cache/a.mp4",
    )
    (root / "splits.csv").write_text("video\n")
    assert class_folders.load(root).left_out == (
        "left out: 3 .txt (Bow/a.txt, Bow/b.txt, ...)",
        "left out: 1 files without an ending (Wave/README)",
        "left out: 1 .csv (Bow/deep/splits.csv)",
        "left out: 1 .mp4 (top.mp4)",
    )


def test_images_beside_videos_or_without_a_folder_of_their_own_are_told(touch):
    root = touch(
        "Bow/mixed/a.mp4",
        "Bow/mixed/1.jpg",
        "Bow/1.png",
        "Bow/frames/1.jpg",
        "Bow/frames/boxes.xml",
    )
    catalogue = class_folders.load(root)
    assert _names(catalogue, root) == ["Bow/frames", "Bow/mixed/a.mp4"]
    assert catalogue.left_out == (
        "left out: 1 .jpg (Bow/mixed/1.jpg)",
        "left out: 1 .png (Bow/1.png)",
        "left out: 1 .xml (Bow/frames/boxes.xml)",
    )


def test_many_endings_are_told_in_few_lines(touch):
    root = touch("Bow/a.mp4", *(f"Bow/a.{letter}" for letter in "abcdefghij"))
    lines = class_folders.load(root).left_out
    assert len(lines) == 7 and lines[-1] == "left out: 4 other files (Bow/a.g, Bow/a.h, ...)"


def test_a_folder_without_videos_is_refused_with_what_it_holds(touch):
    root = touch("Bow/a.rm", "backup.zip")
    with pytest.raises(UserError, match=r"has no videos in class folders.*1 \.rm \(Bow/a.rm\)"):
        class_folders.load(root)


def test_a_link_to_its_own_folder_gives_no_video_twice(touch):
    root = touch("Bow/a.mp4", "Bow/deep/b.mp4", "Wave/c.mp4")
    (root / "Bow" / "self").symlink_to(root / "Bow")
    (root / "Bow" / "deep" / "up").symlink_to("..")
    (root / "Wave" / "all").symlink_to(root)
    catalogue = class_folders.load(root)
    assert _names(catalogue, root) == ["Bow/a.mp4", "Bow/deep/b.mp4", "Wave/c.mp4"]
    assert catalogue.left_out == (
        "left out: 3 links to what is read already (Bow/deep/up, Bow/self, ...)",
    )


def test_a_link_from_class_to_class_gives_the_video_to_its_own(touch):
    root = touch("Bow/a.mp4", "Wave/b.mp4", "Wave/deep/c.mp4")
    (root / "Bow" / "b.mp4").symlink_to("../Wave/b.mp4")
    (root / "Bow" / "0").symlink_to("../Wave/deep")
    (root / "Again").symlink_to("Wave")
    catalogue = class_folders.load(root)
    assert catalogue.classes == ("Bow", "Wave")
    assert _names(catalogue, root) == ["Bow/a.mp4", "Wave/b.mp4", "Wave/deep/c.mp4"]


def test_a_link_to_another_place_is_followed_once(touch, tmp_path):
    root = touch(
        "Bow/a.mp4", "../store/b.mp4", "../store/deep/c.mp4", "../store/0f3a", ".git/d.mp4"
    )
    (root / "Bow" / "store").symlink_to(tmp_path / "store")
    (root / "Bow" / "stored").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "store")
    (root / "Wave").symlink_to(tmp_path / "store" / "deep")
    (root / "Bow" / "hash.mp4").symlink_to(tmp_path / "store" / "0f3a")
    (root / "Bow" / "annexed.mp4").symlink_to("../.git/d.mp4")
    assert _names(class_folders.load(root), root) == [
        "Bow/a.mp4",
        "Bow/annexed.mp4",
        "Bow/hash.mp4",
        "Bow/store/b.mp4",
        "Bow/store/deep/c.mp4",
    ]


@pytest.mark.parametrize("name", [b"Bow/caf\xe9.mp4", b"caf\xe9/a.mp4", b"Bow/caf\xe9/1.jpg"])
def test_a_name_that_is_not_utf8_is_refused(touch, name):
    root = touch("Bow/a.mp4")
    path = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass
    with pytest.raises(UserError, match=r"caf\\xe9\S* is not UTF-8: rename it") as caught:
        class_folders.load(root)
    assert str(caught.value).isprintable()


def test_videos_come_in_the_order_of_their_names_whatever_lies_between(touch):
    root = touch("b/2.mp4", "b/10.mp4", "a.avi", "c/1.png", "c/notes.txt")
    assert [path.relative_to(root).as_posix() for path in find_videos(root)] == [
        "a.avi",
        "b/10.mp4",
        "b/2.mp4",
        "c",
    ]
    tree = VideoTree(root)
    tree.videos()
    assert tree.report() == ("left out: 1 .txt (c/notes.txt)",)


def test_videos_and_files_are_found_by_their_names(tmp_path):
    for name in ("a/v_1.mp4", "b/V_2.AVI", "b/other.mp4", "b/.v_3.mp4", "v_4/1.jpg", "a/v_5.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    pattern = re.compile(r"v_(\d)", re.IGNORECASE)
    named, lines = named_videos(tmp_path, pattern, "the kind")
    found = [(path.relative_to(tmp_path).as_posix(), match[1]) for path, match in named]
    assert found == [("a/v_1.mp4", "1"), ("b/V_2.AVI", "2"), ("v_4", "4")]
    assert lines == ["left out: 1 named otherwise than the clips (b/other.mp4)"]
    text = re.compile(r"v_(\d)\.txt")
    ((path, match),) = find_files(tmp_path, text)
    assert path == tmp_path / "a" / "v_5.txt" and match[1] == "5"


def test_images_of_several_videos_in_one_folder_are_refused(touch):
    root = touch("Bow/clip/a_1.jpg", "Bow/clip/a_2.jpg", "Bow/clip/b_1.jpg", "Bow/clip/b_2.jpg")
    with pytest.raises(UserError, match="Bow/clip has images of 2 series"):
        class_folders.load(root)


def test_thumbnails_and_folders_of_the_system_are_left_out_and_named(touch):
    root = touch(
        "Bow/a.mp4",
        "Bow/thumbs/a.jpg",
        "Bow/thumbs/b.jpg",
        "Bow/.thumbnails/a.jpg",
        "Bow/clip/1.jpg",
        "Bow/clip/2.jpg",
        "Bow/clip/Thumbnails/1.jpg",
        "thumbs/a.png",
        "__MACOSX/Bow/._a.mp4",
        "__MACOSX/Bow/a.mp4",
        "Wave/@eaDir/a.mp4/1.jpg",
        "Wave/b.mp4",
    )
    catalogue = class_folders.load(root)
    assert _names(catalogue, root) == ["Bow/a.mp4", "Bow/clip", "Wave/b.mp4"]
    assert catalogue.left_out == (
        "left out: 5 folders of thumbnails or of the system (__MACOSX, Bow/clip/Thumbnails, ...)",
    )


def test_a_class_may_be_called_thumbs(touch):
    root = touch("thumbs/up.mp4", "wave/a.mp4")
    assert class_folders.load(root).classes == ("thumbs", "wave")
