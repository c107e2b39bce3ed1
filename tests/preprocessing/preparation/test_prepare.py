import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import files, flow, records
from preprocessing import video as video_files
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from preprocessing.records import verification

SETTINGS = conversion.Settings(image_size=16)


def test_the_records_hold_every_video_where_the_metadata_say(videos, tmp_path, prepare):
    prepared = prepare(videos, workers=2)
    record_set = records.load_record_set(tmp_path / "records")
    assert prepared.record_set == record_set
    assert prepared.failures == () and prepared.converted == 5
    assert not (tmp_path / "records" / "parts").exists()
    assert record_set.classes == ("Left", "Right") and record_set.name == "actions"
    assert record_set.counts == {"videos": 5, "classes": 2, "frames": 20, "failed": 0, "shards": 1}
    lengths = {video.id: video.num_frames for video in record_set.videos}
    assert lengths == {
        "v_Left_g00_c01": 2,
        "v_Left_g01_c01": 3,
        "v_Left_g02_c01": 4,
        "v_Right_g00_c01": 5,
        "v_Right_g01_c01": 6,
    }
    for video in record_set.videos:
        shard = record_set.shard_paths[video.shard].read_bytes()
        record = tmp_path / "one.tfrecord"
        record.write_bytes(shard[video.offset : video.offset + video.length])
        (example,) = tf.data.TFRecordDataset(str(record)).as_numpy_iterator()
        feature = tf.train.Example.FromString(example).features.feature
        assert feature["video_id"].bytes_list.value == [video.id.encode()]
        label = record_set.classes.index(video.class_name)
        assert feature["label"].int64_list.value == [video.label] == [label]
        assert len(feature["frames"].bytes_list.value) == video.num_frames
        assert len(feature["flow"].bytes_list.value) == video.num_frames - 1
        assert video.group == f"{video.class_name}/{video.id.split('_')[2]}"


def test_videos_that_fail_are_listed_and_the_rest_goes_on(videos, tmp_path, write_video, prepare):
    (videos / "Left" / "v_Left_g07_c01.mp4").write_bytes(b"no video at all")
    (videos / "Left" / "v_Left_g08_c01.mp4").write_bytes(b"")
    write_video(videos / "Left" / "v_Left_g09_c01.avi", 1, fourcc="MJPG")
    prepared = prepare(videos)
    assert prepared.record_set.counts["videos"] == 5 and prepared.record_set.counts["failed"] == 3
    lines = (tmp_path / "records" / "failures.jsonl").read_text().splitlines()
    listed = {row["id"]: row for row in map(json.loads, lines)}
    assert {name: row["outcome"] for name, row in listed.items()} == {
        "v_Left_g07_c01": "not_video",
        "v_Left_g08_c01": "zero_bytes",
        "v_Left_g09_c01": "too_short",
    }
    assert all(row["path"] in row["reason"] for row in listed.values())
    before = prepare.files()

    # The same again tries them again, and changes nothing.
    again = prepare(videos)
    assert again.converted == 0 and again.failures == prepared.failures
    assert prepare.files() == before

    # Repaired, they join the set, which then is as if they had never failed.
    write_video(videos / "Left" / "v_Left_g07_c01.mp4", 3, seed=5)
    (videos / "Left" / "v_Left_g08_c01.mp4").unlink()
    (videos / "Left" / "v_Left_g09_c01.avi").unlink()
    write_video(videos / "Left" / "v_Left_g08_c01.mp4", 3, seed=6)
    write_video(videos / "Left" / "v_Left_g09_c01.mp4", 3, seed=7)
    repaired = prepare(videos)
    assert repaired.converted == 3 and repaired.failures == ()
    assert prepare.files() == prepare.from_scratch(videos)


def _notes(folder):
    path = folder / "notes.jsonl"
    return list(map(json.loads, path.read_text().splitlines())) if path.is_file() else None


@pytest.fixture
def doubtful(videos, write_container):
    """A third video of class Right, of which a hundredth was overwritten."""
    path = write_container(videos / "Right", "film.mkv", 200)
    content = path.read_bytes()
    begin, length = len(content) * 2 // 5, len(content) // 100
    path.unlink()
    path = videos / "Right" / "v_Right_g08_c01.mkv"
    path.write_bytes(content[:begin] + bytes(length) + content[begin + length :])
    return path


def test_a_doubtful_video_is_in_the_records_and_in_a_list(videos, doubtful, tmp_path, prepare):
    prepared = prepare(videos)
    (one,) = (v for v in prepared.record_set.videos if v.id == "v_Right_g08_c01")
    assert 190 <= one.num_frames < 200 and 24 < one.fps < 25 and prepared.failures == ()
    (row,) = prepared.notes
    assert (row["id"], row["path"], row["outcome"]) == (one.id, str(doubtful), "damaged")
    assert "frames are damaged or missing" in row["reason"]
    assert _notes(tmp_path / "records") == [row]
    assert prepare(videos).notes == (row,)  # finished before


