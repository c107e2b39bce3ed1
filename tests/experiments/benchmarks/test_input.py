import json

import pytest


@pytest.mark.slow
def test_the_input_pipeline_is_measured_against_decoding(run_benchmark, tiny_records, tmp_path):
    output = tmp_path / "input.json"
    ended = run_benchmark(
        *("input", f"--records={tiny_records.folder}", "--clips=8", "--rounds=1"),
        *("--width_divisor=32", "--steps=1", f"--output={output}"),
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(output.read_text())
    pipeline = figures["pipeline"]
    bound = pipeline["decode_jpeg alone"]["clips_per_second"]
    assert pipeline["pipeline"]["share"] == pytest.approx(
        pipeline["pipeline"]["clips_per_second"] / bound, rel=0.02
    )
    for kind, row in figures["augmentation"].items():
        assert row["clips_per_second_a_core"] == pytest.approx(1e3 / row["input_ms"], rel=0.05)
        assert any(line.startswith(f"augmentation {kind} ") for line in ended.stdout.splitlines())
    assert set(figures["threads"]) == {"speed", "processor"}
    assert all(row["bytes_a_field"] > 0 for row in figures["layout"].values())
    step = figures["step"]
    assert step["ratio"] == pytest.approx(
        step["records_seconds"] / step["constant_seconds"], rel=0.05
    )
    for name in (*pipeline.keys() - {"megabytes_a_clip"}, *figures["layout"]):
        assert any(line.startswith(name) for line in ended.stdout.splitlines())


@pytest.mark.slow
def test_without_records_rendered_actions_are_measured(run_benchmark):
    ended = run_benchmark(
        *("input", "--num_frames=2", "--image_size=16", "--clips=8", "--rounds=1"),
        "--width_divisor=0",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 frames, 16 x 16, a clip of")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--width_divisor=3"], "error: --width_divisor=3 does not divide 64"),
        (["--width_divisor=0", "--steps=2"], "error: --steps has no effect with --width_divisor=0"),
        (["--records=x", "--image_size=32"], "error: --image_size has no effect with --records"),
        (["--clips=9"], "error: --clips=9 is not a multiple of 8"),
        (["--records=/nowhere"], "error: records folder /nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_line(run_benchmark, flags, line):
    ended = run_benchmark("input", *flags)
    assert ended.returncode == 1 and ended.stderr.startswith(line)
