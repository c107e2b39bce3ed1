"""A new run's videos are divided once, and nothing that was learned from is tested on."""

import dataclasses

import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import run


def test_no_group_is_in_two_parts(tiny):
    record_set = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(record_set, tiny.config())
    group_of = {video.id: video.group for video in record_set.videos}
    groups = [{group_of[name] for name in getattr(drawn, part)} for part in run.PARTS]
    assert all(groups) and sum(map(len, groups)) == 10 == len(set.union(*groups))
    assert len({**drawn.train, **drawn.val, **drawn.test}) == 40
    assert (drawn.leak, drawn.duplicates) == (0.0, 0)


def test_without_a_validation_fraction_the_test_part_validates(tiny):
    record_set = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(record_set, tiny.config(validation_fraction=0.0))
    located = run.locate(drawn, record_set)
    assert drawn.val == drawn.test
    np.testing.assert_array_equal(located.val, located.test)
    assert len(located.train) + len(located.test) == 40


def test_a_file_on_both_sides_is_counted_though_its_names_differ(tiny):
    videos = tiny.videos(range(10))
    twins = [dataclasses.replace(video, source_sha256=tiny.digest("one file")) for video in videos]
    drawn = run.draw_videos(tiny.record_set(twins), tiny.config())
    assert drawn.duplicates == len(drawn.test)
    assert f"{len(drawn.test)} test videos are in training" in drawn.warnings()[0]


