"""Two-stream LSTM: convolution and fc sequences of the frames, merged into a third LSTM."""

import numpy as np

from stfnet.networks import TwoStreamLSTMConfig


def test_parameters_of_the_papers_text(counts):
    config = TwoStreamLSTMConfig(11)
    recurrent = 101 * 404 + 404  # four kernels of 101 x 101, four biases
    assert counts(config) == {
        "rgb_stream": 14_714_688,
        "fc6": 102_764_544,
        "lstm_conv": 14 * 14 * 512 * 404 + recurrent,
        "lstm_fc": 4096 * 404 + recurrent,
        "lstm_merged": 202 * 404 + recurrent,
        "logits": 102 * 11,
    }


def test_two_sequences_are_concatenated_and_the_last_state_answers(
    restated, tiny, numpy_pool5, softmax
):
    one = restated(tiny("two_stream_lstm"))
    maps = one.maps["rgb"]
    fc6 = np.maximum(one.dense("fc6", numpy_pool5(maps).reshape(2, 3, -1)), 0)
    h_conv, h_fc = one.lstm("lstm_conv", maps.reshape(2, 3, -1)), one.lstm("lstm_fc", fc6)
    h = one.lstm("lstm_merged", np.concatenate([h_conv, h_fc], axis=-1))
    want = softmax(one.dense("logits", h[:, -1]))
    np.testing.assert_allclose(one.answers, want, rtol=1e-9)
