r"""A few hundred videos of one's own on a CPU, in class folders with a splits.csv.

    python -m experiments.prepare --source=folder:VIDEOS --output=RECORDS --image_size=112 \
        --num_frames=8 --flow_quality=fast
    python -m experiments.train --config=experiments/configs/real_videos.py --records=RECORDS \
        --workdir=RUN --cache=features

ImageNet's VGG-16s stay fixed (`--config.training.weights=FILE.h5` names a copy of the weights), and
their maps are computed once. What follows them is small. Cross-validation over the training videos
chooses among RGB, flow and both (`--config.model.streams=both` leaves that out).

Without a splits.csv, give `--config.protocol=group`.

Time and expected result: docs/real_videos.md.
"""

from experiments.configs import defaults


def get_config():
    return defaults.changed(
        protocol="official",
        model=dict(
            clip=dict(num_frames=8, flow_length=4, image_size=112),
            streams="auto",
            map_levels=(3, 4, 5),
            map_norm=True,
            map_dropout=0.5,
            fusion_filters=16,
            conv_pool=True,
            linear_parts=4,
            fc6_units=128,
            lstm_units=64,
            normalize="all",
        ),
        training=dict(
            learning_rates=(2e-4,),
            max_epochs=(6,),
            frozen_blocks=(5,),
            batch_size=8,
            optimizer="adamw",
            weight_decay=1e-2,
            schedule="cosine",
            clip_norm=1.0,
            label_smoothing=0.1,
            tau_range=(5, 1000),
            frame_grid=16,
            keep="last",
            validation_fraction=0.1,
            weights="imagenet",
            temporal_conv1="cross_modality",
        ),
    )