def test_no_usable_video_is_an_error_and_no_set(tmp_path, prepare):
    (tmp_path / "actions" / "Left").mkdir(parents=True)
    (tmp_path / "actions" / "Left" / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="none of the 1 videos could be used"):
        prepare(tmp_path / "actions")
    assert not (tmp_path / "records" / "metadata.json").exists()


def test_other_settings_or_another_source_are_refused_with_both_values(videos, tmp_path, prepare):
    prepare(videos)
    larger = dataclasses.replace(SETTINGS, image_size=32)
    with pytest.raises(UserError, match="prepared with image_size=16, now image_size=32 is asked"):
        prepare(videos, settings=larger)
    shutil.copytree(videos, tmp_path / "others")
    with pytest.raises(UserError, match="prepared from actions, now others is asked"):
        prepare(tmp_path / "others")


def test_two_preparations_of_one_folder_do_not_mix(videos, tmp_path, prepare):
    (tmp_path / "records").mkdir()
    with (
        files.locked(tmp_path / "records", "preparation"),
        pytest.raises(UserError, match="another preparation is writing"),
    ):
        prepare(videos)


def test_the_digests_are_those_of_the_shards_and_of_the_videos(videos, tmp_path, prepare):
    record_set = prepare(videos).record_set
    (shard,) = (path.read_bytes() for path in record_set.shard_paths)
    lines = '"Left"\n"Right"\n'
    for video in record_set.videos:
        record = shard[video.offset : video.offset + video.length]
        assert video.record_sha256 == hashlib.sha256(record).hexdigest()
        (source,) = videos.rglob(f"{video.id}.*")
        assert video.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        lines += f"{video.record_sha256}\n"
    assert record_set.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert records.load_record_set(tmp_path / "records").sha256 == record_set.sha256


@pytest.fixture
def recordings(tmp_path, write_video):
    """A folder of two recordings of 4 s; the first has two segments, the second one."""
    for name in ("anna", "ben"):
        write_video(tmp_path / "long" / "rec" / f"{name}.mp4", 100, seed=len(name))
    (tmp_path / "long" / "splits.csv").write_text(
        "video,class,start,end\n"
        "rec/anna.mp4,Left,0.5,0.9\nrec/anna.mp4,Right,0.8,1.2\nrec/ben.mp4,Left,3,4\n"
    )
    return tmp_path / "long"


def test_segments_are_records_of_their_frames_and_flow(recordings, prepare):
    lossless = dataclasses.replace(SETTINGS, image_format="png")
    record_set = prepare(recordings, settings=lossless).record_set
    whole = [
        video_files.resize(frame, 16)
        for frame in video_files.read_frames(recordings / "rec" / "anna.mp4")
    ]
    by_id = {video.id: video for video in record_set.videos}
    assert set(by_id) == {"anna@0.5-0.9", "anna@0.8-1.2", "ben@3-4"}
    assert by_id["ben@3-4"].num_frames == 25
    for name, first, end in (("anna@0.5-0.9", 13, 23), ("anna@0.8-1.2", 20, 30)):
        example = records.read_video(record_set, by_id[name])
        shown = [records.decode_frame(image) for image in example["frames"]]
        np.testing.assert_array_equal(shown, whole[first:end])
        fields = flow.encode(
            flow.tvl1(np.stack([video_files.grayscale(f) for f in whole[first:end]])),
            lossless.flow_bound,
        ).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal([records.decode_field(i) for i in example["flow"]], fields)
    # One file, but two videos: neither is a copy of the other.
    assert len({video.source_sha256 for video in record_set.videos}) == 3
    assert by_id["anna@0.5-0.9"].group == by_id["anna@0.8-1.2"].group == "rec/anna"
    assert prepare(recordings, settings=lossless).converted == 0


def test_a_segment_that_does_not_fit_its_video_fails_alone(recordings, prepare):
    path = recordings / "splits.csv"
    path.write_text(path.read_text().replace("3,4", "3,9") + "rec/anna.mp4,Left,2,2.01\n")
    beyond, short = sorted(prepare(recordings).failures, key=lambda row: row["outcome"])
    assert (beyond["id"], beyond["outcome"]) == ("ben@3-9", "beyond_end")
    assert "ends after 4.00 s, and the segment from 3 to 9 s" in beyond["reason"]
    assert (short["id"], short["outcome"]) == ("anna@2-2.01", "too_short")
    assert "anna.mp4 from 2 to 2.01 s has 1 frame, and flow needs two" in short["reason"]


