"""LRCN, long-term recurrent convolutional network (Donahue et al. 2015), of one or two streams.

fc6 of every frame goes to an LSTM of 256 units, which classifies at every frame; the scores are
averaged over the clip, and over the streams where there are two (each with an LSTM of its own),
both alike; its authors also give frames 1/3 and flow 2/3.
Every frame's score is learned from. The paper's network over frames is a CaffeNet, and here VGG-16;
the paper's LSTM over flow has 1024 units in its later version, here both have as many.
Its text gives no figure of parameters, so the count is arithmetic from it.

Reference:
    Donahue et al., "Long-term recurrent convolutional networks for visual recognition and
    description", CVPR 2015.
"""

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the streams' maps.

    Args:
        config: ModelConfig, with `lrcn`.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    scores = []
    for stream, x in maps.items():
        x = parts.flattened(parts.pool5(x))
        x = parts.fully_connected(config, x, stream, dtype, layers=1)
        x = parts.lstm(config, x, config.lrcn.lstm_units, stream, dtype)
        scores.append(parts.class_scores(config, x, f"{stream}_scores", dtype))
    return parts.averaged(scores, [1] * len(maps) * config.clip.num_frames, dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    units = config.lrcn.lstm_units
    frame = parts.fully_connected_multiply_adds(config, layers=1)
    frame += parts.lstm_multiply_adds(config.fc6_units, units) + units * config.num_classes
    return len(config.input_channels) * config.clip.num_frames * frame
