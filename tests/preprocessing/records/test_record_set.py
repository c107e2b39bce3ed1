import dataclasses
import json
import subprocess

import pytest

from preprocessing import records
from preprocessing.errors import UserError

FRAMES = [b"a" * 5, b"b" * 200, b"c" * 20_000]
FLOW = [b"d", b"e" * 130]


def _record_set(folder):
    path = folder / records.shard_file("", 0, 1)
    with path.open("wb") as file, records.ExampleWriter("v_Jump_g01_c01", 3) as writer:
        for image in FRAMES:
            writer.add_frame(image)
        for image in FLOW:
            writer.add_flow(image)
        length = writer.write_record(file)
    video = records.RecordedVideo(
        "v_Jump_g01_c01", 3, "Jump", "Jump/g01", {"1": "test"}, 3, 0.5, 0, 0, length
    )
    return records.RecordSet(
        folder=folder,
        name="jumps",
        clip={
            "image_size": 64,
            "resize": "stretch",
            "fps": 0.0,
            "repeats": "keep",
            "frame_grid": 0,
            "flow_length": 4,
        },
        encoding={"flow_bound": 20.0, "image_format": "jpeg", "jpeg_quality": 95},
        flow={"algorithm": "tvl1", "method": "opencv", "quality": "reference"},
        classes=("A", "B", "C", "Jump"),
        counts={"videos": 1, "classes": 4, "frames": 3, "failed": 0, "shards": 1},
        videos=(video,),
        failed=("v_Jump_g01_c02",),
        versions={"opencv": "5"},
        shards=(records.shard_file("", 0, 1),),
    )


def test_a_part_of_a_collection_is_called_so_whenever_it_was_made(tmp_path):
    record_set = _record_set(tmp_path)
    assert record_set.title == "jumps" == record_set.title_of("jumps")
    records.write_record_set(dataclasses.replace(record_set, name="ucf101"))
    record_set = records.load_record_set(tmp_path)
    assert record_set.title == "ucf101 (1 of 101 classes, 1 of 13320 clips)"
    assert record_set.title_of("ucf101") == record_set.title
    assert record_set.title_of("another run's") == "another run's"


def test_metadata_come_back_as_written(tmp_path):
    record_set = _record_set(tmp_path)
    records.write_record_set(record_set)
    assert records.load_record_set(tmp_path, every_class=True) == record_set
    assert [path.name for path in record_set.shard_paths] == [
        "stfnet-videos.tfrecord-00000-of-00001"
    ]
    assert '"class": "Jump"' in (tmp_path / "metadata.json").read_text()


def test_a_set_that_is_not_whole_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        records.load_record_set(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no record set"):
        records.load_record_set(tmp_path)
    (tmp_path / "parts").mkdir()
    with pytest.raises(UserError, match="unfinished"):
        records.load_record_set(tmp_path)

    record_set = _record_set(tmp_path)
    records.write_record_set(dataclasses.replace(record_set, versions={}))
    shard = record_set.shard_paths[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=f"has {len(whole) - 1} bytes, .* says {len(whole)}"):
        records.load_record_set(tmp_path)
    shard.unlink()
    with pytest.raises(UserError, match="is missing"):
        records.load_record_set(tmp_path)

    (tmp_path / "metadata.json").write_text('{"format": 0}')
    with pytest.raises(UserError, match="format 0, this program reads format 1"):
        records.load_record_set(tmp_path)


def _damaged(values, key, value):
    """Sets a key (`videos.0.id`), or removes it where the value is None."""
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    for part in path:
        values = values[part]
    if value is None:
        del values[last]
    else:
        values[last] = value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format 2, this program reads format 1"),
        ("format", None, "has no key 'format'"),
        ("videos", None, "has no key 'videos'"),
        ("videos", {"a": 1}, "'videos' = .*needed is a list"),
        ("videos.0", "v_Jump", "entry 0 of its key 'videos' is .*needed is an object"),
        ("videos.0.shard", None, "entry 0 of its key 'videos' has no key 'shard'"),
        ("videos.0.colour", "red", "'videos' has a key \"colour\" .*does not know"),
        ("videos.0.num_frames", "3", "'num_frames' = \"3\", needed is a whole number"),
        ("videos.0.mean_motion", float("nan"), "'mean_motion' = NaN, needed is a finite number"),
        ("videos.0.offset", -1, "'offset' = -1, needed is a whole number of at least 0"),
        ("videos.0.splits", {"1": 2}, "'splits' = .* needed is an object of texts"),
        ("videos.0.label", 4, "label 4 and class 'Jump', which do not belong together"),
        ("videos.0.shard", 1, "lies in shard 1, there are 1"),
        ("videos.0.record_sha256", "beef", "'record_sha256' = \"beef\", needed is 64 hexa"),
        ("sha256", 7, "'sha256' = 7, needed is 64 hexadecimal digits"),
        ("classes", ["A", 1], "'classes' = .*needed is a list of texts"),
        ("classes", [], "label 3 and class 'Jump', which do not belong together"),
        ("counts", [], "'counts' = .*needed is an object"),
        ("counts.shards", 10**12, "says 1000000000000 shards, more than there are videos"),
        ("clip.image_size", None, "'clip' = .*needed is one whose 'image_size' is a value"),
        ("clip.frame_grid", "16", "'clip' where needed is one whose 'frame_grid' is a whole"),
        ("encoding.flow_bound", float("nan"), "needed is one whose 'flow_bound' is a finite"),
        ("owner", "me", 'has a key "owner" that this program does not know'),
    ],
)
def test_an_unusable_key_of_the_metadata_is_one_line_with_the_way_out(
    tmp_path, key, value, message
):
    records.write_record_set(_record_set(tmp_path))
    path = tmp_path / "metadata.json"
    values = json.loads(path.read_text())
    _damaged(values, key, value)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message) as caught:
        records.load_record_set(tmp_path)
    line = str(caught.value)
    assert line.startswith(f"{path} cannot be used: ") and "\n" not in line
    assert "copy metadata.json again" in line and "the flow of every video" in line


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}', b"[" * 100_000]
)
def test_metadata_that_are_no_object_are_one_line(tmp_path, content):
    (tmp_path / "metadata.json").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be used: .*copy metadata.json again") as caught:
        records.load_record_set(tmp_path)
    assert "\n" not in str(caught.value)


