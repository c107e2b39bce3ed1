"""Pairs of several workers through one device: with Keras where bits count, else a stand-in."""

import functools
import os
import signal
import threading
import time

import numpy as np
import pytest
from helpers import wait_until

# Not tvl1_keras: the processes that import this would load TensorFlow.
from preprocessing import flow, worker_pool
from preprocessing.errors import UserError
from preprocessing.flow import device
from preprocessing.preparation import local, tasks
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


def _convert(task, report, kill_after=None):
    """The fields of a film of (seed, num_frames), as a worker computes them."""
    seed, num_frames = task
    fields = []
    for field in flow.Solver("keras", report=report).fields(_film(num_frames, seed)):
        fields.append(field)
        report(1)
        if len(fields) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
    return np.stack(fields) if fields else None


def _run(function, films, workers=2, make_solver=stand_in):
    """Results by film, and what the device did."""
    solving = device.Device(SIZE, BATCH, make_solver=make_solver)
    with solving, worker_pool.Pool(workers, 60) as pool:
        results = dict(pool.run(function, films, service=solving))
    return results, solving.statistics


def test_the_device_tells_what_it_did():
    films = [(seed, n) for seed, n in enumerate((23, 3, 2, 1, 23))]
    _, statistics = _run(_convert, films)
    assert statistics.device == "cpu" and statistics.batch == BATCH
    assert statistics.pairs == 22 + 2 + 1 + 22
    assert statistics.pairs / BATCH <= statistics.batches <= statistics.pairs
    assert 0 < statistics.solving_seconds <= statistics.span_seconds
    assert 0 < statistics.busy <= 1 and 0.25 <= statistics.fill <= 1
    assert f"47 pairs in {statistics.batches} batches of 4" in str(statistics)


def _add_pairs(solving, worker, *counts):
    """Puts films of pairs with the device, each pair known by its grey level."""
    for first, count in counts:
        frames = [np.full((SIZE, SIZE), first + k, np.uint8) for k in range(count)]
        solving.take(worker, [(frame, frame) for frame in frames])


def _levels(previous, following):
    return np.stack([previous, following], -1).astype("float32")


def _solved(solving, waiting, all_wait=True):
    """The grey levels of the next answers, by worker."""
    answers = wait_until(lambda: solving.answers(waiting, all_wait), 20)
    return {
        worker: answer if isinstance(answer, int) else [int(f[0, 0, 0]) for f in answer]
        for worker, answer in answers
    }


def test_workers_take_turns_and_the_pairs_of_one_that_is_gone_are_dropped():
    batches = []

    def solve(previous, following):
        batches.append([int(level) for level in previous[:, 0, 0]])
        return _levels(previous, following)

    with device.Device(SIZE, 4, make_solver=lambda size, batch: (solve, batch, "cpu")) as solving:
        for worker in "abcd":
            solving.take(worker, None)
        assert _solved(solving, "abcd") == dict.fromkeys("abcd", 4)
        _add_pairs(solving, "a", (10, 5))
        _add_pairs(solving, "d", (40, 3))
        _add_pairs(solving, "b", (20, 2))
        _add_pairs(solving, "c", (30, 1))
        solving.drop("d")
        solving.drop("never seen")
        assert _solved(solving, "abc", all_wait=False) == {"a": [10, 11], "b": [20], "c": [30]}
        assert _solved(solving, "ab") == {"a": [12, 13, 14], "b": [21]}
        assert batches == [[10, 20, 30, 11], [21, 12, 13, 14]]
        # A video that begins leaves nothing of the one before.
        _add_pairs(solving, "a", (50, 2))
        solving.take("a", None)
        assert _solved(solving, "a") == {"a": 4}
        _add_pairs(solving, "a", (60, 1))
        assert _solved(solving, "a") == {"a": [60]}
        assert batches[2] == [60, 0, 0, 0]


