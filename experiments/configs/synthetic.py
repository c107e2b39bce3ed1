"""The embedded synthetic actions: a narrow network from scratch, minutes on two CPU cores."""

from ml_collections import config_dict


def get_config():
    return config_dict.create(
        protocol="group",
        fold=1,
        split_seed=0,
        model=dict(
            clip=dict(num_frames=6, flow_length=4, image_size=64),
            streams="both",
            width_divisor=8,
            fc6_units=64,
            lstm_units=32,
            rgb_input="unit",
            flow_input="pixels",
            normalize="all",
            fc6_dropout=0.2,
            lstm_dropout=0.1,
        ),
        training=dict(
            learning_rates=(1e-3, 1e-4),
            max_epochs=(24, 4),
            frozen_blocks=(0, 0),
            patience=10,
            batch_size=16,
            tau_range=(2, 5),
            clip_norm=1.0,
        ),
    )
