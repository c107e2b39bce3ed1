"""The two-stream ConvNet: every frame of every stream by itself, scores averaged."""

import numpy as np

from stfnet import ClipConfig
from stfnet.networks import TwoStreamConfig


def test_a_stream_has_the_parameters_of_vgg16(counts):
    # keras.applications.VGG16 of 1000 classes: 138,357,544. Flow stacks of 10 fields, as in the
    # paper, have 20 channels in place of 3 (17 x 9 x 64 more).
    clip = ClipConfig(flow_length=10)
    rgb = counts(TwoStreamConfig(1000, clip, streams="rgb"))
    both = counts(TwoStreamConfig(1000, clip))
    assert sum(rgb.values()) == 138_357_544
    assert sum(both.values()) == 2 * 138_357_544 + 17 * 9 * 64
    assert rgb["rgb_fc6"] == 102_764_544 and rgb["rgb_fc7"] == 16_781_312


def test_scores_of_frames_and_streams_are_averaged(restated, tiny, numpy_pool5, softmax):
    one = restated(tiny("two_stream"))
    scores = []
    for stream, maps in one.maps.items():
        for t in range(3):
            x = one.fc7(stream, numpy_pool5(maps)[:, t].reshape(2, -1))
            scores.append(softmax(one.dense(f"{stream}_scores", x)))
    np.testing.assert_allclose(one.answers, np.mean(scores, axis=0), rtol=1e-9)
