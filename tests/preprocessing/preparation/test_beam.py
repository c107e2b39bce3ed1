"""Beam for real: its multi-process direct runner, and the portable job service of its SDK."""

import json
import subprocess
import sys

import pytest
from helpers import wait_until

from preprocessing.errors import UserError

pytest.importorskip(
    "apache_beam",
    reason="Apache Beam is not installed: pip install 'stfnet[beam]' to test its runner",
    exc_type=ImportError,
)

pytestmark = pytest.mark.slow
# By name: `DirectRunner` would first try to download Prism.
DIRECT = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
PROCESSES = " --direct_num_workers=2 --direct_running_mode=multi_processing"


@pytest.fixture(scope="module")
def videos(tmp_path_factory, write_video):
    """Five good videos of two classes, and two that fail."""
    folder = tmp_path_factory.mktemp("data") / "actions"
    for index in range(5):
        name = ("Bow", "Wave")[index % 2]
        write_video(folder / name / f"v_{name}_g{index:02d}_c01.mp4", 4 + index, seed=index)
    (folder / "Bow" / "empty.mp4").write_bytes(b"")
    whole = (folder / "Bow" / "v_Bow_g02_c01.mp4").read_bytes()
    (folder / "Wave" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def run_prepare(run_python):
    """Function of videos, the folder of the records and further flags: the ended program."""

    def run(videos, output, *arguments, status=0):
        flags = (f"--source=folder:{videos}", f"--output={output}", "--image_size=16")
        command = ("-m", "experiments.prepare", *flags, "--allow_failures=2")
        done = run_python(*command, *arguments, timeout=300)
        assert done.returncode == status, done.stderr
        return done

    return run


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def local(run_prepare, videos, tmp_path_factory):
    """Files of the local runner's record set."""
    output = tmp_path_factory.mktemp("local") / "records"
    run_prepare(videos, output)
    record_set = json.loads((output / "metadata.json").read_text())
    assert record_set["counts"]["videos"] == 5 and len(record_set["sha256"]) == 64
    return _files(output)


def test_the_multi_process_direct_runner_gives_the_same_bytes(run_prepare, videos, local, tmp_path):
    output = tmp_path / "records"
    options = f"--beam_options={DIRECT}{PROCESSES}"
    printed = run_prepare(videos, output, "--runner=beam", options).stdout
    sha256 = json.loads(local["metadata.json"])["sha256"]
    assert f"5 videos, 30 frames, 2 failed (5 converted now), SHA-256 {sha256}" in printed
    assert _files(output) == local
    assert not (output / "parts").exists()


@pytest.fixture
def job_endpoint(tmp_path):
    """Address of a portable job service in a process of its own."""
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    command += [f"--port_file={port_file}", f"--staging_dir={tmp_path / 'staging'}"]
    with (tmp_path / "service.log").open("wb") as log:
        service = subprocess.Popen(command, stdout=log, stderr=log)

    def port():
        assert service.poll() is None
        return port_file.is_file() and port_file.read_text().strip()

    try:
        yield f"localhost:{wait_until(port)}"
    finally:
        service.terminate()
        service.wait()


def test_the_portable_job_service_gives_the_same_bytes(
    run_prepare, videos, local, tmp_path, job_endpoint
):
    output = tmp_path / "records"
    options = f"--runner=PortableRunner --job_endpoint={job_endpoint} --environment_type=LOOPBACK"
    run_prepare(videos, output, "--runner=beam", f"--beam_options={options}")
    assert _files(output) == local


def test_beam_goes_on_where_the_local_runner_was_stopped(videos, local, prepare):
    from preprocessing.preparation import tasks
    from preprocessing.preparation.beam import beam_runner
    from preprocessing.preparation.local import local_runner

    done = []

    def stopped(preparation, shards):
        for result in local_runner(1, 60)(preparation, shards):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(result)
            yield result

    with pytest.raises(KeyboardInterrupt):
        prepare(videos, run=stopped)
    asked, pairs = [], []
    beam = beam_runner(DIRECT, 60, pairs.append)

    def counted(preparation, shards):
        shards = list(shards)
        asked.extend(video.id for shard in shards for video in shard.lacking())
        return beam(preparation, shards)

    prepare(videos, run=counted)
    converted = {video.id for video, result in done if isinstance(result, tasks.Kept)}
    assert converted and not converted & set(asked)
    assert sum(pairs) < 25 and prepare.files() == local


def test_shards_come_from_a_file_and_one_process_makes_them(videos, local, tmp_path, monkeypatch):
    from preprocessing.datasets import class_folders
    from preprocessing.preparation import beam, conversion, layout, stock
    from preprocessing.preparation.preparation import Preparation

    monkeypatch.setattr(layout, "VIDEOS_PER_SHARD", 2)
    settings = conversion.Settings(image_size=16)
    preparation = Preparation(class_folders.load(videos), tmp_path / "records", settings)
    preparation.folder.mkdir()
    preparation.begin()
    monkeypatch.setattr(beam, "_run_pipeline", lambda *arguments: None)
    shards = list(preparation.shards({}))
    with pytest.raises(UserError, match="ended without"):
        list(beam.beam_runner("", 60)(preparation, shards))
    lines = (preparation.parts / "queue.txt").read_text().splitlines()
    assert len(lines) == len(shards) > 2
    worker, processes = beam._Make(60), set()
    worker.setup()
    for line in lines:
        worker.process(line)
        processes |= {one._process.pid for one in worker._pool._crew}
    worker.teardown()
    assert len(processes) == 1
    made, failed = stock.of_parts(preparation.parts)
    assert len(made) == 5 and failed.keys() == {"cut", "empty"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runer=FlinkRunner", "--runer, which Beam does not know: did you mean --runner?"),
        ("--runner=FlinkRunner --zzz=1", "--zzz, which Beam does not know: leave it out"),
    ],
)
def test_an_option_that_beam_does_not_know_is_refused_before_anything_runs(
    run_prepare, videos, tmp_path, options, message
):
    arguments = ("--runner=beam", f"--beam_options={options}")
    stderr = run_prepare(videos, tmp_path / "records", *arguments, status=1).stderr
    assert message in stderr.splitlines()[-1]
    assert not (tmp_path / "records" / "parts").exists()


def test_a_pipeline_that_fails_is_one_line(videos, prepare):
    from preprocessing.preparation.beam import beam_runner

    run = beam_runner("--runner=NoSuchRunner", 60)
    with pytest.raises(UserError, match=r"the Beam pipeline failed: .*NoSuchRunner.*to continue"):
        prepare(videos, run=run)
