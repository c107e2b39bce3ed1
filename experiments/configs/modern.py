r"""A current training recipe in place of the paper's (paper.py). Time and result: not measured.

    python -m experiments.train --config=experiments/configs/modern.py --records=RECORDS \
        --workdir=RUN

AdamW with decoupled weight decay, warm-up and cosine, label smoothing, mirrored and cropped clips,
a running mean of the weights (EMA), gradients clipped. The streams stay frozen in stage 1, so that
a new fusion does not spoil their ImageNet weights, and are trained from block 3 on in stage 2. The
fusion starts from the sum of the streams, and the LSTMs are normalised whole.
"""

from experiments.configs import defaults


def get_config():
    return defaults.changed(
        model=dict(
            clip=dict(num_frames=17, flow_length=4, image_size=224),
            fusion_init="identity_sum",
            normalize="all",
        ),
        training=dict(
            learning_rates=(3e-4, 3e-5),
            max_epochs=(10, 40),
            frozen_blocks=(5, 2),
            patience=10,
            batch_size=16,
            accumulation_steps=16,
            optimizer="adamw",
            weight_decay=0.05,
            warmup_epochs=1.0,
            schedule="cosine",
            clip_norm=1.0,
            label_smoothing=0.1,
            tau_range=(2, 10),
            balanced=True,
            augmentation="flip_crop",
            weights="imagenet",
            temporal_conv1="cross_modality",
            ema=0.999,
        ),
    )
