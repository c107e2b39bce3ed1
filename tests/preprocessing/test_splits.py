import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from preprocessing import splits
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo

CLIPS_PER_GROUP = Path(__file__).parent / "data" / "ucf101_clips_per_group.txt"
# UCF101's official test groups: g01-g07, g08-g14, g15-g21.
OFFICIAL_TEST_GROUPS = {"1": range(1, 8), "2": range(8, 15), "3": range(15, 22)}


def _video(class_name, group, clip, split=None, shared=False):
    return Video(
        id=f"v_{class_name}_g{group:02d}_c{clip:02d}",
        path=Path("unused"),
        label=0,
        class_name=class_name,
        group=f"g{group:02d}" if shared else f"{class_name}/g{group:02d}",
        splits=split or {},
    )


@pytest.fixture(scope="module")
def ucf101():
    videos = []
    for line in CLIPS_PER_GROUP.read_text().splitlines()[1:]:
        class_name, counts = line.split()
        for group, count in enumerate(map(int, counts), start=1):
            split = {
                fold: "test" if group in tested else "train"
                for fold, tested in OFFICIAL_TEST_GROUPS.items()
            }
            videos += [_video(class_name, group, c + 1, split) for c in range(count)]
    return videos


def test_a_random_split_of_ucf101_leaks_and_the_official_ones_do_not(ucf101):
    leaks = []
    for seed in range(40):
        paper = splits.assign(ucf101, "paper", seed=seed)
        assert list(paper.values()).count("test") == 13_320 - 9_324  # 7:3
        leaks.append(splits.leak(ucf101, paper))
    # One draw lies within about 0.35 points of the mean. A clip does not leak when its n - 1
    # siblings are all drawn for test, too: 1 - sum(n * 0.3^(n-1)) / 13320 = 98.96 %.
    assert sum(leaks) / len(leaks) == pytest.approx(0.989, abs=0.0015)
    assert all(0.975 < leak < 1 for leak in leaks)
    # The published sizes of train/testlist01-03.
    sizes = {"1": (9_537, 3_783), "2": (9_586, 3_734), "3": (9_624, 3_696)}
    for fold, (trained, tested) in sizes.items():
        official = splits.assign(ucf101, "official", fold=fold)
        assert list(official.values()).count("train") == trained
        assert list(official.values()).count("test") == tested
        assert splits.leak(ucf101, official) == 0


def test_the_group_split_holds_out_whole_groups_of_every_class(ucf101):
    assignment = splits.assign(ucf101, "group", seed=3)
    sides = {}
    for video in ucf101:
        sides.setdefault((video.class_name, video.group), set()).add(assignment[video.id])
    assert all(len(side) == 1 for side in sides.values())
    for name in {video.class_name for video in ucf101}:
        videos = [video for video in ucf101 if video.class_name == name]
        tested = sum(assignment[video.id] == "test" for video in videos)
        largest = max(Counter(video.group for video in videos).values())
        assert abs(tested - 0.3 * len(videos)) <= largest / 2
    assert splits.leak(ucf101, assignment) == 0


def test_groups_shared_by_classes_are_on_one_side_in_all_of_them():
    videos = [
        _video(name, group, clip, shared=True)
        for name in ("Push", "Pull", "Wave")
        for group in range(10)
        for clip in range(2)
    ]
    assignment = splits.assign(videos, "group")
    sides = {}
    for video in videos:
        sides.setdefault(video.group, set()).add(assignment[video.id])
    assert all(len(side) == 1 for side in sides.values())
    assert sum(side == {"test"} for side in sides.values()) == 3


def test_groups_shared_by_some_classes_leave_each_class_on_both_sides():
    # Scenes as in real footage: some seen in one class, some in two.
    videos = [_video("A", group, 1, shared=True) for group in (1, 2, 3, 4, 5)]
    videos += [_video("B", group, 1, shared=True) for group in (4, 5, 6, 7)]
    for seed in range(20):
        assignment = splits.assign(videos, "group", seed=seed)
        for name in ("A", "B"):
            sides = {assignment[v.id] for v in videos if v.class_name == name}
            assert sides == {"train", "test"}


@pytest.mark.parametrize("seed", range(8))
def test_a_class_holds_out_its_fraction_of_videos_not_of_groups(seed):
    # One long recording and many short ones, as in footage collected from the web. Four groups of
    # one clip are nearest to 15 % of 28 (4.2); the one of 16 would be more than half of them.
    clips = [16] + 12 * [1]
    videos = [
        _video("A", group, clip) for group, count in enumerate(clips) for clip in range(count)
    ]
    assignment = splits.assign(videos, "group", seed=seed, test_fraction=0.15)
    tested = {video.group for video in videos if assignment[video.id] == "test"}
    assert len(tested) == 4 and "A/g00" not in tested


def test_groups_of_one_size_are_rounded_half_up():
    videos = [_video("A", group, clip) for group in range(10) for clip in range(3)]
    for fraction, wanted in ((0.15, 2), (0.14, 1), (0.25, 3), (0.01, 1), (0.99, 9)):
        assignment = splits.assign(videos, "group", test_fraction=fraction)
        assert list(assignment.values()).count("test") == 3 * wanted


def test_a_class_of_large_groups_holds_out_the_one_that_fits_best():
    videos = [_video("A", g, c) for g, count in ((1, 9), (2, 6), (3, 8)) for c in range(count)]
    for seed in range(8):
        assignment = splits.assign(videos, "group", seed=seed, test_fraction=0.1)
        assert {v.group for v in videos if assignment[v.id] == "test"} == {"A/g02"}


