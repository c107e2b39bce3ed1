"""Every benchmark once, in miniature: it prints its tables, and their figures are finite."""

import importlib
import json
import math
import shutil

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import exported_model, network

MINIATURES = {
    "network": "--image_size=32 --backends=tensorflow --precisions=float32 --compiled=off"
    " --repeats=1 --peak_size=256 --notraining --nopeer",
    "flow": "--repeats=1 --size=16 --batches=2 --backends=tensorflow --clips=2 --clip_pairs=4"
    " --workers=1",
    "preparation": "--repeats=1 --pairs=8 --size=32 --workers=1 --memory_frames=8",
    "input": "--num_frames=2 --image_size=16 --clips=8 --rounds=1 --width_divisor=64 --steps=1",
    "start": "--jit=off --width_divisor=64 --image_size=32 --only=training,prediction",
    "growth": "--videos=10 --classes=3 --class_videos=15",
    "fit": "--backend=tensorflow --precision=float32 --num_frames=3 --width_divisor=32 --minutes=0"
    " --peak_size=64 --batch_size=2",
    "export": "",
}
OF_RECORDS = ("fit", "export")
# Captions of the tables of each begin so.
TABLES = {
    "network": ["network"],
    "flow": ["TV-L1 at 16 x 16", "preparation"],
    "preparation": ["8 pairs at 32 x 32"],
    "input": ["reading 2 frames, 16 x 16", "augmentation", "two threads", "step"],
    "start": ["train, JIT off", "predict"],
    "growth": ["milliseconds"],
    "fit": ["two steps in float32", "float32, 2 clips a step"],
    "export": ["classify_frames"],
}


def _measured(warm, output, name, *arguments):
    """The tables that a miniature writes, all of whose figures are finite and were printed."""
    flags = (*MINIATURES[name].split(), *arguments, f"--output={output}")
    ended = warm.run("-m", "benchmarks", name, *flags)
    assert ended.returncode == 0, ended.stderr
    tables = json.loads(output.read_text())
    for caption, beginning in zip(tables, TABLES[name], strict=True):
        assert caption.startswith(beginning) and f"**{caption}**\n\n| " in ended.stdout
        for row in tables[caption]:
            assert any(value is not None for value in row.values())
            assert all(math.isfinite(x) for x in row.values() if isinstance(x, int | float))
    rows = [line for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == sum(1 + len(table) for table in tables.values())
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MINIATURES if name not in OF_RECORDS])
def test_a_benchmark_prints_finite_figures(warm, name, tmp_path):
    tables = _measured(warm, tmp_path / "figures.json", name)
    assert not any(row.get("failed") for table in tables.values() for row in table)


@pytest.mark.slow
def test_fit_takes_the_same_step_twice_and_trains(warm, tiny_records, tmp_path):
    given = [f"--records={tiny_records.folder}"]
    steps, epochs = _measured(warm, tmp_path / "fit.json", "fit", *given).values()
    hidden, visible = steps
    assert hidden["device"] == visible["device"]  # no GPU here: the weights were the same
    assert hidden["first loss"] == pytest.approx(visible["first loss"], rel=1e-5)
    assert hidden["second loss"] == pytest.approx(visible["second loss"], rel=1e-3)
    assert hidden["second loss"] < hidden["first loss"]
    (epoch,) = epochs  # of --minutes=0
    assert 0 <= epoch["test"] <= 1 and epoch["clips/s"] > 0 and epoch["GB"] > 0.1


@pytest.mark.slow
def test_an_export_says_what_the_network_says_of_records(warm, make_run, moving_square, tmp_path):
    from stfnet import ClipConfig

    for name in ("Bow", "Jump"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        shutil.copy(moving_square, tmp_path / "videos" / name / f"{name}.mp4")
    # Of 16 pixels, so that the flow solver has one scale to be compiled and not four.
    run = make_run(clip=ClipConfig(num_frames=3, flow_length=4, image_size=16))
    given = [f"--workdir={run}", f"--source=folder:{tmp_path / 'videos'}"]
    tables = _measured(warm, tmp_path / "export.json", "export", *given)
    (table,) = tables.values()
    opencv, keras = table
    assert (opencv["flow of the records"], keras["flow of the records"]) == ("OpenCV", "Keras")
    assert opencv["videos"] == keras["videos"] == keras["same top-1"] == 2
    assert keras["largest difference"] <= 1e-5
    # Of a network that has learned nothing, so two classes may change places.
    assert opencv["largest difference"] < 0.1


def test_agreement_of_a_hand_worked_case():
    import numpy as np

    ours = {"a": np.array([0.7, 0.3]), "b": np.array([0.49, 0.51]), "c": np.array([1.0, 0.0])}
    theirs = {"a": np.array([0.69, 0.31]), "b": np.array([0.54, 0.46]), "d": np.array([1.0, 0.0])}
    found = exported_model.agreement(ours, theirs)
    assert (found["videos"], found["same top-1"], found["within 0.02"]) == (2, 1, 1)
    assert found["largest difference"] == pytest.approx(0.05)
    assert found["median difference"] == pytest.approx(0.03)


def test_rates_of_a_hand_worked_case():
    seconds = {network.ROW: [2.0, 4.0, 2.0], network.PEER: [4.0, 6.0, 8.0]}
    seconds[network.PEAK] = [1.0, 2.0, 1.0]
    assert network.rates(seconds, batch=4, operations=4e3, peak_size=10) == {
        "s": 2.0,
        "clips/s": 2.0,
        "of peak": 1.0,  # twice the product's 2,000 operations, in twice its time
        "to the peer": 2.0,
        "least": 1.5,
        "largest": 4.0,
    }


@pytest.mark.parametrize(("name", "module"), benchmarks.BENCHMARKS.items())
def test_a_benchmark_gives_its_command(name, module):
    assert f"python -m benchmarks {name}" in importlib.import_module(f"benchmarks.{module}").__doc__
    assert name in MINIATURES


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: name what to measure, one of network, flow, "),
        (["speed"], "error: 'speed' is not a flag"),
        (["flow", "--batches=4,0"], "error: --batches=4,0: write whole numbers of at least 1"),
        (["network", "--compiled=yes"], "error: --compiled=yes is not one of off, on"),
        (["input", "--width_divisor=3"], "error: --width_divisor=3 does not divide 64"),
        (["growth", "--output=."], "error: --output=.: . is a folder"),
        (["export"], "error: --workdir is missing"),
    ],
)
def test_a_mistake_is_one_line(warm, arguments, line):
    ended = warm.run("-m", "benchmarks", *arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(line) and ended.stderr.count("\n") == 1
