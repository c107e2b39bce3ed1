import json
import shutil

import cv2


def test_a_class_of_a_video_is_explained(run_program, tiny_run, moving_square, tmp_path):
    output = tmp_path / "output"
    done = run_program(
        "explain",
        f"--model={tiny_run}",
        f"--video={moving_square}",
        f"--output={output}",
        "--class_name=Jump",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Jump")
    names = {"explanation.png", "explanation.mp4", "feature_maps.png"}
    names |= {"frame_importance.csv", "explanation.json"}
    assert {path.name for path in output.iterdir()} == names
    assert all(str(output / name) in done.stdout for name in names)
    summary = json.loads((output / "explanation.json").read_text())
    assert summary["class"] == "Jump" and summary["dataset"] == "tiny"
    assert [row["frame_number"] for row in summary["frames"]] == [0, 3, 6]
    film = cv2.VideoCapture(str(output / "explanation.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 11


def test_a_mistake_is_one_line_and_leaves_nothing(
    check_mistakes, tiny_run, moving_square, tmp_path
):
    output, missing = tmp_path / "output", tmp_path / "missing.mp4"
    mistakes = [
        ((f"--model={tiny_run}", f"--video={missing}"), "missing.mp4"),
        ((f"--model={tmp_path}", f"--video={moving_square}"), "is missing: is "),
    ]
    check_mistakes("explain", [((*case, f"--output={output}"), text) for case, text in mistakes])
    assert not output.exists()


def test_the_video_that_is_read_is_not_replaced(check_mistakes, tiny_run, moving_square, tmp_path):
    video = shutil.copy(moving_square, tmp_path / "explanation.mp4")
    flags = (f"--model={tiny_run}", f"--video={video}", f"--output={tmp_path}/../{tmp_path.name}")
    check_mistakes("explain", [(flags, "would replace --video=")])
    assert video.read_bytes() == moving_square.read_bytes() and list(tmp_path.iterdir()) == [video]


def test_what_of_a_video_was_repaired_is_said(run_in_turn, tiny_run, interlaced_video, tmp_path):
    expected = f"note: {interlaced_video} is interlaced: its frames were deinterlaced"
    model, output = f"--model={tiny_run}", f"--output={tmp_path}"
    commands = [
        ("explain", model, f"--video={interlaced_video}", output),
        ("predict", model, f"--video={interlaced_video}", output),
        ("predict", model, f"--live={interlaced_video}"),
    ]
    for status, printed, errors in run_in_turn(commands):
        assert status == 0, errors
        assert expected in printed.splitlines()
