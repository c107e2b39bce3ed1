"""A run knows its videos: they are drawn once, written, and compared with the records at hand."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from preprocessing import records
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig

CLASSES = ("Bow", "Wave")


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _video(name, class_name, group, content=None, splits=None):
    return records.RecordedVideo(
        id=name,
        label=CLASSES.index(class_name),
        class_name=class_name,
        group=group,
        splits=splits or {},
        num_frames=10,
        mean_motion=1.0,
        shard=0,
        offset=0,
        length=1,
        source_sha256=_digest(content or name),
    )


def _record_set(videos, folder="records"):
    return records.RecordSet(
        folder=folder,
        name="tiny",
        clip={},
        encoding={},
        flow={},
        classes=CLASSES,
        counts={"videos": len(videos), "shards": 1},
        videos=tuple(videos),
        failed=(),
        versions={},
        sha256=_digest("records"),
    )


def _videos(groups, clips=2):
    return [
        _video(f"{name}_g{group:02d}_c{clip}", name, f"g{group:02d}")
        for name in CLASSES
        for group in groups
        for clip in range(clips)
    ]


def _config(**changes):
    training = {
        name: changes.pop(name) for name in ("validation_fraction", "weights") if name in changes
    }
    return RunConfig(
        "tiny",
        CLASSES,
        ModelConfig(2, ClipConfig(3, 4, 32)),
        TrainingConfig(**{"validation_fraction": 0.2, **training}),
        **changes,
    )


def _write(folder, config, videos):
    with run.writing(folder, config, videos):
        (folder / run.BEST_FILE).write_bytes(b"weights")
    return folder


def _ids(record_set, positions):
    return {record_set.videos[k].id for k in positions}


def test_no_group_is_in_two_parts():
    record_set = _record_set(_videos(range(10)))
    drawn = run.draw_videos(record_set, _config())
    group_of = {video.id: video.group for video in record_set.videos}
    groups = [{group_of[name] for name in getattr(drawn, part)} for part in run.PARTS]
    assert all(groups) and sum(map(len, groups)) == 10 == len(set.union(*groups))
    assert len({**drawn.train, **drawn.val, **drawn.test}) == 40
    assert (drawn.leak, drawn.duplicates) == (0.0, 0)


def test_without_a_validation_fraction_the_test_part_validates():
    record_set = _record_set(_videos(range(10)))
    drawn = run.draw_videos(record_set, _config(validation_fraction=0.0))
    located = run.locate(drawn, record_set)
    assert drawn.val == drawn.test
    np.testing.assert_array_equal(located.val, located.test)
    assert len(located.train) + len(located.test) == 40


def test_a_file_on_both_sides_is_counted_though_its_names_differ():
    videos = _videos(range(10))
    twins = [dataclasses.replace(video, source_sha256=_digest("one file")) for video in videos]
    drawn = run.draw_videos(_record_set(twins), _config())
    assert drawn.duplicates == len(drawn.test)
    assert f"{len(drawn.test)} test videos are in training" in drawn.warnings()[0]


def test_a_video_of_no_part_is_not_taken_for_a_new_one():
    videos = _videos(range(10))
    listed = [
        dataclasses.replace(video, splits={"1": "test" if "_g00" in video.id else "train"})
        for video in videos[:-1]
    ]
    record_set = _record_set([*listed, videos[-1]])
    drawn = run.draw_videos(record_set, _config(protocol="official"))
    located = run.locate(drawn, record_set)
    assert set(drawn.unused) == _ids(record_set, located.unused) == {videos[-1].id}
    assert not len(located.unseen) and not located.notes(record_set)
    assert drawn.warnings() == []


def test_the_parts_stand_when_videos_are_added_and_removed():
    before = _record_set(_videos(range(10)))
    drawn = run.draw_videos(before, _config())
    lost = min(drawn.test)
    gained = [_video("Bow_new", "Bow", "new"), _video("A_first", "Wave", "g03")]
    kept = [video for video in before.videos if video.id != lost]
    after = _record_set([gained[1], *kept, gained[0]])
    located = run.locate(drawn, after)
    for part in run.PARTS:
        assert _ids(after, getattr(located, part)) == set(getattr(drawn, part)) - {lost}
    assert _ids(after, located.unseen) == {"Bow_new", "A_first"}
    assert located.lost == (lost,)
    notes = located.notes(after)
    assert "2 videos are new since the run started" in notes[0] and "Bow_new" in notes[0]
    assert f"1 videos of the run are not in these records any more: {lost}" in notes[1]


def test_a_renamed_video_keeps_its_part_and_a_replaced_one_is_named():
    before = _record_set(_videos(range(10)))
    drawn = run.draw_videos(before, _config())
    renamed, replaced, standing = sorted(drawn.train)[:3]
    overwritten = min(drawn.test)
    changes = {
        renamed: {"id": "Bow/other-name"},
        replaced: {"source_sha256": _digest("new content")},
        overwritten: {"source_sha256": drawn.train[standing]},  # its own file is gone
    }
    after = _record_set(
        [dataclasses.replace(video, **changes.get(video.id, {})) for video in before.videos]
    )
    located = run.locate(drawn, after)
    assert _ids(after, located.train) == set(drawn.train) - {renamed} | {"Bow/other-name"}
    assert _ids(after, located.test) == set(drawn.test) - {overwritten}
    assert _ids(after, located.copies) == {overwritten}
    assert located.changed == (replaced,)
    assert located.lost == (overwritten,)
    assert not len(located.unseen)


def test_a_copy_of_a_known_video_counts_in_no_part():
    before = _record_set(_videos(range(10)))
    drawn = run.draw_videos(before, _config())
    video_of = {video.id: video for video in before.videos}
    copies = [
        dataclasses.replace(video_of[min(part)], id=f"copy{k}")
        for k, part in enumerate((drawn.train, drawn.test))
    ]
    after = _record_set([*before.videos, *copies])
    located = run.locate(drawn, after)
    for part in run.PARTS:
        assert _ids(after, getattr(located, part)) == set(getattr(drawn, part))
    assert _ids(after, located.copies) == {"copy0", "copy1"} and not len(located.unseen)
    assert located.notes(after) == [
        "2 videos are copies of others that the run knows, and in no part of it: copy0, copy1"
    ]


def test_files_that_exchanged_their_names_exchange_their_parts():
    before = _record_set(_videos(range(10)))
    drawn = run.draw_videos(before, _config())
    ours, theirs = min(drawn.train), min(drawn.test)
    content = {ours: drawn.test[theirs], theirs: drawn.train[ours]}
    after = _record_set(
        [
            dataclasses.replace(video, source_sha256=content.get(video.id, video.source_sha256))
            for video in before.videos
        ]
    )
    located = run.locate(drawn, after)
    assert theirs in _ids(after, located.train) and ours in _ids(after, located.test)
    assert (located.lost, located.changed, len(located.copies)) == ((), (), 0)


def test_videos_are_read_as_they_were_written(tmp_path):
    record_set = _record_set(_videos(range(10)))
    drawn = run.draw_videos(record_set, _config())
    _write(tmp_path, _config(), drawn)
    assert run.read_videos(tmp_path) == drawn
    assert run.read_config(tmp_path) == _config()
    more = _record_set([*record_set.videos, _video("x", "Bow", "x")])
    assert run.open_videos(tmp_path, _config(), more) == drawn  # and not drawn again


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values["test"].update(x=""), "was changed after the run wrote it"),
        (lambda values: values.pop("leak"), "does not read"),
        (lambda values: values.update(format=9), "of another format"),
        (lambda values: values.update(train=3), "does not read"),
    ],
)
def test_a_damaged_list_of_videos_is_named(tmp_path, damage, message):
    _write(tmp_path, _config(), run.draw_videos(_record_set(_videos(range(10))), _config()))
    path = tmp_path / run.VIDEOS_FILE
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        run.read_videos(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="does not read"):
        run.read_videos(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="is missing: it names the videos of the run"):
        run.read_videos(tmp_path)


def test_another_configuration_is_refused_once_something_was_learned(tmp_path):
    record_set = _record_set(_videos(range(10)))
    with run.writing(tmp_path, _config(), run.draw_videos(record_set, _config())):
        pass
    other = _config(split_seed=1)
    drawn = run.open_videos(tmp_path, other, record_set)  # a wrong first command costs nothing
    _write(tmp_path, other, drawn)
    with pytest.raises(UserError, match="split_seed: 1 there, 0 now"):
        run.open_videos(tmp_path, _config(), record_set)


def test_starting_weights_bring_every_video_they_have_learned_from(tmp_path):
    record_set = _record_set(_videos(range(10)))
    first = run.draw_videos(record_set, _config())
    weights = str(_write(tmp_path / "a", _config(), first) / run.BEST_FILE)
    second = run.draw_videos(record_set, _config(weights=weights))  # the same parts: allowed
    assert set(second.seen) == set(first.train) | set(first.val)
    other = _record_set(
        [_video(f"{k}", name, f"{k}") for k in range(8) for name in CLASSES[k % 2 :]]
    )
    weights = str(_write(tmp_path / "b", _config(weights=weights), second) / run.BEST_FILE)
    third = run.draw_videos(other, _config(weights=weights))
    assert set(third.seen) == set(first.train) | set(first.val)
    assert third.certificate()["seen_by_starting_weights"] == sorted(third.seen)


def test_two_videos_of_one_name_are_both_remembered(tmp_path):
    record_set = _record_set(_videos(range(10)))
    first = run.draw_videos(record_set, _config())
    weights = str(_write(tmp_path / "a", _config(), first) / run.BEST_FILE)
    others = _record_set(
        [dataclasses.replace(v, source_sha256=_digest(f"other {v.id}")) for v in record_set.videos]
    )
    second = run.draw_videos(others, _config(weights=weights))
    weights = str(_write(tmp_path / "b", _config(weights=weights), second) / run.BEST_FILE)
    learned = set(second.learned_from().values())
    assert learned >= {*first.train.values(), *first.val.values(), *second.train.values()}
    renamed = _record_set([dataclasses.replace(v, id=f"x/{v.id}") for v in record_set.videos])
    with pytest.raises(UserError, match="a test on them says nothing of new videos"):
        run.draw_videos(renamed, _config(weights=weights, split_seed=3))


def test_a_test_video_that_the_starting_weights_have_seen_is_refused(tmp_path):
    record_set = _record_set(_videos(range(10)))
    first = run.draw_videos(record_set, _config())
    weights = str(_write(tmp_path, _config(), first) / run.BEST_FILE)
    with pytest.raises(UserError, match=r"\d+ of the \d+ test videos .*--config.split_from="):
        run.draw_videos(record_set, _config(weights=weights, split_seed=3))
    renamed = _record_set([dataclasses.replace(v, id=f"x/{v.id}") for v in record_set.videos])
    with pytest.raises(UserError, match="a test on them says nothing of new videos"):
        run.draw_videos(renamed, _config(weights=weights, split_seed=3))
    (tmp_path / run.VIDEOS_FILE).unlink()
    with pytest.raises(UserError, match=r"names the videos that .*best.keras was trained on"):
        run.draw_videos(record_set, _config(weights=weights))


def test_split_from_keeps_the_parts_and_divides_what_is_new(tmp_path):
    before = _record_set(_videos(range(10)))
    first = run.draw_videos(before, _config())
    folder = _write(tmp_path, _config(), first)
    sibling = next(video for video in before.videos if video.id in first.test)
    new = [
        *_videos(range(20, 30)),
        _video("sibling", sibling.class_name, sibling.group),
    ]
    after = _record_set([*before.videos, *new])
    weights = str(folder / run.BEST_FILE)
    config = _config(weights=weights, split_from=str(folder), split_seed=5)
    second = run.draw_videos(after, config)
    for part in run.PARTS:
        assert set(getattr(first, part)) < set(getattr(second, part))
    assert "sibling" in second.test
    assert second.leak == 0.0 and not set(second.test) & set(second.seen)
    one = _record_set([*before.videos, _video("alone", "Bow", "alone")])
    assert "alone" in run.draw_videos(one, config).train


def test_split_from_keeps_a_copy_with_its_file_and_trains_on_a_single_new_clip(tmp_path):
    before = _record_set(_videos(range(10)))
    config = _config(protocol="paper")
    first = run.draw_videos(before, config)
    folder = _write(tmp_path, config, first)
    tested = next(video for video in before.videos if video.id in first.test)
    copy = dataclasses.replace(tested, id="copy", group="copied")
    alone = _video("alone", "Bow", "alone")
    second = run.draw_videos(
        _record_set([*before.videos, copy, alone]),
        _config(protocol="paper", split_from=str(folder)),
    )
    assert "copy" in second.test and "alone" in second.train
    assert second.duplicates == 0


def test_weights_whose_epoch_was_chosen_on_the_test_part_cannot_be_tested_on_it(tmp_path):
    record_set = _record_set(_videos(range(10)))
    config = _config(validation_fraction=0.0)
    weights = str(_write(tmp_path, config, run.draw_videos(record_set, config)) / run.BEST_FILE)
    with pytest.raises(UserError, match="chose its epoch on its own test part: start from other"):
        run.draw_videos(record_set, _config(validation_fraction=0.0, weights=weights))


def test_a_fold_may_have_any_name_and_an_unknown_one_is_refused():
    videos = [
        dataclasses.replace(video, splits={"group03": "test" if k % 4 == 0 else "train"})
        for k, video in enumerate(_videos(range(12), clips=1))
    ]
    drawn = run.draw_videos(_record_set(videos), _config(protocol="official", fold="group03"))
    assert len(drawn.test) == 6
    with pytest.raises(UserError, match="no official split 1: the data set has group03"):
        run.draw_videos(_record_set(videos), _config(protocol="official"))


def test_the_digest_of_the_parts_is_that_of_their_sorted_lines():
    parts = [{"b": "2", "a": "1"}, {"c": "3"}, {"d": ""}, {"f": "6"}]
    videos = run.RunVideos("group", "1", 0, 0.2, *parts, leak=0.0, duplicates=0, seen={"e": "5"})
    lines = "seen\te\t5\ntest\td\t\ntrain\ta\t1\ntrain\tb\t2\nunused\tf\t6\nval\tc\t3\n"
    assert videos.sha256 == videos.certificate()["parts_sha256"] == _digest(lines)
