"""The benchmark of the network at 32 pixels: real rows, and the peer is the same network."""

import importlib.util
import json
import subprocess
import sys

import pytest


def _run(request, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", *arguments],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_row_has_speed_peak_and_memory(request, tmp_path):
    output = tmp_path / "network.json"
    ended = _run(
        request,
        *("network", "--image_size=32", "--backends=tensorflow", "--precisions=float32"),
        *("--xla=off", "--nopeer", "--repeats=1", "--peak_size=512", "--notraining"),
        f"--output={output}",
    )
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(output.read_text())
    assert row["peak_gflops"] > 1 and row["peak_memory_gb"] > 0.5
    found = row["forward"]
    assert found["clips_per_second"] == pytest.approx(1 / found["seconds"], rel=0.02)
    assert found["gflops"] > 0 and "training" not in row
    assert found["share_of_peak"] == pytest.approx(found["gflops"] / row["peak_gflops"], rel=0.02)


def test_an_unknown_backend_is_refused(request):
    ended = _run(request, "network", "--backends=mxnet")
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: --backends=mxnet is not one of tensorflow, jax, torch"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_peer_has_the_same_parameters():
    from experiments.benchmarks.peer_torch import PeerSTFNet
    from stfnet import ModelConfig

    peer = PeerSTFNet(ModelConfig(num_classes=11))
    assert sum(p.numel() for p in peer.parameters()) == 188_757_343


def test_the_input_pipeline_is_measured_against_decoding(request, tiny_records, tmp_path):
    output = tmp_path / "input.json"
    ended = _run(
        request,
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
    assert all(found["bytes_a_field"] > 0 for found in figures["layout"].values())
    assert figures["step"]["records_seconds"] > 0
