"""The wheel, installed alone: programs and configurations work without the project's source."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("preprocessing", "stfnet", "experiments")
TINY = ("--synthetic_groups=4", "--synthetic_clips=1", "--image_size=32")
TINY = (*TINY, "--limit_per_class=4", "--workers=2")
FEW_STEPS = (
    "--config.training.max_epochs=(1, 1)",
    "--config.training.tau_range=(1, 2)",
    "--config.model.clip.num_frames=3",
    "--config.model.clip.image_size=32",
    "--config.model.width_divisor=16",
    "--config.training.batch_size=24",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as for a release, from a copy: setuptools would leave a folder `build`."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = ["-m", "build", "--wheel", "--outdir", folder, source]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Function that runs an installed program in an empty folder.

    The wheel is in an environment of its own, which borrows the libraries of this one.
    """
    home, empty = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin/pip", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(pip, check=True, cwd=empty)
    paths = {"base": str(home), "platbase": str(home)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run_program(name, *arguments):
        ended = subprocess.run(
            [home / "bin" / name, *map(str, arguments)],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        return ended

    return run_program


@pytest.mark.slow
def test_every_module_template_and_script_is_in_the_wheel(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert not set(tracked) - inside
    assert not any(name.startswith(("benchmarks/", "tests/", "docs/")) for name in inside)


@pytest.mark.slow
def test_the_programs_start(run):
    place = run("python", "-c", "import stfnet; print(stfnet.__file__)").stdout
    assert not place.startswith(str(ROOT))
    assert run("stfnet-demo", "--help").stdout.startswith("The whole way on rendered videos")


@pytest.mark.slow
def test_every_configuration_loads(run):
    names = [path.stem for path in (ROOT / "experiments" / "configs").glob("*.py")]
    names = sorted(set(names) - {"__init__", "saved"})  # saved.py needs a run
    loads = "import importlib, sys\nfor name in sys.argv[1:]:\n"
    loads += (
        "    print(importlib.import_module(f'experiments.configs.{name}').get_config().protocol)"
    )
    assert len(run("python", "-c", loads, *names).stdout.split()) == len(names) > 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_miniature_run_from_an_empty_folder(run):
    run("stfnet-prepare", "--source=synthetic", "--output=records", *TINY)
    data = ("--records=records", "--workdir=run")
    trained = run("stfnet-train", "--config=synthetic.py", *data, *FEW_STEPS)
    assert "--config=synthetic.py is not in this folder: " in trained.stderr
    saved = "from experiments.configs import saved; saved.get_config('run/config.json')"
    run("python", "-c", saved)
    run("stfnet-evaluate", *data)
    results = run("python", "-c", "print(open('run/results.json').read())").stdout
    assert json.loads(results)["num_test"] > 0
    run("stfnet-report", *data, "--output=report")
    run("stfnet-inspect", "--records=records", "--output=seen")
