"""TSN: the mean of the segments' logits is a stream's answer; flow weighs 1.5 times as much."""

import re
from pathlib import Path

import numpy as np

from stfnet.networks import TSNConfig

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "baselines.md"


def test_parameters_of_one_linear_layer(counts):
    assert counts(TSNConfig(101)) == {
        "rgb_stream": 14_714_688,
        "flow_stream": 14_714_688 + 2_880,
        "rgb_scores": 513 * 101,
        "flow_scores": 513 * 101,
    }


def test_consensus_is_before_and_fusion_after_the_softmax(restated, tiny, softmax):
    one = restated(tiny("tsn"))
    score = {}
    for stream, maps in one.maps.items():
        segments = [one.dense(f"{stream}_scores", maps[:, t].mean(axis=(1, 2))) for t in range(3)]
        score[stream] = softmax(np.mean(segments, axis=0))
    want = (score["rgb"] + 1.5 * score["flow"]) / 2.5
    np.testing.assert_allclose(one.answers, want, rtol=1e-9)
    # Its authors' fusion is another, and the page says so.
    logits = {stream: np.log(score[stream]) for stream in score}
    theirs = softmax(logits["rgb"] + 1.5 * logits["flow"])
    assert np.abs(one.answers - theirs).max() > 1e-3
    assert re.search(
        r"\| scores of the streams of `tsn` \| .* after .* \| .* before ", PAGE.read_text()
    )
