"""Every command and every block of Python in the README and the guide, carried out.

All pages share one folder that has the videos they name, in the order in which a person reads
them; networks, frames and epochs are small.
"""

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from server_process import Server

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
PAGES = [ROOT / "README.md"]
PAGES += [GUIDE / f"{name}.md" for name in ("start", "own_videos", "training", "results")]
PAGES += [GUIDE / f"{name}.md" for name in ("elsewhere", "trouble")]
# What a command begins with, and why it is not carried out here.
NOT_RUN = {
    "make demo": "downloads the libraries, and takes minutes; its programs are run here",
    "make test": "is what runs this",
    "make install": "downloads the libraries; test_makefile.py",
    "make wheel": "downloads what builds it; test_wheel.py builds and installs the wheel",
    ". .venv/bin/activate": "of make install",
    "pip install": "downloads; test_wheel.py and test_lock.py",
    "python -m experiments.predict --model=ucf101-13": "downloads ImageNet's weights; test_head.py",
    "docker": "needs Docker; test_dockerfile.py carries out the lines of the Dockerfile",
    "mkdir -p data runs": "of Docker",
    "alias stfnet=": "of Docker",
    "stfnet ": "of Docker, by that alias",
    "experiments/launch/workers.sh": "needs two machines; test_train_distributed.py starts two",
    "sbatch": "needs Slurm",
}
EXTRAS = {"--format=onnx": "tf2onnx", "--format=litert": "ai_edge_litert"}
EXTRAS["experiments.serve"] = "fastapi_offline"
# Program -> flags that make it small. For configurations: by what --config names.
SMALL = {
    "prepare": ["--image_size=16", "--workers=1"],
    "ablate": ["--seeds=1"],
    "compare": ["--seeds=1", "--baselines=tsn", "--rate_factors=1"],
    "serve": ["--port=0"],
}
SIZES = ["model.clip.image_size=16", "model.fc6_units=8", "model.lstm_units=4"]
SIZES += ["training.batch_size=4", "training.max_epochs=(1,)"]
NARROW = [*SIZES, "model.clip.num_frames=2", "model.width_divisor=32"]
NARROW += ["training.learning_rates=(1e-3,)", "training.frozen_blocks=(0,)"]  # one stage
GRID = 4  # frames of each video that are stored, in place of 16
OF_CONFIG = {
    "real_videos.py": [
        *SIZES,
        "training.weights=vgg16.h5",
        f"model.clip.num_frames={GRID}",
        f"training.frame_grid={GRID}",
    ],
    "real_videos.py:scratch": NARROW,
    "paper.py:ucf101": [*NARROW, "training.weights=", "training.accumulation_steps=1"],
    "synthetic.py": [*NARROW, "model.clip.image_size=32"],  # of the records of `make demo`
    "run/config.json": [],  # of a run that is small
}
# What comes after the first run begins with narrow streams.
WITHOUT_VGG16 = ["model.width_divisor=16", "training.weights=", "training.temporal_conv1=random"]
PROGRAM = re.compile(r"python -m experiments\.(\w+)")


def _blocks(page, language):
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _commands(page):
    """The commands of a page, each in one line, without comments."""
    for block in _blocks(page, "bash"):
        for line in re.sub(r" *\\\n *", " ", block).splitlines():
            command = re.sub(r"(^| +)# .*", "", line).strip()
            if command:
                yield " ".join(command.split())


def _reason(command):
    return next((why for begin, why in NOT_RUN.items() if command.startswith(begin)), None)


def test_every_command_can_be_carried_out_or_has_a_reason():
    commands = [command for page in PAGES for command in _commands(page)]
    assert len(commands) > 40
    wrong = [one for one in commands if not (_reason(one) or PROGRAM.match(one))]
    assert [one.split()[0] for one in wrong] == ["curl"]
    idle = [begin for begin in NOT_RUN if not any(one.startswith(begin) for one in commands)]
    assert not idle


def test_every_command_stands_in_a_block():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        outside = re.findall(r"`(?:python -m experiments\.\w+|stfnet-\w+) -[^`]*`", text)
        assert not outside, page.name