def _sides(videos, *sides):
    return dict(zip([video.id for video in videos], sides, strict=True))


def test_leak_by_hand():
    videos = [_video("A", 1, 1), _video("A", 1, 2), _video("A", 2, 1), _video("B", 1, 1)]
    # Of three test clips one has a sibling (same group, which names its class) in training.
    assert splits.leak(videos, _sides(videos, "train", "test", "test", "test")) == 1 / 3
    assert splits.leak(videos, _sides(videos, "val", "test", "test", "test")) == 1 / 3


def test_siblings_of_another_class_leak():
    videos = [_video("A", 1, 1, shared=True), _video("B", 1, 1, shared=True), _video("B", 2, 1)]
    assert splits.leak(videos, _sides(videos, "train", "test", "test")) == 1 / 2


def _recorded(name, group, digest):
    return RecordedVideo(
        name, 0, "A", group, {}, 3, 0.5, 0, 0, 9, source_sha256=digest, ungrouped=True
    )


def test_copies_leak_whatever_their_group_and_class():
    one, two = 64 * "1", 64 * "2"
    videos = [
        _recorded("a", "A/a", one),
        _recorded("b", "B/b", one),
        _recorded("c", "B/c", two),
        _recorded("d", "B/d", ""),
        _recorded("e", "B/e", ""),
    ]
    sides = _sides(videos, "train", "test", "test", "train", "test")
    assert splits.leak(videos, sides) == pytest.approx(1 / 3)  # unknown digests are no copies


def test_a_leak_is_unknown_where_every_video_is_its_own_group():
    videos = [
        dataclasses.replace(_video("A", k, 1, {"1": side}), ungrouped=True)
        for k, side in enumerate(["train", "val", "test", "test"])
    ]
    assert splits.ungrouped(videos, splits.assign(videos, "official")) == 2
    lines = splits.table(splits.divisions(videos))
    unknown = "unknown: every video is its own group"
    assert lines[1].endswith(f"1       2 {unknown}  (1 more for validation)")
    assert lines[2].endswith(unknown) and lines[3].endswith(unknown)
    some = [*videos[:3], _video("A", 0, 2, {"1": "test"})]
    assert splits.table(splits.divisions(some)[:1])[1].endswith(
        "50.0 % or more: 1 of 2 test videos are of no known group  (1 more for validation)"
    )
    assert splits.leak_text(0.0, 0, 5) == "0.0 %" and splits.leak_text(0.0, 0, 0) == "0.0 %"


@pytest.mark.parametrize("protocol", ["group", "paper"])
def test_a_seed_gives_one_split_whatever_the_order_of_the_videos(ucf101, protocol):
    videos = ucf101[:600]
    first = splits.assign(videos, protocol, seed=5)
    assert splits.assign(videos[::-1], protocol, seed=5) == first
    assert splits.assign(videos, protocol, seed=6) != first


def test_a_video_outside_the_official_list_is_in_neither_part():
    videos = [_video("A", 1, 1, {"1": "train"}), _video("A", 2, 1, {"1": "test"})]
    videos.append(_video("A", 3, 1))
    assert splits.assign(videos, "official") == {videos[0].id: "train", videos[1].id: "test"}


def test_impossible_splits_are_refused():
    videos = [_video("A", 1, 1), _video("A", 1, 2)]
    with pytest.raises(UserError, match="no official split: choose protocol group"):
        splits.assign(videos, "official")
    listed = [dataclasses.replace(video, splits={"1": "test"}) for video in videos]
    with pytest.raises(UserError, match="no official split 4: the data set has 1"):
        splits.assign(listed, "official", fold=4)
    with pytest.raises(UserError, match="class A has 1 group"):
        splits.assign(videos, "group")
    with pytest.raises(UserError, match="'random' is unknown"):
        splits.assign(videos, "random")


def test_all_protocols_are_compared_on_ucf101s_structure(ucf101):
    divided = {division.protocol: division for division in splits.divisions(ucf101)}
    assert list(divided) == ["official 1", "official 2", "official 3", "group", "paper"]
    assert (divided["official 1"].train, divided["official 1"].test) == (9537, 3783)
    assert all(divided[name].leak == 0 for name in divided if name != "paper")
    assert divided["paper"].train == 9324
    assert 0.975 < divided["paper"].leak < 1  # one draw of 98.9 %
    lines = splits.table(divided.values())
    assert lines[1].split() == ["official", "1", "9537", "3783", "0.0", "%"]


def test_a_protocol_that_cannot_divide_says_why():
    videos = [_video("Bow", 1, clip) for clip in (1, 2)]
    official, group, paper = splits.divisions(videos)
    assert "has no official split" in official.impossible
    assert "class Bow has 1 group" in group.impossible
    assert (paper.train, paper.test, paper.leak) == (1, 1, 1.0)
    assert "has 1 group" in splits.table([group])[1]


def test_folds_hold_out_each_video_once_and_no_group_twice():
    class One:
        def __init__(self, number):
            self.id, self.group = f"v{number:03d}", f"g{number // 3}"
            self.class_name, self.splits = "ab"[number % 2], {}

    videos = [One(number) for number in range(60)]
    folds = splits.group_folds(videos, 4, seed=1)
    assert set(folds) == {video.id for video in videos}
    assert set(folds.values()) == {0, 1, 2, 3}
    of_group = {}
    for video in videos:
        assert of_group.setdefault(video.group, folds[video.id]) == folds[video.id]
    assert folds != splits.group_folds(videos, 4, seed=2)
    with pytest.raises(UserError, match="of 20 groups, which cannot be divided into 21 folds"):
        splits.group_folds(videos, 21)
