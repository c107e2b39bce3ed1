"""The tables of the paper with our rows: read back from every form."""

import csv
import dataclasses
import json
import re

import cv2
import pytest

from experiments.studies import paper_tables
from preprocessing.errors import UserError

FIGURES = {
    "dataset": "ucf101",
    "protocol": "paper",
    "fold": "1",
    "streams": "both",
    "top1": 0.9125,
    "leak": 0.989,
    "num_test": 3996,
    "intervals": {"top1": [0.9, 0.925]},
}
TABLE_1 = {
    "dense trajectories": 84.2,
    "composite LSTM": 84.3,
    "soft attention": 84.9,
    "two-stream ConvNet": 88.0,
    "beyond short snippets": 88.6,
    "C3D + iDT + SVM": 90.4,
    "two-stream fusion": 92.5,
    "Ou & Sun 2019": 95.3,
}
UCF11 = {
    "dense trajectories": 84.2,
    "soft attention": 84.9,
    "Cho et al.": 88.0,
    "two-stream LSTM": 94.6,
    "Ou & Sun 2019": 100.0,
}
UCF_SPORTS = {
    "dense trajectories": 89.1,
    "Weinzaepfel et al.": 90.5,
    "SGSH": 90.9,
    "two-stream LSTM": 99.1,
    "Ou & Sun 2019": 100.0,
}
NAMES = ("table1_ucf101", "table2_ucf11", "table2_ucf_sports")


def _result(folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(FIGURES | changes))
    return paper_tables.read_result(folder)


def _rows(path):
    """Method -> (rate, the other cells) of a CSV table."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:2] == ["method", "top-1 (%)"]
    return {method: (rate, rest) for method, rate, *rest in rows}


def test_the_published_figures_stand_in_every_form(tmp_path):
    paper_tables.write(tmp_path, [])
    markdown = (tmp_path / "comparison.md").read_text()
    sections = markdown.split("**Table ")[1:]
    for name, figures, section in zip(NAMES, (TABLE_1, UCF11, UCF_SPORTS), sections, strict=True):
        rows = _rows(tmp_path / f"{name}.csv")
        latex = (tmp_path / f"{name}.tex").read_text()
        for method, rate in figures.items():
            assert float(rows[method][0].rstrip(" †‡")) == rate
            assert re.search(rf"\| {re.escape(method)} \| {rate:.1f}( †| ‡)? \|", section)
            assert re.search(
                rf"{re.escape(method.replace('&', chr(92) + '&'))} & {rate:.1f}", latex
            )
        assert set(rows) == {*figures, "STFNet here"}


def test_figures_of_another_protocol_are_marked(tmp_path):
    own = [_result(tmp_path / "a"), _result(tmp_path / "b", protocol="group", top1=0.5, leak=0.0)]
    paper_tables.write(tmp_path, own)
    with (tmp_path / "table1_ucf101.csv").open(newline="") as file:
        cells = [row[1] for row in csv.reader(file)]
    assert cells[1:4] == ["84.2 ‡", "84.3 ‡", "84.9 ‡"]  # the paper gives no protocol
    assert cells[4:8] == ["88.0 †", "88.6 †", "90.4 †", "92.5 †"]  # official splits
    assert cells[8:] == ["95.3", "91.2", "50.0 †", "–"]  # random 7:3; ours; by groups; missing


def test_our_row_has_interval_protocol_and_leak(tmp_path):
    (row,) = [
        row for row in paper_tables.rows_of("ucf101", [_result(tmp_path)]) if row.ours and row.rate
    ]
    method, rate, interval, protocol, source = row.cells
    assert (method, rate, interval) == ("STFNet here, both streams", "91.2", "90.0 to 92.5")
    assert protocol == "random 7:3 over clips (leak 98.9 %, 3996 test videos)"
    assert source == str(tmp_path)


def test_a_missing_run_is_a_dash_and_the_command_that_fills_it(tmp_path):
    missing = [row for row in paper_tables.rows_of("ucf11", []) if row.ours]
    assert [row.shown_rate for row in missing] == ["–", "–"]
    first, second = (row.source for row in missing)
    assert "--config=experiments/configs/paper.py:ucf11 --config.protocol=paper" in first
    assert second.count("--folds=all") == 2 and "experiments.evaluate" in second
    # What was run of a data set fills the row of its protocol, and of no other.
    official = _result(tmp_path, dataset="ucf11", protocol="official", validated_on="the test part")
    rows = paper_tables.rows_of("ucf11", [official])
    assert [row.protocol for row in rows if row.rate is None] == ["random 7:3 over clips"]
    assert "epoch chosen on them" in next(row.protocol for row in rows if row.ours)
    grouped = _result(tmp_path, bootstrap={"drawn": "groups", "count": 7})
    assert "3996 test videos of 7 groups)" in paper_tables.rows_of("ucf101", [grouped])[8].protocol


def test_means_and_fused_results_are_named_as_such(tmp_path):
    mean = _result(tmp_path / "mean", protocol="official", fold="1,2,3", folds={"1": {}})
    fused = _result(tmp_path / "fused", fused=[{"run": "a"}, {"run": "b"}])
    rows = [row for row in paper_tables.rows_of("ucf101", [mean, fused]) if row.ours]
    assert rows[0].protocol.startswith("official splits, mean of 1,2,3 (")
    assert rows[1].method == "STFNet here, late fusion of a and b"
    assert not any(row.rate is None for row in rows)


def test_a_baseline_has_its_own_name_and_is_never_the_papers_network(tmp_path):
    baseline = _result(tmp_path, architecture="two_stream_fusion")
    rows = [row for row in paper_tables.rows_of("ucf101", [baseline]) if row.ours and row.rate]
    assert [row.method for row in rows] == ["two_stream_fusion here, both streams"]
    # Its multiply-adds are within 0.4 % of the paper's network.
    timing = {"with_flow_stored": 0.5, "with_flow_computed": None, "device": "a CPU"}
    work = {"timing": timing, "multiply_adds": 571_649_007_616}
    shown = paper_tables.time_table([dataclasses.replace(baseline, **work)]).rows[1][2]
    assert shown == f"0.500 {paper_tables.OTHER}"
    own = dataclasses.replace(_result(tmp_path), **work)
    assert paper_tables.time_table([own]).rows[1][2] == "0.500"


def test_another_data_set_has_a_table_of_its_own(tmp_path):
    paths = paper_tables.write(tmp_path, [_result(tmp_path / "own", dataset="my/set", top1=0.25)])
    assert {tmp_path / f"other_my_set.{kind}" for kind in ("csv", "tex", "png")} <= set(paths)
    assert _rows(tmp_path / "other_my_set.csv") == {
        "STFNet here, both streams": (
            "25.0",
            [
                "90.0 to 92.5",
                "random 7:3 over clips (leak 98.9 %, 3996 test videos)",
                str(tmp_path / "own"),
            ],
        )
    }


def test_a_part_of_a_collection_never_stands_among_the_papers_figures(tmp_path):
    part = "ucf101 (13 of 101 classes, 1494 of 13320 clips)"
    results = [
        _result(tmp_path / "part", dataset=part, top1=0.25),
        _result(tmp_path / "whole", top1=0.75),
    ]
    (_, rows), *_, (table, own) = paper_tables.accuracy_tables(results)
    assert [row.rate for row in rows if row.ours and row.rate is not None] == [75.0]
    assert table.caption == f"{part} (not in the paper): recognition rate"
    assert [row.rate for row in own] == [25.0]
    paper_tables.write(tmp_path / "tables", results)
    name = "other_ucf101__13_of_101_classes__1494_of_13320_clips_.csv"
    assert len(_rows(tmp_path / "tables" / name)) == 1


def test_bars_of_runs_that_look_alike_are_distinguished(tmp_path):
    (tmp_path / "study").mkdir()
    results = [
        _result(tmp_path / "study" / "seed-0", dataset="street"),
        _result(tmp_path / "study" / "seed-1", dataset="street", top1=0.5),
        _result(tmp_path / "frames", dataset="street", streams="rgb"),
    ]
    ((_, rows),) = [
        (table, rows)
        for table, rows in paper_tables.accuracy_tables(results)
        if table.name == "other_street"
    ]
    below = [bar.name.split("\n")[1] for bar in paper_tables.bars(rows)]
    protocol = rows[0].protocol
    assert below == [f"study/seed-0; {protocol}", f"study/seed-1; {protocol}", protocol]


def test_pictures_are_drawn(tmp_path):
    paths = paper_tables.write(tmp_path, [_result(tmp_path / "own")])
    pictures = [path for path in paths if path.suffix == ".png"]
    assert [path.stem for path in pictures] == list(NAMES)
    blue = [(cv2.imread(str(path)) == (180, 119, 31)).all(2).any() for path in pictures]
    assert blue[:2] == [True, False]


def _timed(tiny_run, folder):
    """A copy of a run's configuration with history and timing, as its result."""
    from stfnet import complexity, run

    multiply_adds = complexity.forward_multiply_adds(run.read_config(tiny_run).model)
    (folder / "history.csv").write_text("epoch,clips_per_second\n1,1.0\n2,20.0\n3,10.0\n")
    timing = {"with_flow_stored": 0.25, "with_flow_computed": 1.5, "device": "a card"}
    (folder / "timing.json").write_text(json.dumps(timing))
    return dataclasses.replace(_result(folder), multiply_adds=multiply_adds)


