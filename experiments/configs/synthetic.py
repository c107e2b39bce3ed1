r"""The rendered actions of `make demo`: a narrow network from scratch.

    python -m experiments.prepare --source=synthetic --output=RECORDS --synthetic_groups=24 \
        --synthetic_clips=1 --image_size=64
    python -m experiments.train --config=experiments/configs/synthetic.py --records=RECORDS \
        --workdir=RUN

Time: a minute on 2 x86-64 cores without GPU (all of `make demo`, which trains three networks, takes
2 to 8). Expected on 84 clips of unseen groups (chance 8.3 %), over the seeds and machines tried:
both streams 94.0 to 100 %, `--config.model.streams=rgb` 69.0 to 75.0 %, `flow` 76.2 to 81.0 %.
"""

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
