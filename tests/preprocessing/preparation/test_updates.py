"""Records whose videos came, went or changed, and preparations that were killed."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import sys

import pytest

from preprocessing import records, worker_pool
from preprocessing.errors import UserError
from preprocessing.preparation import local, tasks
from preprocessing.preparation.local import local_runner


def _changed(videos, write_video):
    """A class in front of the others, a video more, one renamed, one changed, one gone."""
    write_video(videos / "Down" / "v_Down_g00_c01.mp4", 3, seed=11)
    (videos / "Left" / "v_Left_g00_c01.mp4").rename(videos / "Left" / "v_Left_g77_c01.mp4")
    write_video(videos / "Left" / "v_Left_g01_c01.mp4", 6, seed=12)
    (videos / "Right" / "v_Right_g00_c01.avi").unlink()


def test_an_update_is_asked_for_and_gives_a_set_made_anew(
    videos, tmp_path, write_video, small_shards, prepare
):
    prepare(videos)
    before = prepare.files()
    _changed(videos, write_video)
    message = (
        r"records: 1 new, 1 renamed, 1 changed, 1 gone, 2 as they were; the records of"
        r" v_Left_g01_c01, v_Right_g00_c01 would be dropped: add --update to the experiments.prep"
    )
    with pytest.raises(UserError, match=message):
        prepare(videos)
    assert prepare.files() == before
    assert prepare(videos, update=True).converted == 2
    assert prepare.files() == prepare.from_scratch(videos) != before
    assert not (tmp_path / "records" / "parts").exists()


def test_a_changed_video_that_fails_now_is_dropped(videos, prepare):
    prepare(videos)
    (videos / "Left" / "v_Left_g00_c01.mp4").write_bytes(b"")
    prepared = prepare(videos, update=True)
    assert [row["id"] for row in prepared.failures] == ["v_Left_g00_c01"]
    assert prepare.files() == prepare.from_scratch(videos)


def test_what_a_killed_update_left_of_another_state_is_not_taken(videos, write_video, prepare):
    """Changed, killed, changed back: the record of the set is the one of the file."""
    path = videos / "Left" / "v_Left_g00_c01.mp4"
    prepare(videos)
    before, content, times = prepare.files(), path.read_bytes(), path.stat()
    write_video(path, 6, seed=12)

    def run(preparation, shards):
        yield from local_runner(1, 60)(preparation, shards)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(videos, update=True, run=run)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert prepare(videos).converted == 0
    assert prepare.files() == before


def _in_this_process(preparation, shards):
    """A runner without workers, so that every operation on a file is this process's."""

    def run(queue):
        while queue:
            task = queue.popleft()
            try:
                yield task, tasks.perform(task, lambda amount: None)
            except UserError as error:
                yield task, worker_pool.Failure("failed", str(error))

    return local.make(shards, preparation.settings, preparation.folder, run, 1)


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _update_in_a_child(videos, output, prepare, kill_at=None):
    """Runs an update; returns the number of file operations, or None if it was killed at one."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        count = 0

        def hook(event, arguments):
            nonlocal count
            opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
            if not opened and event not in CHANGING:
                return
            if str(output) in str(arguments):
                count += 1
                if count == kill_at:
                    os._exit(9)

        sys.addaudithook(hook)
        with contextlib.suppress(BaseException):
            prepare(videos, output, update=True, run=_in_this_process)
            os.write(writer, str(count).encode())
            os._exit(0)
        os._exit(1)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        counted = file.read()
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9), code
    return None if code else int(counted)


CHANGING = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate")


@pytest.mark.parametrize("begun", [True, False])
def test_killed_at_any_file_operation_there_is_the_set_before_or_the_new_one(
    videos, tmp_path, write_video, small_shards, prepare, begun
):
    import tensorflow_datasets  # noqa: F401 - a child would need seconds for it

    expected = {}
    (tmp_path / "old").mkdir()
    if begun:
        before = prepare(videos, "old", run=_in_this_process).record_set
        expected[before.sha256] = before
        _changed(videos, write_video)
    shutil.copytree(tmp_path / "old", tmp_path / "whole")
    steps = _update_in_a_child(videos, tmp_path / "whole", prepare)
    after = records.load_record_set(tmp_path / "whole")
    expected[after.sha256] = after
    fresh = prepare.from_scratch(videos, run=_in_this_process)
    assert prepare.files("whole") == fresh and steps > 50
    seen = set()
    for step in range(1, steps + 1, 1 if begun else 5):
        output = tmp_path / "killed"
        shutil.copytree(tmp_path / "old", output)
        assert _update_in_a_child(videos, output, prepare, step) is None
        if begun or (output / "metadata.json").exists():
            found = records.load_record_set(output)
            seen.add(found.sha256)
            same = expected[found.sha256]
            assert dataclasses.replace(found, folder=same.folder) == same
            for video in found.videos:
                data = records.read_bytes(found.path_of(video), video.offset, video.length)
                assert hashlib.sha256(data).hexdigest() == video.record_sha256
        if begun:  # TensorFlow Datasets' set is there too
            name = json.loads((output / "dataset_info.json").read_text())["name"]
            assert list(output.glob(f"{name}-*"))
        assert _update_in_a_child(videos, output, prepare) is not None
        assert prepare.files(output) == fresh, step
        assert not (output / "parts").exists()
        shutil.rmtree(output)
    assert seen == set(expected)
