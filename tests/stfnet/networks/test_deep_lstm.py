"""The deep LSTM of "Beyond short snippets": later frames count more."""

import numpy as np

from stfnet.networks import DeepLSTMConfig


def test_parameters_of_the_papers_text(counts):
    found = counts(DeepLSTMConfig(101, streams="rgb"))
    first, later = 4 * 512 * (4096 + 512 + 1), 4 * 512 * (512 + 512 + 1)
    vgg16_to_fc7 = 14_714_688 + 102_764_544 + 16_781_312
    assert [name for name in found if name.startswith("lstm")] == [
        f"lstm_rgb_{number}" for number in range(1, 6)
    ]
    assert sum(found.values()) == vgg16_to_fc7 + first + 4 * later + 513 * 101


def test_frame_t_of_a_clip_has_the_weight_t(restated, tiny, numpy_pool5, softmax):
    one = restated(tiny("deep_lstm"))
    want = 0
    for stream, maps in one.maps.items():
        x = one.fc7(stream, numpy_pool5(maps).reshape(2, 3, -1))
        for number in (1, 2):
            x = one.lstm(f"lstm_{stream}_{number}", x)
        scores = softmax(one.dense(f"{stream}_scores", x))
        want = want + (1 * scores[:, 0] + 2 * scores[:, 1] + 3 * scores[:, 2]) / 12
    np.testing.assert_allclose(one.answers, want, rtol=1e-9)
