"""The deep LSTM of "Beyond short snippets" (Ng et al. 2015), over both streams.

VGG-16's fc7 of every frame goes through five LSTMs of 512 units, one upon the other, and a softmax
at every frame. Frame t of T (from 1) counts with the weight t / T, in the loss as in the answer:
the paper's gain, which rises linearly so that the later, better informed answers count more. Each
stream has its own LSTMs; their scores are averaged. The paper's networks over frames are AlexNet
and GoogLeNet. It gives no figure of parameters, so the count is arithmetic from its text.

Reference:
    Ng et al., "Beyond short snippets: deep networks for video classification", CVPR 2015.
"""

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the streams' maps.

    Args:
        config: ModelConfig, with `deep_lstm`.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    scores = []
    for stream, x in maps.items():
        x = parts.flattened(parts.pool5(x))
        x = parts.fully_connected(config, x, stream, dtype)
        for number in range(1, config.deep_lstm.lstm_layers + 1):
            x = parts.lstm(config, x, config.deep_lstm.lstm_units, f"{stream}_{number}", dtype)
        scores.append(parts.class_scores(config, x, f"{stream}_scores", dtype))
    rising = range(1, config.clip.num_frames + 1)
    return parts.averaged(scores, [*rising] * len(maps), dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    units, layers = config.deep_lstm.lstm_units, config.deep_lstm.lstm_layers
    frame = parts.fully_connected_multiply_adds(config) + units * config.num_classes
    frame += parts.lstm_multiply_adds(config.fc6_units, units)
    frame += (layers - 1) * parts.lstm_multiply_adds(units, units)
    return len(config.input_channels) * config.clip.num_frames * frame
