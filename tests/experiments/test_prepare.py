import importlib.util
import shutil

import cv2
import numpy as np
import pytest

from benchmarks import films
from preprocessing import records


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    """Two classes of two short clips each."""
    folder = tmp_path_factory.mktemp("data") / "actions"
    for name, step in (("Left", -3), ("Right", 3)):
        for group in (1, 2):
            path = folder / name / f"v_{name}_g{group:02d}_c01.avi"
            noise = np.random.default_rng(group).integers(0, 255, (32, 96, 3), np.uint8)
            lefts = [24 + step * index for index in range(4 + group)]
            frames = [np.ascontiguousarray(noise[:, left : left + 48]) for left in lefts]
            films.write_video(path, frames, films.MOTION_JPEG, 25)
    return folder


def test_from_a_folder_to_verified_records(run_program, actions, tmp_path):
    output = tmp_path / "records"
    command = [f"--source=folder:{actions}", f"--output={output}", "--image_size=16"]
    done = run_program("prepare", *command, "--workers=1")
    assert done.returncode == 0, done.stderr
    assert "actions: 4 videos of 2 classes" in done.stdout
    assert "Left        2        11         5        6" in done.stdout  # the table before work
    assert "pairs/s" in done.stdout
    assert "group            2       2     0.0 %" in done.stdout  # the leak of each protocol
    assert "4 videos, 22 frames, 0 failed (4 converted now)" in done.stdout
    assert records.load_record_set(output).counts["videos"] == 4

    again = run_program("prepare", *command)
    assert again.returncode == 0
    assert "(finished before)" in again.stdout

    some = run_program("prepare", *command[:1], f"--output={tmp_path / 'some'}", "--classes=rihgt")
    assert some.returncode == 1 and some.stderr.count("\n") == 1
    assert "--classes names 'rihgt'" in some.stderr and "did you mean Right?" in some.stderr
    command[1:2] = [f"--output={tmp_path / 'some'}", "--classes=right"]
    some = run_program("prepare", *command)
    assert some.returncode == 0, some.stderr
    assert "actions: 4 videos of 2 classes\ntaken of it: 2 videos of 1 class\n" in some.stdout
    assert records.load_record_set(tmp_path / "some").classes == ("Right",)
    command[1:3] = [f"--output={output}"]

    other = run_program("prepare", *command, "--image_format=png")
    assert other.returncode == 1 and other.stderr.count("\n") == 1
    assert "prepared with image_format=jpeg, now image_format=png is asked" in other.stderr

    record_set = records.load_record_set(output)
    verified = run_program("prepare", f"--verify={output}", "--workers=1")
    assert "4 videos read back, all whole" in verified.stdout
    assert f"SHA-256 {record_set.sha256}" in verified.stdout and record_set.sha256 in done.stdout
    shard = record_set.shard_paths[0]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    verified = run_program("prepare", f"--verify={output}", "--workers=1")
    assert verified.returncode == 1
    assert f"delete {shard.name} in {output} and run the same" in verified.stderr

    path = output / "metadata.json"
    path.write_text(path.read_text().replace('"num_frames": 5', '"num_frames": NaN'))
    verified = run_program("prepare", f"--verify={output}")
    assert verified.returncode == 1 and verified.stderr.count("\n") == 1
    assert verified.stderr.startswith(f"error: {path} cannot be used: entry ")


@pytest.mark.slow  # it compiles the solver
def test_flow_with_keras_is_solved_by_a_process_of_its_own(run_program, actions, tmp_path):
    command = [f"--source=folder:{actions}", "--image_size=16", "--workers=2"]
    keras = ["--flow_method=keras", "--flow_batch=5", f"--output={tmp_path / 'keras'}"]
    done = run_program("prepare", *command, *keras)
    assert done.returncode == 0, done.stderr
    assert "the hours show once the device is at work" in done.stdout
    assert "flow on cpu: 18 pairs in" in done.stdout and "batches of 5" in done.stdout
    assert "busy" in done.stdout and "Traceback" not in done.stderr
    record_set = records.load_record_set(tmp_path / "keras")
    assert record_set.flow["method"] == "keras"
    assert run_program("prepare", *command, f"--output={tmp_path / 'opencv'}").returncode == 0
    for ours, opencvs in zip(
        record_set.videos, records.load_record_set(tmp_path / "opencv").videos, strict=True
    ):
        assert ours.mean_motion == pytest.approx(opencvs.mean_motion, rel=0.05)


def test_failures_make_the_exit_status_unless_they_are_allowed(run_program, actions, tmp_path):
    videos = shutil.copytree(actions, tmp_path / "some")
    (videos / "Right" / "v_Right_g02_c01.avi").unlink()
    (videos / "Left" / "cut.mp4").write_bytes(b"\0\0\0\x1cftypisom" + bytes(500))
    output = tmp_path / "records"
    command = [f"--source=folder:{videos}", f"--output={output}", "--image_size=16", "--workers=1"]
    done = run_program("prepare", *command)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 4 videos could not be used, 0")
    assert "Traceback" not in done.stderr
    assert records.load_record_set(output).counts["failed"] == 1
    assert run_program("prepare", *command, "--allow_failures=1").returncode == 0