def test_a_batch_that_is_not_full_is_solved_when_nobody_can_fill_it_or_soon(monkeypatch):
    with device.Device(SIZE, 4, make_solver=lambda size, batch: (_levels, 4, "cpu")) as solving:
        solving.take("a", None)
        assert _solved(solving, "a") == {"a": 4}
        monkeypatch.setattr(device, "_PATIENCE_SECONDS", 60.0)
        _add_pairs(solving, "a", (1, 2))
        solving.answers("a", False)
        assert not solving.connection.poll(0.3)  # another one is at work and may fill it
        assert _solved(solving, "a", all_wait=True) == {"a": [1, 2]}
        monkeypatch.setattr(device, "_PATIENCE_SECONDS", 0.2)
        _add_pairs(solving, "a", (3, 1))
        assert _solved(solving, "a", all_wait=False) == {"a": [3]}


def test_the_next_batch_is_packed_while_one_is_being_solved_and_follows_at_once():
    release, begun = threading.Event(), threading.Semaphore(0)

    def solve(previous, following):
        begun.release()
        assert release.wait(20)
        return _levels(previous, following)

    with device.Device(SIZE, 2, make_solver=lambda size, batch: (solve, batch, "cpu")) as solving:
        solving.take("a", None)
        _solved(solving, "a")
        _add_pairs(solving, "a", (1, 2))
        assert solving.answers("a", True) == []
        _add_pairs(solving, "a", (3, 2))
        assert solving.answers("a", True) == [] and solving.statistics.batches == 0
        release.set()
        assert begun.acquire(timeout=20) and begun.acquire(timeout=20)
        assert _solved(solving, "a") == {"a": [1, 2]}
        assert _solved(solving, "a") == {"a": [3, 4]}
        assert solving.statistics.batches == 2


class _Asked:
    """A worker's way to a device that answers each question with all that it was told."""

    def __init__(self):
        self.pairs, self.questions = [], 0

    def tell(self, pairs):
        self.pairs += pairs

    def ask(self, pairs):
        if pairs is None:
            return BATCH
        self.questions += 1
        self.pairs += pairs
        fields = [_difference(*pair) for pair in self.pairs]
        self.pairs = []
        return fields


def test_a_worker_has_two_batches_with_the_device_before_it_waits():
    asked, report = [], _Asked()

    def frames():
        for frame in _film(40, 0):
            asked.append(frame)
            yield frame

    fields = flow.Solver("keras", report=report).fields(frames())
    solved = [next(fields)]
    assert len(asked) == 2 * BATCH + 1 and report.questions == 1
    solved += fields
    np.testing.assert_array_equal(solved, _differences(_film(40, 0)))


def _break_off(task, report):
    """Leaves a film with pairs at the device, then converts another, or fails."""
    seed, num_frames = task
    left = flow.Solver("keras", report=report).fields(_film(num_frames, 99))
    next(left)
    left.close()
    if seed < 0:
        raise UserError("cut off")
    return _convert(task, report)


def test_a_video_that_breaks_off_leaves_nothing_to_the_next():
    films = [(-1, 12), (0, 12), (-2, 30), (1, 30)]
    results, _ = _run(_break_off, films, workers=1)
    assert results[-1, 12].reason == results[-2, 30].reason == "cut off"
    for film in (0, 12), (1, 30):
        np.testing.assert_array_equal(results[film], _differences(_film(film[1], film[0])))


def _die_of_odd(task, report):
    return _convert(task, report, kill_after=task[0] if task[0] % 2 else None)


def test_a_worker_that_dies_loses_its_video_alone():
    films = [(0, 40), (3, 40), (2, 40), (21, 40), (4, 40), (6, 7)]
    results, _ = _run(_die_of_odd, films)
    for (seed, num_frames), result in results.items():
        if seed % 2:
            assert result.outcome == "worker_died"
        else:
            np.testing.assert_array_equal(result, _differences(_film(num_frames, seed)))
    assert len(results) == len(films)


def _large(task, report):
    """Pairs far larger than a pipe's buffer, both ways; returns a sum, not the fields."""
    frames = np.random.default_rng(task).integers(0, 256, (60, 400, 400), np.uint8)
    fields = flow.Solver("keras", report=report).fields(frames)
    return sum(float(field[7, 7, 0]) for field in fields)


