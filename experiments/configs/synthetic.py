"""The embedded synthetic actions: a narrow network from scratch, minutes on two CPU cores."""

from experiments.configs import defaults


def get_config():
    return defaults.changed(
        model=dict(
            clip=dict(num_frames=6, flow_length=4, image_size=64),
            width_divisor=8,
            fc6_units=64,
            lstm_units=32,
            normalize="all",
            fc6_dropout=0.2,
            lstm_dropout=0.1,
        ),
        training=dict(
            learning_rates=(4e-4, 4e-5),
            max_epochs=(22, 4),
            patience=12,
            batch_size=8,
            tau_range=(4, 6),
            clip_norm=1.0,
        ),
    )
