"""The Dockerfile's COPY and RUN lines, carried out below a folder as if it were /; the entrypoint.

No container engine is needed. What stays untested is the base image, and CUDA in the GPU image.
"""

import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dockerfile_parse
import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NOBODY = 12345  # a user that no password file knows
TINY = ("--synthetic_groups=4", "--synthetic_clips=1", "--image_size=32")
TINY = (*TINY, "--limit_per_class=4")


def _stages(device="cpu"):
    """Name of each stage -> its instructions after FROM."""
    parser = dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(_bytes("Dockerfile")))
    stages = {}
    for line in parser.structure:
        if line["instruction"] == "FROM":
            stages[line["value"].split()[-1]] = instructions = []
        elif stages and line["instruction"] != "COMMENT":
            value = line["value"].replace("${DEVICE}", device)
            instructions.append((line["instruction"], value))
    return stages


def _bytes(name):
    return (ROOT / name).read_bytes()


def _sent_to_the_builder():
    """Names at the top of the project that .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


class _Image:
    """Carries out the instructions of stages below a folder."""

    def __init__(self, root, python):
        self.root, self.python, self.workdir = root, python, root
        self.environment = {"PATH": f"{python}/bin:/usr/bin:/bin"}

    def inside(self, text):
        """The text with each absolute path in it below the folder."""
        return re.sub(r"(^|(?<=[\s=\"']))/(?=[a-z])", f"{self.root}/", text)

    def do(self, instruction, value):
        if instruction == "WORKDIR":
            self.workdir = Path(self.inside(value))
            self.workdir.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            pairs = (pair.split("=", 1) for pair in shlex.split(value))
            self.environment |= {name: self.inside(text) for name, text in pairs}
        elif instruction == "COPY" and not value.startswith("--from="):  # all share one folder
            self._copy(value.split())
        elif instruction == "RUN":
            environment = {**os.environ, **self.environment}
            command = ["sh", "-c", self.inside(value)]
            subprocess.run(command, cwd=self.workdir, env=environment, check=True)

    def _copy(self, words):
        *sources, target = words
        assert set(sources) <= {*_sent_to_the_builder(), "docker/entrypoint.sh"}
        target = Path(self.inside(target)) if target.startswith("/") else self.workdir / target
        target.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if (ROOT / source).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(ROOT / source, target, ignore=ignore)
            else:
                shutil.copy(ROOT / source, target)


def _run_as_anybody(image, *arguments):
    """Runs the entrypoint in /runs as a user without a name, where that user can start Python."""
    environment = {**image.environment, "PATH": f"{image.python}/bin:/usr/bin:/bin"}
    command = ["sh", image.inside("/usr/local/bin/stfnet"), *arguments]
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with contextlib.suppress(PermissionError, subprocess.CalledProcessError):
        subprocess.run([image.python / "bin/python", "-c", ""], check=True, **who)
        return _capture(command, image, environment, who)
    return _capture(command, image, environment, {})


def _capture(command, image, environment, who):
    return subprocess.run(
        command, cwd=image.workdir, env=environment, capture_output=True, text=True, **who
    )


@pytest.fixture(scope="module")
def image():
    """The CPU image below a folder that every user can read."""
    root = Path(tempfile.mkdtemp(prefix="image-"))
    root.chmod(0o755)
    try:
        subprocess.run([sys.executable, "-m", "venv", root / "python"], check=True)
        image = _Image(root, root / "python")
        for instruction in (instruction for stage in _stages().values() for instruction in stage):
            image.do(*instruction)
        yield image
    finally:
        shutil.rmtree(root)


@pytest.mark.skipif(not shutil.which("hadolint", path=BIN), reason="hadolint is for Linux")
def test_the_linter_of_dockerfiles_finds_nothing():
    command = [BIN / "hadolint", ROOT / "Dockerfile"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_an_image_runs_as_a_user_and_keeps_data_outside(device):
    instructions = _stages(device)["image"]
    lines = dict(instructions)  # the last of each kind
    assert lines["USER"] == "1000:1000"
    assert lines["VOLUME"] == '["/data", "/runs"]'
    assert lines["ENTRYPOINT"] == '["sh", "/usr/local/bin/stfnet"]'
    runs = [value for instruction, value in instructions if instruction == "RUN"]
    assert runs[-2].startswith(f"pip install --require-hashes -r requirements-{device}.txt && ")
    assert runs[-1].endswith(" /wheels/*.whl")


def test_every_file_that_is_copied_is_sent_to_the_builder():
    sent = _sent_to_the_builder()
    for device, name in itertools.product(("cpu", "gpu"), _stages()):
        for instruction, value in _stages(device)[name]:
            if instruction == "COPY" and not value.startswith("--from="):
                for source in value.split()[:-1]:
                    assert source.split("/")[0] in sent and (ROOT / source).exists()


def test_the_services_use_the_image():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert {"train", "tensorboard", "serve"} <= set(services)
    for service in services.values():
        assert service["build"]["args"] == {"DEVICE": "${DEVICE:-cpu}"}
        assert [volume.rpartition(":")[2] for volume in service["volumes"]] == ["/data", "/runs"]
    assert services["serve"]["ports"] == ["127.0.0.1:8000:8000"]
    # Class folders without a list are divided; on frozen streams, whose maps are computed once.
    command = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in services["train"]["command"]]
    assert "--config=real_videos.py" in command and "--config.protocol=group" in command
    assert "--cache=features" in command


def test_the_entrypoint_finds_programs_by_their_short_name(tmp_path):
    program = tmp_path / "stfnet-greet"
    program.write_text('#!/bin/sh\necho "greeted $@"\nexit 7\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def run(*arguments):
        command = ["sh", ROOT / "docker/entrypoint.sh", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert run("greet", "--name=a b").stdout == "greeted --name=a b\n"
    assert run("greet").returncode == 7
    assert run("printf", "%s", "x").stdout == "x"
    assert "programs: greet" in run().stdout
    for wrong in ("nothing", "--name=a"):
        ended = run(wrong)
        line = f"error: {wrong} is no program of this image: name one of greet \n"
        assert (ended.returncode, ended.stderr) == (1, line)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_image_prepares_and_trains(image):
    def run(*arguments):
        ended = _run_as_anybody(image, *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended

    for name in ("prepare", "train", "evaluate", "demo", "inspect", "tensorboard"):
        assert "--" in run(name, "--help").stdout
    records = image.inside("/data/records")
    run("prepare", "--source=synthetic", f"--output={records}", *TINY)
    ended = run(
        "train",
        "--config=synthetic.py",
        f"--records={records}",
        "--workdir=run",
        "--config.model.clip.num_frames=3",
        "--config.model.clip.image_size=32",
        "--config.model.width_divisor=16",
        "--config.training.max_epochs=(1, 1)",
        "--config.training.tau_range=(1, 2)",
        "--config.training.batch_size=24",
    )
    assert "best: stage" in ended.stdout
    assert (image.workdir / "run" / "best.keras").is_file()
