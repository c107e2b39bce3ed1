import json
import shutil

import cv2
import numpy as np
import pytest
from helpers import read_csv

from stfnet.config import ClipConfig
from stfnet.inference import prediction


@pytest.mark.slow
def test_an_exported_run_names_the_action_of_a_video(
    run_program, make_run, moving_square, tmp_path
):
    # Of 16 pixels, so that the flow solver has one scale to be traced and not four.
    run = make_run(clip=ClipConfig(num_frames=3, flow_length=4, image_size=16))
    exported, output = tmp_path / "export", tmp_path / "output"
    done = run_program("export", f"--workdir={run}", f"--output={exported}")
    assert done.returncode == 0, done.stderr
    done = run_program(
        "predict",
        f"--model={exported}",
        f"--video={moving_square}",
        f"--output={output}",
        "--top=2",
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {"prediction.json", "annotated.mp4"}
    result = json.loads((output / "prediction.json").read_text())
    model, config = prediction.load_run(run)
    probabilities, _ = prediction.predict_video(model, config, moving_square)
    order = np.argsort(-probabilities)[:2]
    assert [row["class"] for row in result["top"]] == [config.classes[k] for k in order]
    found = [row["probability"] for row in result["top"]]
    np.testing.assert_allclose(found, probabilities[order], atol=1e-5)
    assert done.stdout.startswith(config.classes[order[0]])
    assert result["frame_numbers"] == [0, 3, 6]
    assert cv2.VideoCapture(str(output / "annotated.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 11


@pytest.mark.slow
def test_a_head_names_the_action_of_a_video(
    run_program, frozen_run, squares_head, notop, moving_square, tmp_path
):
    flags = f"--model={squares_head}:{notop}", f"--video={moving_square}"
    done = run_program("predict", *flags, f"--output={tmp_path / 'output'}")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "output" / "prediction.json").read_text())
    model, config = prediction.load_run(frozen_run)
    probabilities, _ = prediction.predict_video(model, config, moving_square)
    want = prediction.rank(probabilities, config.classes, 3)
    assert [row["class"] for row in result["top"]] == [name for name, _ in want]
    found = [row["probability"] for row in result["top"]]
    np.testing.assert_allclose(found, [probability for _, probability in want], atol=1e-3)


def test_a_timeline_is_three_files_and_the_rows_cover_the_video(
    run_program, tiny_run, moving_square, tmp_path
):
    output = tmp_path / "output"
    flags = (f"--model={tiny_run}", f"--video={moving_square}", "--timeline", "--interval=2")
    done = run_program("predict", *flags, f"--output={output}")
    assert done.returncode == 0, done.stderr
    names = {"timeline.csv", "timeline.srt", "timeline.png"}
    assert {path.name for path in output.iterdir()} == names
    assert done.stdout.startswith("windows of 3 frames, one of every 2: 0.30 s;")
    assert all(str(output / name) in done.stdout.splitlines()[-1] for name in names)
    rows = read_csv(output / "timeline.csv")
    assert rows[0]["start"] == "0.000" and rows[-1]["end"] == "0.550"  # 11 frames at 20 a second
    orange = (cv2.imread(str(output / "timeline.png")) == (14, 127, 255)).all(2)
    assert orange.any()  # around the class that is named


def test_a_folder_of_videos_is_one_table_and_the_status_says_what_is_missing(
    run_program, tiny_run, moving_square, tmp_path
):
    videos, output = tmp_path / "videos", tmp_path / "output"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(moving_square, videos / name)
    flags = (f"--model={tiny_run}", f"--output={output}")
    done = run_program("predict", *flags, f"--video={videos / 'a.mp4'}", f"--video={videos}")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {"predictions.csv"}
    assert [row["file"] for row in read_csv(output / "predictions.csv")] == sorted(
        map(str, videos.iterdir())
    )
    assert done.stdout.splitlines()[-1].endswith("predictions.csv (2 of 2 videos)")

    (videos / "c.mp4").write_text("I am a text.")
    done = run_program("predict", *flags, f"--video={videos}/*.mp4")
    assert done.returncode == 1
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert "c.mp4 is no video" in error
    assert done.stdout.splitlines()[-1].endswith("predictions.csv (2 of 3 videos)")


def test_a_mistake_is_one_line_and_leaves_nothing(run_program, tiny_run, tmp_path):
    video, output = tmp_path / "text.mp4", tmp_path / "output"
    video.write_text("I am a text.")
    done = run_program("predict", f"--model={tiny_run}", f"--live={video}", f"--output={output}")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "text.mp4 is no video, whatever its extension" in errors[0]
    assert "Traceback" not in done.stderr
    assert not output.exists()


def test_the_video_that_is_read_is_not_replaced(check_mistakes, tiny_run, moving_square, tmp_path):
    video = shutil.copy(moving_square, tmp_path / "annotated.mp4")
    (tmp_path / "link.mp4").symlink_to(video)
    flags = [f"--model={tiny_run}", f"--output={tmp_path}"]
    cases = [(*flags, f"--video={path}") for path in (video, tmp_path / "link.mp4")]
    check_mistakes("predict", [(case, "would replace --video=") for case in cases])
    assert video.read_bytes() == moving_square.read_bytes()
