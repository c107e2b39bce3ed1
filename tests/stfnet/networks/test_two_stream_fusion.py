"""Two-stream fusion: the convolution of both maps, 3-D pooling, and the temporal stream beside."""

import numpy as np

from stfnet import build_stfnet
from stfnet.networks import TwoStreamFusionConfig


def test_parameters_of_the_papers_text(counts):
    found = counts(TwoStreamFusionConfig(101))
    ends = 102_764_544 + 16_781_312 + 4097 * 101  # fc6, fc7 and classes of VGG-16
    fusion = 27 * 1024 * 512 + 512  # f of 3 x 3 x 3 x 1024 x 512
    assert found["fusion_conv"] == fusion
    assert sum(found.values()) == 2 * 14_714_688 + 2_880 + fusion + 2 * ends == 283_507_850


def test_fused_and_temporal_scores_are_averaged(
    restated, tiny, numpy_convolution, numpy_pool5, softmax
):
    one = restated(tiny("two_stream_fusion"))
    both = np.empty((2, 3, 3, 3, 32))
    both[..., 0::2], both[..., 1::2] = one.maps["rgb"], one.maps["flow"]
    layer = one.model.get_layer("fusion_conv")
    fused = numpy_convolution(both, layer.kernel.numpy(), layer.bias.numpy())
    scores = []
    for name, maps in (("fused", np.maximum(fused, 0)), ("flow", one.maps["flow"])):
        cube = numpy_pool5(maps).max(axis=1).reshape(2, -1)
        scores.append(softmax(one.dense(f"{name}_scores", one.fc7(name, cube))))
    np.testing.assert_allclose(one.answers, np.mean(scores, axis=0), rtol=1e-9)


def test_the_convolution_starts_as_the_sum_of_the_streams(tiny):
    layer = build_stfnet(tiny("two_stream_fusion")).get_layer("fusion_conv")
    a, b = np.random.default_rng(2).uniform(0, 1, (2, 1, 3, 3, 3, 16)).astype("float32")
    both = np.stack([a, b], axis=-1).reshape(1, 3, 3, 3, 32)
    np.testing.assert_allclose(layer(both), a + b, rtol=1e-5)
