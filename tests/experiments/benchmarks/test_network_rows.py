import importlib.util

import pytest

from experiments.benchmarks import network_rows
from experiments.benchmarks.network_measurements import PEER, Row, Settings
from preprocessing.errors import UserError

SETTINGS = Settings(
    accumulation_steps=1, remat=False, repeats=1, image_size=32, peak_size=64, training=False
)


def test_only_tensorflow_is_compiled_by_xla():
    rows = list(network_rows.rows(["tensorflow"], ["float32"], ["off", "on"], False, 2))
    assert rows == [Row("tensorflow", "float32", False, 2), Row("tensorflow", "float32", True, 2)]


@pytest.mark.skipif(importlib.util.find_spec("torch"), reason="torch is installed")
def test_what_is_not_installed_is_printed(capsys):
    assert not list(network_rows.rows(["torch"], ["float32"], ["off"], True, 1))
    assert capsys.readouterr().out.splitlines() == [
        "torch: not installed",
        f"{PEER}: not installed (pip install -e '.[peers]')",
    ]


@pytest.mark.parametrize("values", [["yes"], []])
def test_an_unknown_value_is_refused(values):
    with pytest.raises(UserError, match=r"--xla=(yes)? is not one of off, on"):
        list(network_rows.rows(["tensorflow"], ["float32"], values, False, 1))


def test_a_row_that_takes_too_long_has_no_figures():
    row = Row("tensorflow", "float32", False, 1)
    (figures,) = network_rows.measure(row, SETTINGS, 0.05, grow=True)
    assert figures["failed"] == "took longer than --limit=0.05 s"
    assert (figures["backend"], figures["batch_size"]) == ("tensorflow", 1)


def test_a_row_that_fails_reports_the_last_line_of_its_process():
    row = Row("tensorflow", "float31", False, 1)
    (figures,) = network_rows.measure(row, SETTINGS, 120, grow=False)
    assert "float31" in figures["failed"]
