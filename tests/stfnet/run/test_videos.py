"""A run's videos are found again in records that have changed since."""

import dataclasses

from stfnet import run


def test_a_video_of_no_part_is_not_taken_for_a_new_one(tiny):
    videos = tiny.videos(range(10))
    listed = [
        dataclasses.replace(video, splits={"1": "test" if "_g00" in video.id else "train"})
        for video in videos[:-1]
    ]
    record_set = tiny.record_set([*listed, videos[-1]])
    drawn = run.draw_videos(record_set, tiny.config(protocol="official"))
    located = run.locate(drawn, record_set)
    assert set(drawn.unused) == tiny.ids(record_set, located.unused) == {videos[-1].id}
    assert not len(located.unseen) and not located.notes(record_set)
    assert drawn.warnings() == []


def test_the_parts_stand_when_videos_are_added_and_removed(tiny):
    before = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(before, tiny.config())
    lost = min(drawn.test)
    gained = [tiny.video("Bow_new", "Bow", "new"), tiny.video("A_first", "Wave", "g03")]
    kept = [video for video in before.videos if video.id != lost]
    after = tiny.record_set([gained[1], *kept, gained[0]])
    located = run.locate(drawn, after)
    for part in run.PARTS:
        assert tiny.ids(after, getattr(located, part)) == set(getattr(drawn, part)) - {lost}
    assert tiny.ids(after, located.unseen) == {"Bow_new", "A_first"}
    assert located.lost == (lost,)
    notes = located.notes(after)
    assert "2 videos are new since the run started" in notes[0] and "Bow_new" in notes[0]
    assert f"1 videos of the run are not in these records any more: {lost}" in notes[1]


def test_a_renamed_video_keeps_its_part_and_a_replaced_one_is_named(tiny):
    before = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(before, tiny.config())
    renamed, replaced, standing = sorted(drawn.train)[:3]
    overwritten = min(drawn.test)
    changes = {
        renamed: {"id": "Bow/other-name"},
        replaced: {"source_sha256": tiny.digest("new content")},
        overwritten: {"source_sha256": drawn.train[standing]},  # its own file is gone
    }
    after = tiny.record_set(
        [dataclasses.replace(video, **changes.get(video.id, {})) for video in before.videos]
    )
    located = run.locate(drawn, after)
    assert tiny.ids(after, located.train) == set(drawn.train) - {renamed} | {"Bow/other-name"}
    assert tiny.ids(after, located.test) == set(drawn.test) - {overwritten}
    assert tiny.ids(after, located.copies) == {overwritten}
    assert located.changed == (replaced,)
    assert located.lost == (overwritten,)
    assert not len(located.unseen)


def test_a_copy_of_a_known_video_counts_in_no_part(tiny):
    before = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(before, tiny.config())
    video_of = {video.id: video for video in before.videos}
    copies = [
        dataclasses.replace(video_of[min(part)], id=f"copy{k}")
        for k, part in enumerate((drawn.train, drawn.test))
    ]
    after = tiny.record_set([*before.videos, *copies])
    located = run.locate(drawn, after)
    for part in run.PARTS:
        assert tiny.ids(after, getattr(located, part)) == set(getattr(drawn, part))
    assert tiny.ids(after, located.copies) == {"copy0", "copy1"} and not len(located.unseen)
    assert located.notes(after) == [
        "2 videos are copies of others that the run knows, and in no part of it: copy0, copy1"
    ]


def test_files_that_exchanged_their_names_exchange_their_parts(tiny):
    before = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(before, tiny.config())
    ours, theirs = min(drawn.train), min(drawn.test)
    content = {ours: drawn.test[theirs], theirs: drawn.train[ours]}
    after = tiny.record_set(
        [
            dataclasses.replace(video, source_sha256=content.get(video.id, video.source_sha256))
            for video in before.videos
        ]
    )
    located = run.locate(drawn, after)
    assert theirs in tiny.ids(after, located.train) and ours in tiny.ids(after, located.test)
    assert (located.lost, located.changed, len(located.copies)) == ((), (), 0)


def test_the_digest_of_the_parts_is_that_of_their_sorted_lines(tiny):
    parts = [{"b": "2", "a": "1"}, {"c": "3"}, {"d": ""}, {"f": "6"}]
    videos = run.RunVideos("group", "1", 0, 0.2, *parts, leak=0.0, duplicates=0, seen={"e": "5"})
    lines = "seen\te\t5\ntest\td\t\ntrain\ta\t1\ntrain\tb\t2\nunused\tf\t6\nval\tc\t3\n"
    assert videos.sha256 == videos.fingerprint()["parts_sha256"] == tiny.digest(lines)
