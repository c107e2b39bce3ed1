import os
import shlex
import shutil
import subprocess
import sys

import pytest

from stfnet.config import ClipConfig


def test_an_export_prints_its_size_and_classes(run_program, make_run, tmp_path):
    # Of frames alone, so that there is no flow solver to be traced.
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32, fps=10.0)
    workdir = make_run(streams="rgb", clip=clip)
    done = run_program("export", f"--workdir={workdir}", f"--output={tmp_path / 'export'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "export" / "classes.txt").read_text().split() == ["Bow", "Jump", "Wave"]
    said, written = done.stdout.splitlines()
    assert said.endswith("give those that the network was trained on (fps=10, repeats=keep)")
    assert written.startswith(f"written: {tmp_path / 'export'} (") and "3 classes" in written


@pytest.mark.slow
def test_another_runtime_is_compared_on_clips_of_the_records(
    run_program, make_run, tiny_records, tmp_path
):
    pytest.importorskip("tf2onnx", reason="the extra [onnx] is not installed")
    output = tmp_path / "export"
    done = run_program(
        "export",
        f"--workdir={make_run(streams='rgb', record_set=tiny_records)}",
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


@pytest.mark.slow
def test_a_head_is_small_and_of_an_evaluated_run_on_frozen_streams(
    run_often, frozen_run, make_run, tmp_path
):
    never = tmp_path / "never"  # evaluated
    shutil.copytree(frozen_run, never)
    (never / "results.json").unlink()
    folders = frozen_run, make_run(), never
    flags = [(f"--workdir={one}", f"--output={tmp_path / 'head'}") for one in folders]
    done, *refused = run_often("export", [(*one, "--format=head") for one in flags])
    size = sum(path.stat().st_size for path in (tmp_path / "head").iterdir()) / 1e6
    assert 0.1 < size < 4
    assert done == [0, f"written: {tmp_path / 'head'} ({size:.1f} MB, 3 classes)\n", ""]
    messages = "training.weights is empty, not imagenet", "results.json is missing: run experiments"
    for (status, printed, errors), message in zip(refused, messages, strict=True):
        assert (status, printed, errors.count("\n")) == (1, "", 1) and message in errors, errors


def test_a_mistake_is_one_line(check_mistakes):
    check_mistakes(
        "export",
        [
            (["--output=new"], "error: --workdir is missing"),
            (["--workdir=/nowhere", f"--output={__file__}"], f"error: --output={__file__}: "),
            (["--workdir=w", "--output=new", "--format=torch"], "error: flag --format=torch: "),
        ],
    )


@pytest.fixture
def export_beside_small_disk(request, tmp_path):
    """Function of a disk's size, the variable or flag that names it, and flags of the export.

    The disk is a file system in memory that this process alone sees.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={{size}} none {shlex.quote(str(disk))}"
    probe = ["unshare", "-rm", "sh", "-c", mount.format(size="1m")]
    try:
        if subprocess.run(probe, capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount a file system of his own")
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")

    def run_export(size, *flags, **environment):
        command = shlex.join([sys.executable, "-m", "experiments.export", *map(str, flags)])
        script = f"{mount.format(size=size)} && exec {command}"
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", script],
            cwd=request.config.rootpath,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return disk, run_export


@pytest.mark.parametrize("size", ["100k", "900k"])  # less than the weights, and than the graph
def test_a_full_disk_is_one_right_line(export_beside_small_disk, make_run, size):
    disk, run_export = export_beside_small_disk
    workdir = make_run(streams="rgb")
    done = run_export(size, f"--workdir={workdir}", f"--output={disk / 'export'}")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ") and str(disk) in line and "make room" in line
    assert ("MB are free" in line) == (size == "100k")


def test_a_full_temporary_folder_is_named_with_litert(export_beside_small_disk, make_run):
    disk, run_export = export_beside_small_disk
    flags = [f"--workdir={make_run(streams='rgb')}", f"--output={disk.parent / 'export'}"]
    done = run_export("100k", *flags, "--format=litert", TMPDIR=str(disk))
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert f"{disk}" in line and "TMPDIR" in line and "saved_model" not in line