def test_no_record_depends_on_other_videos_or_on_chance(tmp_path, encode, write_container, prepare):
    interlaced = {"flags": "+ildct+ilme"}
    folder = tmp_path / "videos" / "Odd"
    pieces = [
        encode(tmp_path / f"{k}.mpg", "mpeg2video", options=options).read_bytes()
        for k, options in enumerate(({}, interlaced))
    ]
    folder.mkdir(parents=True)
    (folder / "mixed.mpg").write_bytes(b"".join(pieces))
    encode(folder / "camera.avi", "mpeg4", options=interlaced)
    encode(folder / "disc.vob", "mpeg2video", options=interlaced)
    whole = write_container(tmp_path, "film.mkv", 200).read_bytes()
    begin, length = len(whole) * 2 // 5, len(whole) // 100
    (folder / "hole.mkv").write_bytes(whole[:begin] + bytes(length) + whole[begin + length :])
    encode(folder / "plain.mp4")

    sets = [prepare(folder.parent, f"records{k}", workers=k).record_set for k in (1, 2)]
    assert sets[0].sha256 == sets[1].sha256 != ""
    for path in folder.iterdir():
        alone = tmp_path / path.stem / "Odd" / path.name
        alone.parent.mkdir(parents=True)
        shutil.copy(path, alone)
        prepared = prepare(alone.parent.parent, f"{path.stem}-records").record_set
        (one,) = (video for video in sets[0].videos if video.id == path.stem)
        assert prepared.videos[0].record_sha256 == one.record_sha256


def test_a_class_whose_videos_all_fail_is_none_until_they_are_repaired(videos, tmp_path, prepare):
    whole = {path: path.read_bytes() for path in (videos / "Left").iterdir()}
    (videos / "Other").mkdir()
    for path in whole:
        path.write_bytes(b"")
        (videos / "Other" / f"{path.stem}_o.mp4").write_bytes(whole[path])
    output = tmp_path / "records"
    prepared = prepare(videos, output)
    assert len(prepared.failures) == 3 and prepared.record_set.empty_classes() == ["Left"]
    loaded = records.load_record_set(output)
    assert loaded.classes == ("Other", "Right")
    assert {(v.label, v.class_name) for v in loaded.videos} == {(0, "Other"), (1, "Right")}
    assert verification.verify(records.load_record_set(output, every_class=True), 1) == []
    for path, content in whole.items():
        path.write_bytes(content)
    repaired = prepare(videos, output)
    assert repaired.failures == () and repaired.converted == 3
    assert records.load_record_set(output).classes == ("Left", "Other", "Right")
    assert prepare.files(output) == prepare.files(prepare(videos, "once").record_set.folder)


def test_copies_in_another_class_are_noted_and_stay_noted(videos, prepare):
    for path in sorted((videos / "Left").iterdir())[:2]:
        (videos / "Right" / f"copy of {path.name}").write_bytes(path.read_bytes())
    (videos / "Left" / "late.mp4").write_bytes(b"")

    def noted():
        rows = prepare(videos).notes
        return [(row["id"], row["outcome"], row["reason"]) for row in rows]

    of = "of class Left is the same file as copy of {} of class Right"
    two = [(name, "copy", of.format(name)) for name in ("v_Left_g00_c01", "v_Left_g01_c01")]
    assert noted() == two
    (videos / "Left" / "late.mp4").write_bytes(
        (videos / "Right" / "v_Right_g00_c01.avi").read_bytes()
    )
    third = "of class Right is the same file as late of class Left"
    assert noted() == [*two, ("v_Right_g00_c01", "copy", third)]
    assert noted() == [*two, ("v_Right_g00_c01", "copy", third)]


def test_a_copy_beside_its_original_is_noted_until_both_are_of_one_group(videos, tmp_path, prepare):
    original = videos / "Left" / "v_Left_g00_c01.mp4"
    (videos / "Left" / "again.mp4").write_bytes(original.read_bytes())
    assert len(prepare(videos).notes) == 1
    (videos / "splits.csv").write_text("video,group\nLeft/again.mp4,Left/g00\n")
    prepared = prepare(videos)
    assert prepared.notes == () and not (tmp_path / "records" / "notes.jsonl").exists()


def test_another_name_of_a_class_is_another_set_and_converts_nothing(videos, tmp_path, prepare):
    before = prepare(videos).record_set
    rows = [f"Left/{path.name},Links\n" for path in (videos / "Left").iterdir()]
    (videos / "splits.csv").write_text("video,class\n" + "".join(rows))
    prepared = prepare(videos)
    assert prepared.converted == 0 and prepared.record_set.sha256 != before.sha256
    loaded = records.load_record_set(tmp_path / "records")
    assert loaded.classes == ("Links", "Right")
    assert {video.class_name for video in loaded.videos} == {"Links", "Right"}
    assert (tmp_path / "records" / "label.labels.txt").read_text().split() == ["Links", "Right"]
    assert verification.verify(loaded, 1) == []