def test_metadata_of_the_first_versions_load(tmp_path):
    record_set = _record_set(tmp_path)
    records.write_record_set(record_set)
    path = tmp_path / "metadata.json"
    values = json.loads(path.read_text())
    del values["sha256"], values["shards"]
    for key in ("fps", "repeats", "frame_grid"):
        del values["clip"][key]
    values["clip"] |= {"num_frames": 17, "flow_length": 9}
    for key in ("record_sha256", "source_sha256", "fps"):
        del values["videos"][0][key]
    path.write_text(json.dumps(values))
    assert records.load_record_set(tmp_path, every_class=True) == record_set
    values["clip"]["frame_grid"] = 16
    path.write_text(json.dumps(values))
    clip = records.load_record_set(tmp_path).clip
    assert (clip["frame_grid"], clip["flow_length"]) == (16, 9)


def test_the_digest_of_a_set_is_that_of_its_records_digests_as_lines(tmp_path):
    (video,) = _record_set(tmp_path).videos
    digests = ["a" * 64, "0" * 64]
    videos = [dataclasses.replace(video, record_sha256=digest) for digest in digests]
    lines = ['"Box"', '"a \\"b\\""', *digests, ""]
    summed = subprocess.run(["sha256sum"], input="\n".join(lines).encode(), stdout=-1)
    assert records.set_sha256(videos, ["Box", 'a "b"']) == summed.stdout.decode().split()[0]
    assert records.set_sha256([*videos, video], ["Box"]) == ""


def test_a_video_is_read_from_where_it_lies_in_its_shard(tmp_path):
    (video,) = (record_set := _record_set(tmp_path)).videos
    shard = record_set.shard_paths[0]
    record = shard.read_bytes()
    shard.write_bytes(b"before" + record + b"behind")
    video = dataclasses.replace(video, offset=6)
    assert records.read_bytes(shard, 6, video.length) == record
    read = records.read_video(record_set, video)
    assert (read["video_id"], read["label"]) == ("v_Jump_g01_c01", 3)
    assert (read["frames"], read["flow"]) == (FRAMES, FLOW)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda record: record[:500] + b"!" + record[501:], "the checksum of its data is wrong"),
        (lambda record: record[:-1], "has 20"),
        (lambda record: b"", "cannot mmap an empty file"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_it_and_the_way_out(tmp_path, damage, reason):
    (video,) = (record_set := _record_set(tmp_path)).videos
    shard = record_set.shard_paths[0]
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(records.DamagedRecordError) as caught:
        records.read_video(record_set, video)
    assert str(caught.value).startswith(
        f"{shard}: the record of v_Jump_g01_c01 is damaged ({reason}"
    )
    assert str(caught.value).endswith(
        f": experiments.prepare --verify={tmp_path} lists what to prepare again"
    )


def test_a_class_without_a_record_is_no_class_of_a_network(tmp_path):
    record_set = _record_set(tmp_path)
    records.write_record_set(record_set)
    assert record_set.empty_classes() == ["A", "B", "C"]
    loaded = records.load_record_set(tmp_path)
    assert loaded.classes == ("Jump",) and loaded.empty_classes() == []
    assert [(video.label, video.class_name) for video in loaded.videos] == [(0, "Jump")]
    assert records.read_record_set(tmp_path) == record_set
    # But of one that has such an output already.
    kept = records.load_record_set(tmp_path, classes=("B", "Jump", "elsewhere"))
    assert kept.classes == ("B", "Jump") and kept.videos[0].label == 1
    assert records.load_record_set(tmp_path, classes=record_set.classes) == record_set


def test_a_video_of_no_known_group_stays_one_and_others_are_stored_as_before(tmp_path):
    record_set = _record_set(tmp_path)
    records.write_record_set(record_set)
    assert "ungrouped" not in (tmp_path / "metadata.json").read_text()
    (video,) = record_set.videos
    video = dataclasses.replace(video, ungrouped=True)
    records.write_record_set(dataclasses.replace(record_set, videos=(video,)))
    assert records.read_record_set(tmp_path).videos == (video,)
