"""The arithmetic of the paper's times, against figures worked out by hand."""

import re

import pytest

from experiments import paper_times


def test_the_claim_needs_52_tflops_which_is_over_four_times_the_peak():
    claim = paper_times.claim()
    # 574 G multiply-adds, two operations each, three passes; 9,324 clips, 140 epochs, one day.
    assert claim.multiply_adds == pytest.approx(574e9, rel=0.001)
    assert claim.flops == pytest.approx(2 * 3 * 574e9 * 9324 * 140 / 86400, rel=0.001)
    assert claim.milliseconds == pytest.approx(86400e3 / (9324 * 140))
    text = " ".join(claim.lines)
    for figure in ("574 G", "9,324 clips", "52 TFLOP/s", "11.3 TFLOP/s", "4.6 times", "4.6 days"):
        assert figure in text
    assert "0.770 s" in text and "1.5 TFLOP/s, 13% of the peak" in text


def test_the_printed_product_is_right():
    line = paper_times.claim().lines[1]
    (product,) = re.findall(r"([\d.]+) T × ([\d,]+) × (\d+) / ([\d,]+) s = (\d+) TFLOP/s", line)
    step, clips, epochs, seconds, result = (float(x.replace(",", "")) for x in product)
    assert step * clips * epochs / seconds == pytest.approx(result, rel=0.01)
