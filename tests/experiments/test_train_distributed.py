"""One device, two mirrored ones and two workers train the same network; a lost one is noticed."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from helpers import read_csv, wait_until

from preprocessing import records
from stfnet import run

CONFIG = "experiments/configs/synthetic.py"
WORKERS = "experiments/launch/workers.sh"
# 15 training videos, batches of 2: 7 steps an epoch, 21 in all.
SETTINGS = (
    "--config.model.clip.num_frames=3",
    "--config.model.clip.image_size=32",
    "--config.model.width_divisor=32",
    "--config.model.rgb_input=unit",  # small numbers, whose rounding differences stay small
    "--config.model.flow_input=pixels",
    "--config.model.fc6_units=8",
    "--config.model.lstm_units=8",
    "--config.model.fc6_dropout=0.0",
    "--config.model.lstm_dropout=0.0",
    "--config.training.batch_size=2",
    # What users run: Adam (the default), clipped gradients, averaged weights.
    "--config.training.ema=0.9",
    "--config.model.streams=flow",  # half a network is traced in half the time
    # Larger steps would enlarge the rounding differences between one sum and a sum of two.
    "--config.training.learning_rates=(1e-4,3e-5)",
)
# Adam and clipping would hide a gradient of the wrong scale.
PLAIN = (
    "--config.model.streams=both",
    "--config.training.optimizer=sgd",
    "--config.training.clip_norm=0.0",
    "--config.training.ema=0.0",
)
TWO_DEVICES = ("--strategy=mirrored", "--logical_cpus=2")
pytestmark = pytest.mark.slow  # whole programs, started a dozen times


@pytest.fixture
def start(request, warm, tiny_records):
    """Function that starts experiments.train in a folder; what is still running is killed.

    By a launcher it is started as `python` starts it, else by a fork.
    """
    started = []

    def start_one(workdir, *arguments, epochs="(2,1)", launcher=(), **environment):
        settings = (*SETTINGS, f"--config.training.max_epochs={epochs}", *arguments)
        if launcher:
            process = subprocess.Popen(
                [*launcher, *settings],
                cwd=request.config.rootpath,
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        else:
            places = (f"--config={CONFIG}", f"--workdir={workdir}")
            places = (*places, f"--records={tiny_records.folder}")
            process = warm.start("-m", "experiments.train", *places, *settings, **environment)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()


def _end(process, timeout=240):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def _steps(workdir):
    rows = read_csv(workdir / "steps.csv")
    return np.array([[int(row["step"]), float(row["loss"])] for row in rows])


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for_step(workdir, step, process):
    def taken():
        assert process.poll() is None, process.communicate()
        return (workdir / "steps.csv").exists() and len(_steps(workdir)) > step

    wait_until(taken, 600)


@pytest.fixture(scope="module")
def kept():
    """The folder of the run on one device, made by the first test that needs it."""
    return []


@pytest.fixture
def alone(kept, start, tmp_path):
    """Folder of the run on one device."""
    if not kept:
        folder = tmp_path / "alone"
        status, _, errors = _end(start(folder, "--strategy=one"))
        assert status == 0, errors
        assert _steps(folder)[:, 0].tolist() == list(range(21))
        kept.append(folder)
    return kept[0]


def test_a_run_killed_twice_equals_one_that_was_not(start, alone, tmp_path):
    workdir = tmp_path / "killed"
    often = "--config.training.checkpoint_minutes=0.0"
    for step in (1, 10):
        process = start(workdir, "--strategy=one", often)
        _wait_for_step(workdir, step, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    status, _, errors = _end(start(workdir, "--strategy=one", often))
    assert status == 0, errors
    np.testing.assert_array_equal(_steps(workdir), _steps(alone))


def _assert_follows(found, expected):
    """Equal but for rounding, which Adam enlarges from step to step, on some processors faster."""
    np.testing.assert_allclose(found[:10], expected[:10], atol=1e-4)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("changes", [(), PLAIN, ("--config.training.precision=mixed_bfloat16",)])
def test_two_mirrored_devices_follow_one(request, start, tmp_path, changes):
    two = start(tmp_path / "two", *TWO_DEVICES, "--cache=memory", *changes)
    if changes:
        status, _, errors = _end(start(tmp_path / "one", "--strategy=one", *changes))
        assert status == 0, errors
        expected = _steps(tmp_path / "one")
    else:
        expected = _steps(request.getfixturevalue("alone"))
    status, out, errors = _end(two)
    assert status == 0, errors
    assert "2 device(s)" in out
    found = _steps(tmp_path / "two")
    if "--config.training.precision=mixed_bfloat16" in changes:
        # Rounding to 8 bits of mantissa.
        np.testing.assert_allclose(found[:4], expected[:4], atol=3e-2)
    else:
        assert len(expected) == 21
        _assert_follows(found, expected)
    assert np.ptp(expected[:, 1]) > 0.1  # it does train


def test_a_run_goes_on_with_more_and_with_fewer_devices(start, alone, tmp_path, tiny_records):
    workdir = tmp_path / "elastic"
    process = None
    for arguments, step in ((("--strategy=one",), 3), (TWO_DEVICES, 8)):
        process = start(workdir, *arguments)
        _wait_for_step(workdir, step, process)
        process.send_signal(signal.SIGTERM)
        status, _, errors = _end(process)
        assert status == 143, errors
    both = _start_workers(start, workdir, tiny_records)
    _wait_for_step(workdir, 14, both[0])
    both[0].send_signal(signal.SIGTERM)
    ends = [_end(process) for process in both]
    assert [status for status, *_ in ends] == [143, 143], ends
    status, _, errors = _end(start(workdir, "--strategy=one"))
    assert status == 0, errors
    _assert_follows(_steps(workdir), _steps(alone))


def test_a_second_training_of_a_folder_ends_in_one_line_and_harms_nothing(start, tmp_path):
    workdir = tmp_path / "run"
    endless = ("--strategy=one", "--config.training.patience=100000")
    first = start(workdir, *endless, epochs="(100000,1)")
    _wait_for_step(workdir, 1, first)
    first.send_signal(signal.SIGSTOP)  # it would only take time from the second
    status, _, errors = _end(start(workdir, *endless, epochs="(100000,1)"))
    first.send_signal(signal.SIGCONT)
    assert status == 1
    assert f"another training is writing {workdir} (process {first.pid} on" in errors
    first.send_signal(signal.SIGTERM)
    assert _end(first)[0] == 143
    steps = _steps(workdir)[:, 0]
    assert steps.tolist() == list(range(len(steps)))


def test_workers_that_do_not_share_the_folder_end_in_one_line(start, tmp_path, tiny_records):
    ports = _free_ports(2)
    workers = [
        _start_worker(start, tmp_path / str(number), tiny_records, ports, number)
        for number in range(2)
    ]
    for process in workers:
        status, _, errors = _end(process)
        assert status == 1
        assert "the workers do not share" in errors.splitlines()[-1], errors


def test_workers_with_an_old_copy_of_the_folder_or_other_records_end_in_one_line(
    start, alone, tmp_path, tiny_records
):
    workdir, old = tmp_path / "run", tmp_path / "copy"
    for folder in (workdir, old):
        shutil.copytree(alone, folder)
    max((old / "checkpoints").iterdir()).unlink()
    other = dataclasses.replace(tiny_records, folder=tmp_path / "records")
    shutil.copytree(tiny_records.folder, other.folder)
    tested = min(run.read_videos(workdir).test)  # one of training would be refused before
    videos = [
        dataclasses.replace(video, source_sha256="0" * 64) if video.id == tested else video
        for video in other.videos
    ]
    records.write_record_set(dataclasses.replace(other, videos=tuple(videos)))
    for folder, record_set, message in (
        (old, tiny_records, f"the workers do not share {old}"),
        (workdir, other, f"the workers do not have the same records as {other.folder}"),
    ):
        ports = _free_ports(2)
        processes = (
            _start_worker(start, workdir, tiny_records, ports, 0),
            _start_worker(start, folder, record_set, ports, 1),
        )
        ends = [_end(process) for process in processes]
        assert [status for status, *_ in ends] == [1, 1], ends
        assert message in ends[1][2].splitlines()[-1], ends


def test_a_worker_that_cannot_begin_ends_the_others_in_one_line(start, tmp_path, tiny_records):
    ports = _free_ports(2)
    nowhere = dataclasses.replace(tiny_records, folder=tmp_path / "nowhere")
    processes = [
        _start_worker(start, tmp_path / "run", record_set, ports, number)
        for number, record_set in enumerate((tiny_records, nowhere))
    ]
    ends = [_end(process) for process in processes]
    assert [status for status, *_ in ends] == [1, 1], ends
    assert "nowhere does not exist" in ends[1][2].splitlines()[-1]
    assert "Traceback" not in ends[0][2] and "a worker was lost" in ends[0][2], ends[0][2]


def _start_worker(start, workdir, record_set, ports, number, *arguments):
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    places = (hosts, CONFIG, str(record_set.folder), str(workdir))
    launcher = (WORKERS, str(number), *places)
    return start(workdir, *arguments, launcher=launcher, PYTHON=sys.executable)


def _start_workers(start, workdir, record_set):
    ports = _free_ports(2)
    return [_start_worker(start, workdir, record_set, ports, number) for number in range(2)]


def test_two_workers_that_are_killed_stopped_and_restarted_follow_one_device(
    start, alone, tmp_path, tiny_records
):
    workdir = tmp_path / "workers"

    chief, other = _start_workers(start, workdir, tiny_records)
    _wait_for_step(workdir, 5, chief)
    other.send_signal(signal.SIGKILL)
    status, _, errors = _end(chief, timeout=60)
    assert status == 1, errors
    assert "a worker was lost" in errors and "start all workers again" in errors

    both = _start_workers(start, workdir, tiny_records)
    _wait_for_step(workdir, 11, both[0])
    both[1].send_signal(signal.SIGTERM)
    ends = [_end(process) for process in both]
    assert [status for status, *_ in ends] == [143, 143], ends
    last_lines = [errors.splitlines()[-1] for *_, errors in ends]
    assert last_lines[0] == last_lines[1] and last_lines[0].startswith("saved at step ")

    (port,) = _free_ports(1)
    step_of_slurm = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "STFNET_PORT": str(port),
    }
    tasks = [start(workdir, **step_of_slurm, SLURM_PROCID=str(number)) for number in range(2)]
    ends = [_end(process) for process in tasks]
    assert [status for status, *_ in ends] == [0, 0], ends
    assert "2 device(s)" in ends[0][1] and "device(s)" not in ends[1][1]
    _assert_follows(_steps(workdir), _steps(alone))