def test_starting_weights_bring_every_video_they_have_learned_from(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    first = run.draw_videos(record_set, tiny.config())
    weights = str(tiny.write(tmp_path / "a", tiny.config(), first) / run.BEST_FILE)
    second = run.draw_videos(record_set, tiny.config(weights=weights))  # the same parts: allowed
    assert set(second.seen) == set(first.train) | set(first.val)
    other = tiny.record_set(
        [tiny.video(f"{k}", name, f"{k}") for k in range(8) for name in ("Bow", "Wave")[k % 2 :]]
    )
    weights = str(tiny.write(tmp_path / "b", tiny.config(weights=weights), second) / run.BEST_FILE)
    third = run.draw_videos(other, tiny.config(weights=weights))
    assert set(third.seen) == set(first.train) | set(first.val)
    assert third.fingerprint()["seen_by_starting_weights"] == sorted(third.seen)


def test_two_videos_of_one_name_are_both_remembered(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    first = run.draw_videos(record_set, tiny.config())
    weights = str(tiny.write(tmp_path / "a", tiny.config(), first) / run.BEST_FILE)
    others = tiny.record_set(
        [
            dataclasses.replace(v, source_sha256=tiny.digest(f"other {v.id}"))
            for v in record_set.videos
        ]
    )
    second = run.draw_videos(others, tiny.config(weights=weights))
    weights = str(tiny.write(tmp_path / "b", tiny.config(weights=weights), second) / run.BEST_FILE)
    learned = set(second.learned_from().values())
    assert learned >= {*first.train.values(), *first.val.values(), *second.train.values()}
    renamed = tiny.record_set([dataclasses.replace(v, id=f"x/{v.id}") for v in record_set.videos])
    with pytest.raises(UserError, match="a test on them says nothing about new videos"):
        run.draw_videos(renamed, tiny.config(weights=weights, split_seed=3))


def test_a_test_video_that_the_starting_weights_have_seen_is_refused(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    first = run.draw_videos(record_set, tiny.config())
    weights = str(tiny.write(tmp_path, tiny.config(), first) / run.BEST_FILE)
    with pytest.raises(UserError, match=r"\d+ of the \d+ test videos .*--config.split_from="):
        run.draw_videos(record_set, tiny.config(weights=weights, split_seed=3))
    renamed = tiny.record_set([dataclasses.replace(v, id=f"x/{v.id}") for v in record_set.videos])
    with pytest.raises(UserError, match="a test on them says nothing about new videos"):
        run.draw_videos(renamed, tiny.config(weights=weights, split_seed=3))
    (tmp_path / run.VIDEOS_FILE).unlink()
    with pytest.raises(UserError, match=r"names the videos that .*best.keras was trained on"):
        run.draw_videos(record_set, tiny.config(weights=weights))


def test_split_from_keeps_the_parts_and_divides_what_is_new(tiny, tmp_path):
    before = tiny.record_set(tiny.videos(range(10)))
    first = run.draw_videos(before, tiny.config())
    folder = tiny.write(tmp_path, tiny.config(), first)
    sibling = next(video for video in before.videos if video.id in first.test)
    new = [
        *tiny.videos(range(20, 30)),
        tiny.video("sibling", sibling.class_name, sibling.group),
    ]
    after = tiny.record_set([*before.videos, *new])
    weights = str(folder / run.BEST_FILE)
    config = tiny.config(weights=weights, split_from=str(folder), split_seed=5)
    second = run.draw_videos(after, config)
    for part in run.PARTS:
        assert set(getattr(first, part)) < set(getattr(second, part))
    assert "sibling" in second.test
    assert second.leak == 0.0 and not set(second.test) & set(second.seen)
    one = tiny.record_set([*before.videos, tiny.video("alone", "Bow", "alone")])
    assert "alone" in run.draw_videos(one, config).train


@pytest.mark.parametrize("new", [(), range(20, 26)])
def test_folds_with_split_from_validate_each_training_video_once(tiny, tmp_path, new):
    before = tiny.record_set(tiny.videos(range(10)))
    first = run.draw_videos(before, tiny.config())
    folder = tiny.write(tmp_path, tiny.config(), first)
    after = tiny.record_set([*before.videos, *tiny.videos(new)])
    validated, tests = [], set()
    for fold in (1, 2, 3):
        config = tiny.config(split_from=str(folder))
        training = dataclasses.replace(config.training, validation_fold=f"{fold}/3")
        drawn = run.draw_videos(after, dataclasses.replace(config, training=training))
        assert set(first.test) <= set(drawn.test) and drawn.leak == 0.0
        assert not set(drawn.train) & set(drawn.val)
        validated += drawn.val
        tests.add(frozenset(drawn.test))
    assert len(tests) == 1
    everything = {video.id for video in after.videos}
    assert sorted(validated) == sorted(everything - tests.pop())


def test_split_from_keeps_a_copy_with_its_file_and_trains_on_a_single_new_clip(tiny, tmp_path):
    before = tiny.record_set(tiny.videos(range(10)))
    config = tiny.config(protocol="paper")
    first = run.draw_videos(before, config)
    folder = tiny.write(tmp_path, config, first)
    tested = next(video for video in before.videos if video.id in first.test)
    copy = dataclasses.replace(tested, id="copy", group="copied")
    alone = tiny.video("alone", "Bow", "alone")
    second = run.draw_videos(
        tiny.record_set([*before.videos, copy, alone]),
        tiny.config(protocol="paper", split_from=str(folder)),
    )
    assert "copy" in second.test and "alone" in second.train
    assert second.duplicates == 0


def test_weights_whose_epoch_was_chosen_on_the_test_part_cannot_be_tested_on_it(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    config = tiny.config(validation_fraction=0.0)
    weights = str(tiny.write(tmp_path, config, run.draw_videos(record_set, config)) / run.BEST_FILE)
    with pytest.raises(
        UserError, match="selected its epoch on its own test part: start from other"
    ):
        run.draw_videos(record_set, tiny.config(validation_fraction=0.0, weights=weights))


def test_a_fold_may_have_any_name_and_an_unknown_one_is_refused(tiny):
    videos = [
        dataclasses.replace(video, splits={"group03": "test" if k % 4 == 0 else "train"})
        for k, video in enumerate(tiny.videos(range(12), clips=1))
    ]
    drawn = run.draw_videos(
        tiny.record_set(videos), tiny.config(protocol="official", fold="group03")
    )
    assert len(drawn.test) == 6
    with pytest.raises(UserError, match="no official split 1: the data set has group03"):
        run.draw_videos(tiny.record_set(videos), tiny.config(protocol="official"))


@pytest.mark.parametrize(
    ("training", "train", "val"),
    [
        ({}, "train", "val"),
        ({"validation_fraction": 0.0}, "train+val", "test"),
        ({"validation_fold": "1/2"}, None, None),
    ],
)
def test_an_official_validation_part_takes_the_place_of_the_fraction(tiny, training, train, val):
    sides = ("train", "train", "train", "train", "val", "val", "test")
    listed = [
        dataclasses.replace(video, splits={"1": sides[k // 2 % 7]})
        for k, video in enumerate(tiny.videos(range(7)))
    ]
    record_set = tiny.record_set(listed)
    config = tiny.config(protocol="official")
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **training))
    drawn = run.draw_videos(record_set, config)
    of_side = {
        name: {video.id for video in listed if video.splits["1"] in name.split("+")}
        for name in ("train", "val", "test", "train+val")
    }
    assert set(drawn.test) == of_side["test"] and not drawn.unused
    if train:
        assert set(drawn.train) == of_side[train] and set(drawn.val) == of_side[val]
    else:
        assert set(drawn.train) | set(drawn.val) == of_side["train+val"]
        assert len(drawn.val) == len(drawn.train)
    assert drawn.leak == 0
