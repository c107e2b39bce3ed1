"""Temporal segment network with the average as consensus (Wang et al. 2016).

The frames of a clip, spread over the video, are its segments. In each stream the map of each is
averaged over its cells and classified by one linear layer; the segments' logits are averaged before
the softmax (the consensus), and the streams' scores after it, flow with 1.5 times the weight; its
authors add these before the softmax too. Each stream learns from its own consensus. The end of the
streams is that of the paper's BN-Inception, global pooling, dropout and one layer, which is what is
mostly built today, and not VGG-16's fc6 and fc7; the paper gives no figure of parameters, so the
count is arithmetic.

Reference:
    Wang et al., "Temporal segment networks: towards good practices for deep action recognition",
    ECCV 2016.
"""

import keras
from keras import ops

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the streams' maps.

    Args:
        config: ModelConfig, with `tsn`.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    weights = {"rgb": 1.0, "flow": config.tsn.flow_weight}
    consensus = []
    for stream, x in maps.items():
        x = ops.mean(x, axis=(2, 3))  # b t h w c -> b t c
        x = keras.layers.Dropout(config.tsn.dropout, dtype=dtype, name=f"{stream}_dropout")(x)
        segments = parts.class_scores(config, x, f"{stream}_scores", dtype)  # b t classes
        consensus.append(ops.mean(segments, axis=1))
    return parts.averaged(consensus, [weights[stream] for stream in maps], dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    streams = len(config.input_channels)
    return streams * config.clip.num_frames * config.map_channels * config.num_classes