def _small(command):
    """A command as a program's name and its flags, made small."""
    _, _, _, *arguments = shlex.split(command)
    name = PROGRAM.match(command)[1]
    config = next((one for one in arguments if one.startswith("--config=")), None)
    settings = OF_CONFIG[config.removeprefix("--config=")] if config else []
    if config == "--config=real_videos.py" and "--workdir=run" not in arguments:
        settings = [*settings, *WITHOUT_VGG16]
    trains = "--study=" in command or name not in ("ablate", "compare")
    small = SMALL.get(name, []) if trains else []
    if name == "prepare" and "--frame_grid=16" in arguments:
        small = [*small, f"--frame_grid={GRID}"]
    return [name, *arguments, *small, *(f"--config.{one}" for one in settings)]


class Folder:
    """Where the pages are carried out; what was done already is not done again."""

    def __init__(self, path, run_in_turn):
        self.path, self.run_in_turn = path, run_in_turn
        self.done, self.server = set(), None

    def carry_out(self, commands):
        """In turn, those of programs between two that need a server in one process."""
        waiting = []
        for command in commands:
            lacks = [name for flag, name in EXTRAS.items() if flag in command]
            if command in self.done or _reason(command):
                continue
            if any(importlib.util.find_spec(name) is None for name in lacks):
                continue  # make test-slow has all extras
            self.done.add(command)
            if not ("experiments.serve" in command or command.startswith("curl")):
                waiting.append(command)
                continue
            self.run(waiting)
            waiting = []
            if command.startswith("curl"):
                self.ask(command)
            else:
                self.serve(_small(command))
        self.run(waiting)

    def run(self, commands):
        if not commands:
            return
        ends = self.run_in_turn(map(_small, commands), folder=self.path, timeout=2000)
        for command, (status, printed, errors) in zip(commands, ends, strict=True):
            assert status == 0, (command, printed[-2000:], errors[-4000:])

    def serve(self, command):
        self.server = Server(self.path / "tmp", *command[1:], folder=self.path)

    def ask(self, command):
        if self.server is None:  # the extra is not installed
            return
        asked = shlex.split(command.replace("http://127.0.0.1:7860", self.server.url))
        answer = subprocess.run([*asked, "--silent"], cwd=self.path, capture_output=True, text=True)
        assert answer.returncode == 0 and '"label":' in answer.stdout, answer

    def stop(self):
        if self.server is not None:
            status, self.server = self.server.terminate(), None
            assert status == 0


def _write_ucf101(folder, write_squares):
    """Clips of UCF101's names, and its lists: the first two groups are the test part."""
    write_squares(folder, range(1, 7))
    clips = sorted(folder.rglob("*.avi")) + sorted(folder.rglob("*.mp4"))
    for name, tested in (("trainlist01.txt", False), ("testlist01.txt", True)):
        part = [one for one in clips if ("_g01_" in one.name or "_g02_" in one.name) == tested]
        lines = [f"{one.parent.name}/{one.stem}.avi 1" for one in part]
        (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_squares, tiny_records, moving_square, notop, run_in_turn):
    """The folder, with the run of the README's commands."""
    path = tmp_path_factory.mktemp("pages")
    write_squares(path / "videos", range(1, 7))
    write_squares(path / "folder", range(9, 10))
    _write_ucf101(path / "DIR", write_squares)
    shutil.copytree(tiny_records.folder, path / "runs" / "demo" / "records")
    for name in ("some.mp4", "long.mp4"):
        shutil.copy(moving_square, path / name)
    shutil.copy(notop, path / "vgg16.h5")
    folder = Folder(path, run_in_turn)
    try:
        folder.carry_out(_commands(PAGES[0]))
        folder.stop()
        yield folder
    finally:
        if folder.server is not None:
            folder.server.process.kill()


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_carried_out(folder, run_python, page):
    folder.carry_out(_commands(page))
    folder.stop()
    for block in _blocks(page, "python"):
        ended = run_python("-c", block, folder=folder.path)
        assert ended.returncode == 0, (block, ended.stdout[-2000:], ended.stderr[-4000:])
        if "predict_video" in block:
            assert len(re.findall(r"\('(?:Left|Right|Still)', [\d.e-]+\)", ended.stdout)) >= 3