def test_an_update_that_drops_records_is_asked_for(run_program, actions, tmp_path):
    videos = shutil.copytree(actions, tmp_path / "own")
    command = [f"--source=folder:{videos}", f"--output={tmp_path / 'records'}", "--image_size=16"]
    assert run_program("prepare", *command).returncode == 0
    gone = sorted(videos.rglob("*.avi"))[1]
    gone.unlink()
    refused = run_program("prepare", *command)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert f"1 gone, 3 as they were; the records of {gone.stem} would be" in refused.stderr
    assert "add --update to the experiments.prepare" in refused.stderr
    done = run_program("prepare", *command, "--update")
    assert done.returncode == 0, done.stderr
    assert "\n1 gone, 3 as they were\n" in done.stdout and "(0 converted now)" in done.stdout


def test_what_is_doubtful_or_left_out_is_told_and_no_failure(run_program, actions, tmp_path):
    folder = shutil.copytree(actions, tmp_path / "some") / "Left"
    black = np.zeros((3, 32, 48, 3), np.uint8)
    films.write_video(folder / "black.avi", black, films.MOTION_JPEG, 25)
    (folder / "one.srt").write_text("subtitles")
    output = tmp_path / "records"
    done = run_program(
        "prepare", f"--source=folder:{tmp_path / 'some'}", f"--output={output}", "--image_size=16"
    )
    assert done.returncode == 0, done.stderr
    assert "5 videos, 25 frames, 0 failed (5 converted now)" in done.stdout
    assert "\n1 note: such videos are in the records" in done.stdout
    assert "some: 5 videos of 2 classes\nleft out: 1 .srt (Left/one.srt)\n" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("apache_beam"), reason="Apache Beam is installed")
def test_beam_that_is_not_installed_is_asked_for(run_program, actions, tmp_path):
    done = run_program(
        "prepare", f"--source=folder:{actions}", f"--output={tmp_path / 'records'}", "--runner=beam"
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--runner=beam needs Apache Beam" in done.stderr and "stfnet[beam]" in done.stderr


def test_what_a_user_should_know_of_a_folder_is_a_line_each(run_program, actions, tmp_path):
    videos = tmp_path / "own"
    for side in ("train", "test"):
        for name in ("Left", "Right"):
            number = "12"[side == "test"]
            content = (actions / name / f"v_{name}_g0{number}_c01.avi").read_bytes()
            path = videos / side / name / "1.avi"
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    (videos / "train" / "Right" / "2.avi").write_bytes((videos / "test/Left/1.avi").read_bytes())
    (videos / "train" / "Wave").mkdir()
    (videos / "train" / "Wave" / "1.mp4").write_bytes(b"")
    (videos / "train" / "Jump").mkdir()
    output = tmp_path / "records"
    command = [f"--source=folder:{videos}", f"--output={output}", "--image_size=16", "--workers=1"]
    done = run_program("prepare", *command, "--allow_failures=1")
    assert done.returncode == 0, done.stderr
    for line in (
        "own: 6 videos of 3 classes",
        "no class: 1 empty folders (train/Jump)",
        "folders name the official split: 4 train, 0 val, 2 test videos",
        "official         4       2 unknown: every video is its own group",
        "1 of 3 classes has no video in the records and will be no class of a network: Wave",
        "1 copy in another class, group or part: test/Left/1.avi of class Left is the same file"
        " as 2 of class Right",
    ):
        assert line in done.stdout.splitlines()
    assert records.load_record_set(output).classes == ("Left", "Right")
    assert run_program("prepare", f"--verify={output}").returncode == 0


@pytest.fixture
def two_stream(tmp_path):
    """UCF101's names in the folders of twostreamfusion: 4 frames and 3 fields of 32 x 24 a clip."""
    root = tmp_path / "ucf101"
    noise = np.random.default_rng(0).integers(0, 255, (24, 48, 3), np.uint8)
    for clip in ("v_Jump_g01_c01", "v_Wave_g02_c01"):
        for kind, count in (("jpegs_256", 4), ("tvl1_flow/u", 3), ("tvl1_flow/v", 3)):
            folder = root / kind / clip
            folder.mkdir(parents=True)
            for k in range(count):
                picture = noise[:, 8 + k : 40 + k] if kind == "jpegs_256" else noise[:, :32, 0] // 8
                cv2.imwrite(str(folder / f"frame{k + 1:06d}.jpg"), np.ascontiguousarray(picture))
    return root


def test_ready_made_flow_is_read_where_it_is_asked_for(run_program, two_stream, tmp_path):
    command = [f"--source=folder:{two_stream}", "--image_size=16", "--workers=1"]
    given = [*command, "--flow=given", "--flow_bound=15", f"--output={tmp_path / 'given'}"]
    done = run_program("prepare", *given)
    assert done.returncode == 0, done.stderr
    assert "flow given for 2 of 2 videos: 0..255 is read as -15..15 pixels" in done.stdout
    record_set = records.load_record_set(tmp_path / "given")
    assert record_set.flow["method"] == "given" and record_set.encoding["flow_bound"] == 15
    assert {video.group for video in record_set.videos} == {"Jump/g01", "Wave/g02"}
    assert all(video.mean_motion > 5 for video in record_set.videos)  # 15 to 31 of 255
