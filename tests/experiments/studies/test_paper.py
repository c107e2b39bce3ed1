"""The published figures beside a result, and the arithmetic of the paper's times by hand."""

import re

import pytest

from experiments.studies import paper


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


def test_the_claim_needs_52_tflops_which_is_over_four_times_the_peak():
    claim = paper.claim()
    # 574 G multiply-adds, two operations each, three passes; 9,324 clips, 140 epochs, one day.
    assert claim.multiply_adds == pytest.approx(574e9, rel=0.001)
    assert claim.milliseconds == pytest.approx(86400e3 / (9324 * 140))
    text = " ".join(claim.lines)
    for figure in ("574 G", "9,324 clips", "52 TFLOP/s", "11.3 TFLOP/s", "4.6 times", "4.6 days"):
        assert figure in text
    assert "0.770 s" in text and "1.5 TFLOP/s, 13% of the peak" in text


def test_the_printed_product_is_right():
    line = paper.claim().lines[1]
    (product,) = re.findall(r"([\d.]+) T × ([\d,]+) × (\d+) / ([\d,]+) s = (\d+) TFLOP/s", line)
    step, clips, epochs, seconds, result = (float(x.replace(",", "")) for x in product)
    assert step * clips * epochs / seconds == pytest.approx(result, rel=0.01)
