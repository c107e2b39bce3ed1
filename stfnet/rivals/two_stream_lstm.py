"""Two-stream LSTM (Gammulle et al. 2017), from which STFNet departs.

VGG-16 reads frames alone. The sequence of its last maps, flattened, and the sequence of fc6 each go
to an LSTM; their states are concatenated at every frame and go to a third LSTM, whose last state is
classified (the paper's fu-2). STFNet replaces the frames' maps by those of fused streams and
normalises the LSTMs; the rest is the same. The LSTMs have `model.lstm_units`, as STFNet's, so that
the two differ in nothing else; the parameters are counted from this text.

Reference:
    Gammulle, Denman, Sridharan & Fookes, "Two stream LSTM: a deep fusion framework for human action
    recognition", WACV 2017.
"""

import keras
from keras import ops

from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the maps of the frames.

    Args:
        config: ModelConfig.
        maps: `rgb` -> maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    # The layers have the names of STFNet's, by which weights are taken over and frames explained.
    x_fc = keras.layers.Dense(config.fc6_units, activation="relu", dtype=dtype, name="fc6")(
        parts.flattened(parts.pool5(maps["rgb"]))
    )
    x_fc = keras.layers.Dropout(config.fc6_dropout, dtype=dtype, name="dropout_fc6")(x_fc)
    units = config.lstm_units
    h_conv = parts.lstm(config, parts.flattened(maps["rgb"]), units, "conv", dtype)
    h_fc = parts.lstm(config, x_fc, units, "fc", dtype)
    merged = ops.concatenate([h_conv, h_fc], axis=-1)
    h = parts.lstm(config, merged, units, "merged", dtype, return_sequences=False)
    return parts.class_scores(config, h, "logits", dtype)


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    units = config.lstm_units
    frame = parts.fully_connected_multiply_adds(config, layers=1)
    for features in (parts.map_features(config), config.fc6_units, 2 * units):
        frame += parts.lstm_multiply_adds(features, units)
    return config.clip.num_frames * frame + units * config.num_classes
