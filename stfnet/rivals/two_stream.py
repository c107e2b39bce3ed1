"""Two-stream ConvNet (Simonyan & Zisserman 2014), with VGG-16 in both streams.

Each stream classifies every frame of the clip by itself, the flow stream from the 2L channels of
its stack. The class scores, after their softmax, are averaged over frames and over streams: the
paper's fusion by averaging. The paper's streams are CNN-M-2048 and are trained one after the other;
here both are VGG-16 (configuration D), as in the works that followed it, and are trained in one
run, each frame of each stream with its own cross entropy.

Reference:
    Simonyan & Zisserman, "Two-stream convolutional networks for action recognition in videos",
    NIPS 2014.
"""

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the streams' maps.

    A stream with 1000 classes is VGG-16 and has its 138,357,544 parameters.

    Args:
        config: ModelConfig.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    scores = []
    for stream, x in maps.items():
        x = parts.flattened(parts.pool5(x))
        x = parts.fully_connected(config, x, stream, dtype)
        scores.append(parts.class_scores(config, x, f"{stream}_scores", dtype))
    return parts.averaged(scores, [1] * len(maps) * config.clip.num_frames, dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    frame = parts.fully_connected_multiply_adds(config) + config.fc6_units * config.num_classes
    return len(config.input_channels) * config.clip.num_frames * frame
