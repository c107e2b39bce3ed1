r"""A few hundred videos of one's own on a CPU, in class folders with a splits.csv.

    python -m experiments.prepare --source=folder:VIDEOS --output=RECORDS --image_size=96 \
        --num_frames=8 --flow_quality=fast
    python -m experiments.train --config=experiments/configs/real_videos.py --records=RECORDS \
        --workdir=RUN --cache=memory

The name after a colon chooses what the streams start from:

scratch    (default) a narrow network (VGG channels divided by 8) without pretrained weights,
           regularised by weight decay, dropout, label smoothing and mirrored and cropped clips.
           Where a mirrored action is another one, as a forehand and a backhand, give
           `--config.training.augmentation=crop`.
imagenet   full VGG-16s whose ImageNet weights (or `--config.training.weights=FILE.h5`) stay fixed,
           clips of 6 frames (`--num_frames=6`). The fusion, fc6 and the LSTMs are trained; a step
           needs no backward pass through the streams, which is two thirds of the work.

On a processor with AMX, `--config.training.precision=mixed_bfloat16` is several times as fast; on
one without, it is several times as slow (docs/performance.md).

Without a splits.csv, give `--config.protocol=group`.

Time: not measured (34 epochs of 144 clips were trained). Expected result: docs/real_videos.md; of
`imagenet`: not measured.
"""

from experiments.configs import defaults
from preprocessing.errors import UserError


def _scratch():
    return defaults.changed(
        protocol="official",
        model=dict(
            clip=dict(num_frames=8, flow_length=4, image_size=96),
            width_divisor=8,
            fc6_units=64,
            lstm_units=32,
            normalize="all",
            rgb_input="unit",
            flow_input="pixels",
            fc6_dropout=0.5,
            lstm_dropout=0.25,
        ),
        training=dict(
            learning_rates=(1e-3, 1e-4),
            max_epochs=(30, 4),
            patience=12,
            batch_size=8,
            optimizer="adamw",
            weight_decay=1e-2,
            clip_norm=1.0,
            label_smoothing=0.1,
            tau_range=(2, 8),
            augmentation="flip_crop",
        ),
    )


def _imagenet():
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


STARTS = {"scratch": _scratch, "imagenet": _imagenet}


def get_config(start="scratch"):
    if start not in STARTS:
        raise UserError(f"real_videos.py:{start} is not one of {', '.join(STARTS)}")
    return STARTS[start]()
