"""UCF101 with the paper's network and recipe (Ou & Sun 2019, section 3 of docs/fidelity.md).

The paper's split is `--config.protocol=paper`; the default here is the official split 1, on which
no group of clips is in both training and test.
"""

from experiments.configs import defaults

NUM_VIDEOS = 13_320
NUM_CLASSES = 101


def get_config():
    return defaults.changed(
        protocol="official",
        model=dict(
            clip=dict(num_frames=17, flow_length=4, image_size=224),
            lstm_units=101,
            fc6_units=4096,
        ),
        training=dict(
            learning_rates=(1e-5, 1e-6),
            max_epochs=(140, 46),
            frozen_blocks=(0, 0),
            patience=10,
            batch_size=8,
            accumulation_steps=8,
            tau_range=(2, 10),
            weights="imagenet",
            temporal_conv1="random",
        ),
    )
