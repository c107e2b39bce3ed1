import subprocess
import sys

import pytest

from stfnet import build_stfnet, run
from stfnet.config import ClipConfig, ModelConfig, RunConfig, TrainingConfig


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.export", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_export_prints_its_size_and_classes(make_run, tmp_path):
    # Of frames alone, so that there is no flow solver to be traced.
    done = _run(f"--workdir={make_run(streams='rgb')}", f"--output={tmp_path / 'export'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "export" / "classes.txt").read_text().split() == ["Bow", "Jump", "Wave"]
    assert done.stdout.startswith(f"written: {tmp_path / 'export'} (")
    assert "3 classes" in done.stdout


def test_another_runtime_is_compared_on_clips_of_the_records(tiny_records, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)
    model = ModelConfig(3, clip, streams="rgb", width_divisor=16, fc6_units=8, lstm_units=4)
    config = RunConfig("tiny", tiny_records.classes, model, TrainingConfig(batch_size=4))
    with run.writing(tmp_path / "run", config, run.draw_videos(tiny_records, config)):
        build_stfnet(model).save(tmp_path / "run" / run.BEST_FILE)
    output = tmp_path / "export"
    done = _run(
        f"--workdir={tmp_path / 'run'}",
        f"--output={output}",
        "--format=onnx",
        f"--records={tiny_records.folder}",
        "--clips=2",
    )
    assert done.returncode == 0, done.stderr
    head, keras, onnx, written = done.stdout.splitlines()
    assert head.split() == ["MB", "ms", "a", "clip", "largest", "difference", "same", "label"]
    assert keras.startswith("Keras  ") and onnx.startswith("network.onnx  ")
    assert onnx.endswith(" 2 of 2")
    assert written.startswith(f"written: {output} (")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--output=new"], "error: --workdir is missing"),
        (["--workdir=/nowhere", f"--output={__file__}"], f"error: --output={__file__}: "),
        (["--workdir=w", "--output=new", "--format=torch"], "error: flag --format=torch: "),
    ],
)
def test_a_mistake_is_one_line(arguments, line):
    done = _run(*arguments)
    assert done.returncode == 1 and done.stderr.startswith(line)
