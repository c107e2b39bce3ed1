"""LRCN: fc6 of every frame to an LSTM, a score at every frame."""

import re
from pathlib import Path

import numpy as np

from stfnet.networks import LRCNConfig

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "baselines.md"


def test_parameters_of_the_papers_text(counts):
    found = counts(LRCNConfig(101, streams="rgb"))
    assert found == {
        "rgb_stream": 14_714_688,
        "rgb_fc6": 102_764_544,
        "lstm_rgb": 4 * 256 * (4096 + 256 + 1),  # four gates with a bias
        "rgb_scores": 257 * 101,
    }


def test_a_score_at_every_frame_of_the_lstm(restated, tiny, numpy_pool5, softmax):
    one = restated(tiny("lrcn"))
    scores = []
    for stream, maps in one.maps.items():
        fc6 = np.maximum(one.dense(f"{stream}_fc6", numpy_pool5(maps).reshape(2, 3, -1)), 0)
        scores.append(softmax(one.dense(f"{stream}_scores", one.lstm(f"lstm_{stream}", fc6))))
    want = np.concatenate(scores, axis=1).mean(axis=1)
    np.testing.assert_allclose(one.answers, want, rtol=1e-9)
    # Both streams alike, which is one of its authors' two fusions, and the page names the other.
    of_stream = [score.mean(axis=1) for score in scores]
    assert np.abs(one.answers - np.average(of_stream, axis=0, weights=(1, 2))).max() > 1e-3
    row = r"\| scores of streams \| .* both alike \| .*`lrcn`.* flow 2/3"
    assert re.search(row, PAGE.read_text())
