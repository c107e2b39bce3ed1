import json
import shutil

import av
import cv2
import numpy as np


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


def test_what_of_a_video_was_repaired_is_said(run_program, tiny_run, tmp_path):
    path = tmp_path / "camcorder.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(6):
            image = np.full((48, 64, 3), 40 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    for program in ("explain", "predict"):
        flags = (f"--model={tiny_run}", f"--video={path}", f"--output={tmp_path / program}")
        done = run_program(program, *flags)
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()[0]
        assert said == f"note: {path} is interlaced: its frames were deinterlaced"
