import importlib.util

import pytest

from experiments.benchmarks import network_rows
from experiments.benchmarks.network_measurements import PEER, Row, Settings
from preprocessing.errors import UserError

SETTINGS = Settings(
    accumulation_steps=1, remat=False, repeats=1, image_size=32, peak_size=64, training=False
)


def test_only_tensorflow_is_compiled_by_xla():
    rows = list(network_rows.rows(["tensorflow"], ["float32"], ["off", "on"], False, [2]))
    assert rows == [Row("tensorflow", "float32", False, 2), Row("tensorflow", "float32", True, 2)]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_peer_has_a_row_for_each_precision_and_batch():
    rows = list(network_rows.rows(["torch"], ["float32", "mixed_bfloat16"], ["off"], True, [1, 4]))
    alike = [(row.precision, row.batch_size) for row in rows]
    assert alike[:4] == alike[4:] and [row.backend for row in rows[4:]] == [PEER] * 4


def figures_of(backend, seconds, precision="float32", size=1, streams="trained", **more):
    times = {name: {"clips_per_second": 1 / value} for name, value in seconds.items()}
    row = {"backend": backend, "precision": precision, "batch_size": size, "streams": streams}
    return row | times | more


def test_a_row_is_compared_with_the_peer_of_its_precision_and_batch():
    table = [
        figures_of("tensorflow", {"forward": 2.0, "training": 8.0}),
        figures_of("tensorflow", {"forward": 1.0, "training": 3.0}, "mixed_bfloat16", 4),
        figures_of("jax", {"forward": 5.0}),
        figures_of("jax", {}, failed="out of memory"),
        figures_of("tensorflow", {"training": 1.0}, streams="frozen"),
        figures_of(PEER, {"forward": 3.0, "training": 4.0}),
        figures_of(PEER, {}, "mixed_bfloat16", 4, failed="no memory"),
    ]
    compared = list(network_rows.ratios(table))
    assert compared == [
        (table[0], pytest.approx({"forward": 1.5, "training": 0.5})),
        (table[2], pytest.approx({"forward": 0.6})),
    ]


@pytest.mark.skipif(importlib.util.find_spec("torch"), reason="torch is installed")
def test_what_is_not_installed_is_printed(capsys):
    assert not list(network_rows.rows(["torch"], ["float32"], ["off"], True, [1]))
    assert capsys.readouterr().out.splitlines() == [
        "torch: not installed",
        f"{PEER}: not installed (pip install -e '.[peers]')",
    ]


@pytest.mark.parametrize("values", [["yes"], []])
def test_an_unknown_value_is_refused(values):
    with pytest.raises(UserError, match=r"--xla=(yes)? is not one of off, on"):
        list(network_rows.rows(["tensorflow"], ["float32"], values, False, [1]))


def test_a_row_that_takes_too_long_has_no_figures():
    row = Row("tensorflow", "float32", False, 1)
    (figures,) = network_rows.measure(row, SETTINGS, 0.05, grow=True)
    assert figures["failed"] == "took longer than --limit=0.05 s"
    assert (figures["backend"], figures["batch_size"]) == ("tensorflow", 1)


@pytest.mark.slow
def test_a_row_that_fails_reports_the_last_line_of_its_process():
    row = Row("tensorflow", "float31", False, 1)
    (figures,) = network_rows.measure(row, SETTINGS, 120, grow=False)
    assert "float31" in figures["failed"]
