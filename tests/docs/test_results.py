"""The tables of docs/results.md have the figures of the CSV files that they name."""

import re
from pathlib import Path

import pytest
from helpers import read_csv

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "results.md").read_text(encoding="utf-8")
FILES = sorted((DOCS / "results").glob("*.csv"))


def _rows(name):
    return read_csv(DOCS / "results" / f"{name}.csv")


def _table(heading):
    """The rows of the table of the page that begins with a heading."""
    _, _, below = PAGE.partition(f"\n| {heading} |")
    lines = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_file_is_named_and_its_means_and_differences_are_of_its_seeds():
    assert FILES
    for path in FILES:
        assert f"(results/{path.name})" in PAGE
        rows = _rows(path.stem)
        for row in rows if "top1" in rows[0] else ():
            seeds = [float(row[f"seed_{k}"]) for k in range(3)]
            assert sum(seeds) / 3 == pytest.approx(float(row["top1"]), abs=0.1), (path, row)
            if "difference" not in row:
                continue
            of_study = [one for one in rows if one.get("study") == row.get("study")]
            (reference,) = [one for one in of_study if not one["difference"]]
            wanted = float(row["top1"]) - float(reference["top1"])
            found = float(row["difference"] or 0)
            assert found == pytest.approx(wanted, abs=0.11), (path, row)


def test_the_table_of_baselines_is_that_of_the_files():
    rendered, clips = (
        {row["network"]: row for row in _rows(f"baselines_{name}")}
        for name in ("rendered", "ucf101_13")
    )
    *table, chance = _table("network | rendered")
    assert chance[0] == "chance" and {row[0] for row in table} == set(clips)
    for name in set(rendered) - set(clips):
        edge = "*" * (rendered[name]["rate_at_edge"] == "yes")
        assert f"{name} {rendered[name]['top1']}{edge}" in " ".join(PAGE.split())
    for network, *cells in table:
        shown = []
        for file in (rendered, clips):
            row = file.get(network)
            shown.append(row["top1"] + "*" * (row["rate_at_edge"] == "yes") if row else "–")
        row, wanted = clips.get(network), ["", ""]
        if row and row["difference"]:
            ends = f"{row['paired_low']} to {row['paired_high']}"
            wanted = [f"{row['difference']} ({ends})", row["p_holm"]]
        assert cells == [*shown, *wanted], network


def test_the_table_of_claims_is_that_of_the_files():
    files = [_rows(f"ablation_{name}") for name in ("rendered", "strokes", "ucf101_13")]
    studies = ("streams", "normalize", "fusion", "branches", "flow_length")
    for study, row in zip(studies, _table("the paper's claim")[:-1], strict=True):
        for cell, rows in zip(row[1:4], files, strict=True):
            found = {one["value"]: one["top1"] for one in rows if one["study"] == study}
            assert dict(re.findall(r"(\w+) (\d+\.\d)", cell)) == found, study


def test_the_rendered_actions_and_the_real_videos_are_those_of_the_files():
    of_streams = {
        row["value"]: row for row in _rows("ablation_rendered") if row["study"] == "streams"
    }
    table = _table("streams | mean of seeds 0 to 2")
    for row, name in zip(table, ("both", "rgb", "flow"), strict=False):
        file = of_streams[name]
        assert row[1:3] == [file["top1"], f"{file['groups_low']} to {file['groups_high']}"]
    files = {row["data"]: row for row in _rows("real_videos")}
    table = _table("data, videos to learn from; tested")
    for (data, mean, interval, *_), file in zip(table, files.values(), strict=True):
        assert file["data"] in data and mean == file["top1"]
        low, high = file["groups_low_seed_0"], file["groups_high_seed_0"]
        assert interval.startswith(f"{low} to {high}")


def test_the_training_accuracy_of_the_papers_network_is_that_of_its_last_epoch():
    last = {row["data"]: row["training"] for row in _rows("paper_network")}
    table = _table("data | top-1, the epoch that validation chose")
    shown = [row[3] for row in table if "end to end" not in row[0]]
    assert shown == [last["strokes"], last["surveillance"]]


def test_the_table_of_ucf101_13_is_that_of_the_file():
    rows = _rows("ucf101_13")

    def figures(model, protocol, column="accuracy", **wanted):
        fold = {"official": "1", "paper": ""}[protocol]
        wanted = {"model": model, "protocol": protocol, "fold": fold} | wanted
        (found,) = [row[column] for row in rows if row | wanted == row]
        return found

    here = {"processor": "AVX-512", "seed": "0"}
    whole = "network that reads whole frames"
    *networks, _, linear, scene = _table("what, 112 pixels | official split 1")
    names = [("network", one) for one in ("both", "rgb", "flow")]
    names += [
        ("networks of one stream, fused", "both"),
        (whole, "both"),
        ("network on ten clips a class", "both"),
        ("paper's network, frozen streams", "both"),
    ]
    for row, (model, streams) in zip(networks, names, strict=True):
        low, high = (
            figures(model, "official", x, streams=streams, **here) for x in ("low", "high")
        )
        assert row[1].split()[0] == figures(model, "official", streams=streams, **here)
        assert row[2] == f"{low} to {high}"
    amx = figures(whole, "official", processor="AMX")
    assert f"(with AMX {amx})" in networks[4][1]
    random = {}
    for row, model in ((networks[0], "network"), (networks[4], whole)):
        random[model] = [figures(model, "paper", x) for x in ("accuracy", "low", "high")]
        assert row[4] == "{} ({} to {})".format(*random[model])
    for cell, protocol in zip((linear[1], linear[4]), ("official", "paper"), strict=True):
        of_streams = (
            figures("linear model", protocol, streams=name, processor="AVX-512")
            for name in ("both", "rgb", "flow")
        )
        assert cell == "; ".join(of_streams)
    assert [scene[1], scene[4]] == [figures("nearest scene", one) for one in ("official", "paper")]
    for fold in "23":
        other = [figures(whole, "official", x, fold=fold) for x in ("accuracy", "low", "high")]
        assert "{} ({} to {})".format(*other) in " ".join(PAGE.split())
    here = float(figures("network", "official", streams="both"))
    assert f"hides {float(random['network'][0]) - here:.0f} points" in " ".join(PAGE.split())
