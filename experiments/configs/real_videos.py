r"""A few hundred videos of one's own on a CPU, in class folders with a splits.csv.

    python -m experiments.prepare --source=folder:VIDEOS --output=RECORDS --image_size=112 \
        --resize=motion --frame_grid=16
    python -m experiments.train --config=experiments/configs/real_videos.py --records=RECORDS \
        --workdir=RUN --cache=features

The name after a colon chooses what the streams start from:

imagenet   (default) full VGG-16s keep ImageNet's weights (`--config.training.weights=FILE.h5` names
           a copy of them), and their maps are computed once. They see the window in which a video
           moves most, since people are small in most recordings. What follows them is small, and a
           linear path, which starts as a logistic regression, stands beside the LSTMs.
           Cross-validation over the training videos chooses among RGB, flow and both;
           `--config.model.streams=both` leaves that out.
scratch    a narrow network (VGG channels divided by 8) without pretrained weights, regularised by
           weight decay, dropout, label smoothing and mirrored and cropped clips, for
           `--image_size=96 --resize=stretch` (no grid) and `--cache=memory`. Where a mirrored
           action is another one, as a forehand and a backhand, give
           `--config.training.augmentation=crop`.

Where no splits.csv names the split, give `--config.protocol=group`.

Time: 2 minutes for the maps of 100 videos, 1 minute for each run. Expected result:
docs/guide/own_videos.md.
"""

from experiments.configs import defaults
from preprocessing.errors import UserError


def _imagenet():
    return defaults.changed(
        protocol="official",
        model=dict(
            clip=dict(num_frames=16, flow_length=4, image_size=112, resize="motion"),
            network="small_data",
            streams="auto",
            map_levels=(3, 4, 5),
            map_norm=True,
            map_dropout=0.5,
            fusion_filters=16,
            conv_pool=True,
            linear_parts=4,
            linear_root=True,
            linear_quarters=True,
            fc6_units=128,
            lstm_units=64,
            normalize="all",
        ),
        training=dict(
            learning_rates=(1e-4,),
            max_epochs=(12,),
            frozen_blocks=(5,),
            batch_size=8,
            # Larger steps of the LSTMs gained nothing on validation groups.
            optimizer="sgd",
            schedule="cosine",
            label_smoothing=0.1,
            tau_range=(5, 1000),
            frame_grid=16,
            keep="last",
            train_on_validation=True,
            linear_start=True,
            validation_fraction=0.1,
            weights="imagenet",
            temporal_conv1="cross_modality",
        ),
    )


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


STARTS = {"imagenet": _imagenet, "scratch": _scratch}


def get_config(start="imagenet"):
    if start not in STARTS:
        raise UserError(f"real_videos.py:{start} is not one of {', '.join(STARTS)}")
    return STARTS[start]()
