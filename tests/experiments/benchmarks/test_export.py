import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from experiments.benchmarks import export


def test_agreement_of_a_hand_worked_case():
    ours = {"a": np.array([0.7, 0.3]), "b": np.array([0.49, 0.51]), "c": np.array([1.0, 0.0])}
    theirs = {"a": np.array([0.69, 0.31]), "b": np.array([0.54, 0.46]), "d": np.array([1.0, 0.0])}
    found = export.agreement(ours, theirs)
    assert (found["videos"], found["same_top1"], found["within_0.02"]) == (2, 1, 1)
    assert found["largest"] == pytest.approx(0.05)
    assert found["median"] == pytest.approx(0.03)


@pytest.mark.slow
def test_an_export_says_what_the_network_says_of_records(make_run, moving_square, tmp_path):
    from stfnet import ClipConfig

    for name in ("Bow", "Jump"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        shutil.copy(moving_square, tmp_path / "videos" / name / f"{name}.mp4")
    # Of 16 pixels, so that the flow solver has one scale to be compiled and not four.
    run = make_run(clip=ClipConfig(num_frames=3, flow_length=4, image_size=16))
    output = tmp_path / "export.json"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.benchmark", "export", f"--workdir={run}"),
            *(f"--source=folder:{tmp_path / 'videos'}", f"--output={output}"),
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(output.read_text())
    assert all(figures[kind]["videos"] == 2 for kind in export.RECORDS)
    assert figures["Keras' flow"]["same_top1"] == 2
    assert figures["Keras' flow"]["largest"] <= 1e-5
    # Of a network that has learned nothing, so two classes may change places.
    assert figures["OpenCV's flow"]["largest"] < 0.1
