"""The table that compares a result with the published figures."""

import pytest

from experiments import paper


def test_the_papers_own_figures_are_those_of_its_tables():
    own = {name: rates["Ou & Sun 2019"] for name, rates in paper.ACCURACY.items()}
    assert own == {"ucf101": 95.3, "ucf11": 100.0, "ucf_sports": 100.0}


def test_a_result_stands_last_below_the_published_figures_in_order():
    text = paper.comparison({"dataset": "ucf11", "protocol": "paper", "top1": 0.9125})
    lines = text.splitlines()
    assert lines[-1].split() == ["this", "run,", "protocol", "paper", "91.2", "%"]
    rates = [float(line.split()[-2]) for line in lines[:-1]]
    assert rates == [84.2, 84.9, 88.0, 94.6, 100.0]
    assert len({len(line) for line in lines}) == 1  # the columns are aligned


@pytest.mark.parametrize("protocol", ["group", "official"])
def test_a_split_without_leak_is_not_compared_without_a_word(protocol):
    text = paper.comparison({"dataset": "ucf101", "protocol": protocol, "top1": 0.5})
    assert text.endswith("leaks groups into the test.\n")
    assert f"this run, protocol {protocol}" in text
    text = paper.comparison({"dataset": "ucf_sports", "protocol": protocol, "top1": 0.5})
    assert text.endswith("random split of clips (--protocol=paper).\n")


def test_a_data_set_that_the_paper_does_not_report_is_not_compared():
    for name in ("kinetics", "ucf11 (11 of 11 classes, 1599 of 1600 clips)"):
        assert paper.comparison({"dataset": name}) == ""


def test_every_published_figure_has_a_citation_and_only_the_papers_own_are_on_its_split():
    for rows in paper.PUBLISHED.values():
        assert all(row.citation for row in rows)
        assert [row.method for row in rows if row.protocol == "paper"] == ["Ou & Sun 2019"]
        rates = [row.rate for row in rows]
        assert rates == sorted(rates)
