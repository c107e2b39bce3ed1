"""Conv pooling of "Beyond short snippets" (Ng et al. 2015).

The last maps of all frames of a clip (after pool5) are reduced to their maximum over time, which
keeps where in the frame something was seen; fc6, fc7 and the classes follow. Each stream does so
by itself, and the scores are averaged. The paper found this the best of its poolings. It gives no
figure of parameters: with VGG-16 a stream has exactly VGG-16's.

Reference:
    Ng et al., "Beyond short snippets: deep networks for video classification", CVPR 2015.
"""

from keras import ops

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the streams' maps.

    Args:
        config: ModelConfig.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    scores = []
    for stream, x in maps.items():
        x = ops.max(parts.flattened(parts.pool5(x)), axis=1)  # b t f -> b f
        x = parts.fully_connected(config, x, stream, dtype)
        scores.append(parts.class_scores(config, x, f"{stream}_scores", dtype))
    return parts.averaged(scores, [1] * len(maps), dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    one = parts.fully_connected_multiply_adds(config) + config.fc6_units * config.num_classes
    return len(config.input_channels) * one
