"""Conv pooling of "Beyond short snippets": the maximum of the maps over time."""

import numpy as np

from stfnet.networks import ConvPoolingConfig


def test_a_stream_has_the_parameters_of_vgg16(counts):
    found = counts(ConvPoolingConfig(1000, streams="rgb"))
    assert sum(found.values()) == 138_357_544


def test_maps_are_reduced_over_time_before_fc6(restated, tiny, numpy_pool5, softmax):
    one = restated(tiny("conv_pooling"))
    scores = []
    for stream, maps in one.maps.items():
        x = one.fc7(stream, numpy_pool5(maps).max(axis=1).reshape(2, -1))
        scores.append(softmax(one.dense(f"{stream}_scores", x)))
    np.testing.assert_allclose(one.answers, np.mean(scores, axis=0), rtol=1e-9)
