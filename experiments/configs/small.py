"""A few hundred videos of one's own on a CPU: VGG-16 weights kept as they are, 96-pixel clips.

The streams are full VGG-16s whose weights (`--config.training.weights=FILE.h5` or `imagenet`) stay
fixed; the fusion, fc6 and the LSTMs are trained. A step then needs no backward pass through the
streams, which is two thirds of the work.
"""

from experiments.configs import defaults


def get_config():
    return defaults.changed(
        protocol="official",
        model=dict(
            clip=dict(num_frames=6, flow_length=4, image_size=96),
            lstm_units=101,
            fc6_units=512,
            normalize="all",
        ),
        training=dict(
            learning_rates=(1e-4, 1e-5),
            max_epochs=(8, 2),
            frozen_blocks=(5, 5),
            patience=6,
            batch_size=8,
            optimizer="adamw",
            weight_decay=1e-2,
            clip_norm=1.0,
            tau_range=(3, 9),
            weights="imagenet",
            temporal_conv1="cross_modality",
            validation_fraction=0.15,
        ),
    )