def test_full_pipes_in_both_directions_end_in_no_deadlock():
    solving = device.Device(400, 8, make_solver=stand_in)
    with solving, worker_pool.Pool(3, 60) as pool:
        results = dict(pool.run(_large, range(6), service=solving))
    for task, result in results.items():
        frames = np.random.default_rng(task).integers(0, 256, (60, 400, 400), np.uint8)
        levels = frames[:, 7, 7].astype("float32")
        assert result == pytest.approx(sum((levels[:-1] - levels[1:]) / 40), abs=1e-3)
    assert len(results) == 6


@pytest.fixture
def videos(tmp_path, write_video):
    for index, num_frames in enumerate((2, 14, 5, 9)):
        path = tmp_path / "actions" / f"Class{index % 2}" / f"v_Class{index % 2}_g{index:02d}.avi"
        write_video(path, num_frames, fourcc="MJPG", seed=index)
    return tmp_path / "actions"


def test_records_of_one_and_of_two_workers_are_those_of_one_process(videos, prepare):
    def in_this_process(preparation, shards):
        def run(queue):
            while queue:
                task = queue.popleft()
                solver = flow.Solver("keras", batch=BATCH)
                yield task, tasks.perform(task, lambda amount: None, solver)

        return local.make(shards, preparation.settings, preparation.folder, run, 1)

    prepare(videos, "here", SETTINGS, run=in_this_process)
    for workers in (1, 2):
        prepare(videos, str(workers), SETTINGS, run=local_runner(workers, 60, flow_batch=BATCH))
        assert prepare.files(str(workers)) == prepare.files("here")


@pytest.fixture
def solve_with(monkeypatch):
    """Replaces the solver of the devices of preparations."""
    original = device.Device

    def replace(make_solver, patience=60):
        def replaced(size, batch, time_limit):
            return original(size, batch, patience, make_solver)

        monkeypatch.setattr(device, "Device", replaced)

    return replace


def _breaking(what):
    """A solver that does `what` with its third batch."""
    batches = []

    def solve(previous, following):
        batches.append(len(previous))
        if len(batches) == 3:
            what()
        return _difference(previous, following)

    return lambda size, batch: (solve, batch, "gpu")


def _run_out_of_memory():
    raise ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes\nand more")


@pytest.mark.parametrize(
    ("what", "patience", "reason"),
    [
        (_run_out_of_memory, 60, r"ValueError: RESOURCE_EXHAUSTED: .* bytes \(a smaller --flow"),
        (functools.partial(time.sleep, 3600), 2, "no answer within 2 s"),
    ],
)
def test_a_solver_that_fails_ends_the_run_and_the_next_resumes(
    videos, prepare, solve_with, what, patience, reason
):
    solve_with(_breaking(what), patience)
    run = local_runner(2, 60, flow_batch=BATCH)
    with pytest.raises(UserError, match=f"optical flow with Keras stopped: {reason}") as caught:
        prepare(videos, "records", SETTINGS, run=run)
    assert str(caught.value).endswith("Run the same command again to continue")
    assert "\n" not in str(caught.value)
    solve_with(stand_in)
    prepare(videos, "records", SETTINGS, run=run)
    assert prepare.files() == prepare.from_scratch(videos, settings=SETTINGS)


def test_a_solver_that_does_not_start_is_one_line(videos, prepare, solve_with):
    def not_installed(size, batch):
        raise ModuleNotFoundError("No module named 'keras'")

    solve_with(not_installed)
    with pytest.raises(UserError, match="ModuleNotFoundError: No module named 'keras'"):
        prepare(videos, "records", SETTINGS, run=local_runner(1, 60))


def test_the_solver_is_made_once_and_only_if_a_worker_asks(videos, prepare, solve_with):
    made = []

    def make(size, batch):
        made.append(size)
        return stand_in(size, batch)

    solve_with(make)
    prepare(videos, "records", SETTINGS, run=local_runner(2, 60))
    assert made == [SIZE]
    prepare(videos, "records", SETTINGS, run=local_runner(2, 60))
    assert made == [SIZE]