def test_times_stand_beside_the_papers(tiny_run, tmp_path):
    table = paper_tables.time_table([_timed(tiny_run, tmp_path)])
    published, own = table.rows
    assert published[1:5] == ("574", "0.770", "not reported", "66 (claimed)")
    # Of a far smaller network, so marked; 10 clips/s is the median epoch.
    assert own[0] == str(tmp_path) and own[2:] == ("0.250 †", "1.500 †", "100 †", "a card")
    assert any("52 TFLOP/s" in note for note in table.notes)


def test_a_time_that_was_not_measured_is_a_dash_and_its_command(tmp_path):
    result = paper_tables.Result(tmp_path, FIGURES, multiply_adds=574_000_000_000)
    (_, own) = paper_tables.time_table([result]).rows
    assert own[2] == f"– (`python -m experiments.evaluate --timing --workdir={tmp_path} " + (
        "--records=RECORDS`)"
    )
    assert own[3:] == ("–", "–", "–")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "results.json is missing, so .* holds no results: name in --results"),
        ("[]", "results.json lacks every figure"),
        ("{", "results.json does not read"),
        ('{"dataset": "ucf101"}', "results.json lacks protocol, fold"),
    ],
)
def test_what_holds_no_results_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=message):
        paper_tables.read_result(tmp_path)


def test_a_run_whose_results_are_stale_is_refused(tiny_run, tmp_path):
    import shutil

    copy = shutil.copytree(tiny_run, tmp_path / "run")
    with pytest.raises(UserError, match=r"results\.json is missing: run experiments\.evaluate"):
        paper_tables.read_result(copy)
