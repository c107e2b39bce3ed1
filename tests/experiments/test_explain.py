import json
import subprocess
import sys

import cv2


def _explain(**arguments):
    command = [sys.executable, "-m", "experiments.explain"]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_class_of_a_video_is_explained(tiny_run, moving_square, tmp_path):
    output = tmp_path / "output"
    done = _explain(model=tiny_run, video=moving_square, output=output, class_name="Jump")
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


def test_a_mistake_is_one_line_and_leaves_nothing(tiny_run, moving_square, tmp_path):
    output, missing = tmp_path / "output", tmp_path / "missing.mp4"
    cases = (
        ({"model": tiny_run, "video": missing}, "missing.mp4"),
        ({"model": tmp_path, "video": moving_square}, "is missing: is "),
    )
    for arguments, message in cases:
        done = _explain(**arguments, output=output)
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert len(errors) == 1 and message in errors[0]
        assert "Traceback" not in done.stderr
    assert not output.exists()
