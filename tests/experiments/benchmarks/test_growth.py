import json

import cv2
import pytest

from experiments.benchmarks import growth


@pytest.mark.slow
def test_a_row_for_each_number_of_videos_and_of_classes(run_benchmark, tmp_path):
    output, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    ended = run_benchmark(
        *("growth", "--videos=10", "--classes=3", "--class_videos=15"),
        *(f"--output={output}", f"--picture={picture}"),
    )
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [(row["videos"], row["classes"]) for row in rows] == [(10, 2), (15, 3)]
    assert all(row["memory"] > 100 and row["prepare"] > 0 for row in rows)
    assert cv2.imread(str(picture)).std() > 10


def test_what_is_drawn_is_milliseconds_a_video(tmp_path):
    rows = [{name: 0.01 * n for name in growth.PARTS} | {"videos": n} for n in (100, 3, 10)]
    expected = [(10, 10), (100, 10)]  # in order, and not what a clock cannot tell
    assert growth.points(rows, "report") == [pytest.approx(point) for point in expected]
    growth.draw(rows, tmp_path / "flat.png")
    assert cv2.imread(str(tmp_path / "flat.png")).std() > 10


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--videos=x", "error: --videos=x: write whole numbers of at least 2"),
        ("--classes=1", "error: --classes=1: write whole numbers of at least 2"),
    ],
)
def test_a_mistake_is_one_line(run_benchmark, flag, line):
    ended = run_benchmark("growth", flag)
    assert ended.returncode == 1 and ended.stderr.startswith(line)
