"""Parts of the demonstration; `make demo` runs all of it."""

import multiprocessing

import pytest

from experiments import demo
from preprocessing.errors import UserError


def test_a_step_that_fails_stops_the_demonstration(capfd):
    with pytest.raises(UserError, match=r"experiments\.evaluate ended with status 1"):
        demo.step("evaluate", "--workdir=/nowhere", "--records=/nowhere")
    output, errors = capfd.readouterr()
    assert "$ python -m experiments.evaluate --workdir=/nowhere --records=/nowhere" in output
    assert "error: " in errors


def test_a_run_that_fails_beside_another_names_its_log(tmp_path):
    runs = {name: tmp_path / f"run-{name}" for name in ("rgb", "flow")}
    with (
        pytest.raises(UserError, match=r"see .*run-rgb\.log"),
        demo.trained_beside(runs, "/nowhere"),
    ):
        pass
    assert "records folder /nowhere does not exist" in (tmp_path / "run-rgb.log").read_text()


def test_a_step_that_fails_meanwhile_stops_the_training_of_runs(tmp_path):
    failed = pytest.raises(UserError, match=r"experiments\.compare ended with status 1")
    with failed, demo.trained_beside({"rgb": tmp_path / "run"}, tmp_path):
        demo.step("compare", "--nothing")
    assert not multiprocessing.active_children()


def test_the_video_that_is_predicted_is_one_that_was_evaluated(tmp_path):
    (tmp_path / "predictions.csv").write_text("id,true\nv_Wave_g02_c01,Wave\nv_Bow_g02_c01,Bow\n")
    for name in ("v_Bow_g02_c01", "v_Wave_g02_c01"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        (tmp_path / "videos" / name / f"{name}.mp4").touch()
    video = demo.held_out_video(tmp_path, tmp_path / "videos")
    assert video.name == "v_Wave_g02_c01.mp4"
