"""The device process with the Keras solver where bits count, with a stand-in where it dies."""

import functools
import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

# Not tvl1_keras: the processes that import this for a stand-in would load TensorFlow.
from preprocessing import flow, worker_pool
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.flow.service import server
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.conversion import Settings
from preprocessing.preparation.local import local_runner

SIZE, BATCH = 16, 4
SETTINGS = Settings(image_size=SIZE, flow_method="keras", image_format="png")


def _film(num_frames, seed):
    """uint8 (N, 16, 16): a random texture that moves right, a pixel a frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE + num_frames), np.uint8)
    return np.stack([texture[:, num_frames - t :][:, :SIZE] for t in range(num_frames)])


def _difference(previous, following):
    """Stands in for a solver: a field that tells the two frames and their order."""
    previous, following = previous.astype("float32"), following.astype("float32")
    return np.stack([(previous - following) / 40, following / 60], axis=-1)


def stand_in(size, batch):
    return _difference, batch or BATCH, "cpu"


def _differences(film):
    return _difference(film[:-1], film[1:])


def _stream(film, address):
    return flow.Solver("keras", address=address).fields(film)


@pytest.fixture(scope="module")
def keras_device():
    """Address of a process with the real solver, shared since it takes seconds to compile."""
    with server.serving(SIZE, BATCH) as address:
        yield address


def test_fields_are_those_of_the_solver_in_this_process_bit_for_bit(keras_device):
    from preprocessing.flow import tvl1_keras

    # Longer than a ring of two batches, shorter than a batch, a single pair, none.
    films = [_film(n, seed) for seed, n in enumerate((23, 3, 2, 1, 9))]
    # All at once, so that their pairs share batches.
    rows = list(itertools.zip_longest(*(_stream(film, keras_device) for film in films)))
    for film, fields in zip(films, zip(*rows, strict=True), strict=True):
        fields = [field for field in fields if field is not None]
        assert len(fields) == len(film) - 1
        if fields:
            np.testing.assert_array_equal(fields, tvl1_keras.tvl1(film, batch=BATCH))
            assert np.abs(fields).max() > 0.1


def test_the_process_reports_what_it_did():
    measured = []
    with server.serving(SIZE, BATCH, measured=measured.append, make_solver=stand_in) as address:
        films = [_film(n, 0) for n in (23, 3, 2, 1)]
        list(itertools.zip_longest(*(_stream(film, address) for film in films)))
        list(_stream(films[0], address))
    (statistics,) = measured
    assert statistics.device == "cpu" and statistics.batch == BATCH
    assert statistics.pairs == 22 + 2 + 1 + 22
    assert statistics.pairs / BATCH <= statistics.batches <= statistics.pairs
    assert 0 < statistics.solving_seconds <= statistics.span_seconds
    assert 0 < statistics.busy <= 1 and 0.25 <= statistics.fill <= 1
    assert f"47 pairs in {statistics.batches} batches of 4" in str(statistics)


@pytest.fixture
def videos(tmp_path, write_video):
    for index, num_frames in enumerate((2, 14, 5, 9)):
        path = tmp_path / "actions" / f"Class{index % 2}" / f"v_Class{index % 2}_g{index:02d}.avi"
        write_video(path, num_frames, fourcc="MJPG", seed=index)
    return tmp_path / "actions"


def _prepare(videos, output, run):
    return prepare.prepare(class_folders.load(videos), output, SETTINGS, run)


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_records_of_several_workers_are_those_of_one_process(videos, tmp_path, keras_device):
    def with_three_workers(preparation, numbers):
        solver = flow.Solver("keras", address=keras_device)
        work = functools.partial(tasks.make_part, solver=solver)
        waiting = [preparation.task(number) for number in numbers]
        for task, result in worker_pool.run(work, waiting, 3, 60):
            yield task.number, result

    def in_this_process(preparation, numbers):
        for number in numbers:
            yield number, tasks.make_part(preparation.task(number), solver=here)

    here = flow.Solver("keras", batch=BATCH)  # compiled already
    _prepare(videos, tmp_path / "several", with_three_workers)
    _prepare(videos, tmp_path / "one", in_this_process)
    assert _files(tmp_path / "several") == _files(tmp_path / "one")


@pytest.fixture
def serve_with(monkeypatch):
    """Replaces the solver of the device processes of preparations."""
    serving = server.serving

    def replace(make_solver, patience=60):
        def replaced(size, batch, time_limit, measured):
            return serving(size, batch, patience, measured, make_solver)

        monkeypatch.setattr(server, "serving", replaced)

    return replace


def _break_once(folder, what):
    """Solves a batch, then does `what`, but only in the first process."""

    def solve(previous, following):
        mark = Path(folder) / "batches"
        mark.write_text(mark.read_text() + "." if mark.exists() else ".")
        if mark.read_text() == "...":
            what()
        return _difference(previous, following)

    return solve


def die(folder, size, batch):
    kill = functools.partial(os.kill, os.getpid(), signal.SIGKILL)
    return _break_once(folder, kill), batch, "gpu"


def run_out_of_memory(folder, size, batch):
    def fail():
        raise ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes\nand more")

    return _break_once(folder, fail), batch, "gpu"


def hang(folder, size, batch):
    return _break_once(folder, functools.partial(time.sleep, 60)), batch, "gpu"


@pytest.mark.parametrize(
    ("break_", "patience", "reason"),
    [
        (die, 60, r"its process died of SIGKILL \(out of memory, if it was not killed by hand\)"),
        (run_out_of_memory, 60, r"ValueError: RESOURCE_EXHAUSTED: .* bytes \(a smaller --flow"),
        (hang, 3, "no answer within 3 s"),
    ],
)
def test_a_lost_device_ends_the_run_and_the_next_resumes(
    videos, tmp_path, serve_with, break_, patience, reason
):
    serve_with(functools.partial(break_, tmp_path), patience)
    run = local_runner(2, 60, flow_batch=BATCH)
    with pytest.raises(UserError, match=f"optical flow with Keras stopped: {reason}") as caught:
        _prepare(videos, tmp_path / "records", run)
    assert str(caught.value).endswith("Run the same command again to continue")
    assert "\n" not in str(caught.value)
    _prepare(videos, tmp_path / "records", run)
    serve_with(stand_in)
    _prepare(videos, tmp_path / "fresh", local_runner(1, 60))
    assert _files(tmp_path / "records") == _files(tmp_path / "fresh")


def not_installed(size, batch):
    raise ModuleNotFoundError("No module named 'keras'")


def test_a_device_that_does_not_start_is_one_line(videos, tmp_path, serve_with):
    serve_with(not_installed)
    with pytest.raises(UserError, match="ModuleNotFoundError: No module named 'keras'"):
        _prepare(videos, tmp_path / "records", local_runner(1, 60))


def _convert(task, report, device):
    seed, num_frames, kill_after = task
    fields = []
    for field in _stream(_film(num_frames, seed), device):
        fields.append(field)
        report(1)
        if len(fields) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
    return np.stack(fields)


def test_a_worker_that_dies_loses_its_video_alone():
    tasks = [(0, 40, None), (1, 40, 3), (2, 40, None), (3, 40, 20), (4, 40, None), (5, 7, None)]
    with server.serving(SIZE, BATCH, 60, make_solver=stand_in) as address:
        work = functools.partial(_convert, device=address)
        results = dict(worker_pool.run(work, tasks, 2, 60))
    for task, result in results.items():
        seed, num_frames, kill_after = task
        if kill_after:
            assert result.outcome == "worker_died"
        else:
            np.testing.assert_array_equal(result, _differences(_film(num_frames, seed)))
    assert len(results) == len(tasks)
