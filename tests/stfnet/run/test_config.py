"""A run's settings that depend on each other."""

import pytest

from preprocessing.errors import UserError
from stfnet.config import (
    ClipConfig,
    RecordsConfig,
    TrainingConfig,
    from_dict,
    microbatches_per_device,
    to_dict,
)
from stfnet.networks import C3DConfig, LRCNConfig, ModelConfig, SmallDataConfig
from stfnet.run.config import (
    RunConfig,
    check_together,
    partial_statistics,
    refuse_without_effect,
)


@pytest.mark.parametrize("devices", [1, 2])
def test_statistics_over_the_batch_need_two_clips_at_a_time(devices):
    model = ModelConfig(3, lstm_statistics="batch")
    size = 4 * devices
    two_clips = TrainingConfig(batch_size=size, accumulation_steps=2 * devices)
    check_together(model, two_clips, devices)
    one_clip = TrainingConfig(batch_size=size, accumulation_steps=4 * devices)
    with pytest.raises(UserError, match="lstm_statistics=batch needs two clips or more"):
        check_together(model, one_clip, devices)
    check_together(ModelConfig(3), one_clip, devices)


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({"width_divisor": 2}, {"weights": "imagenet"}, "need model.width_divisor=1, not 2"),
        ({"fc6_units": 8}, {"fc6_init": "imagenet"}, "need model.fc6_units=4096, not 8"),
        ({"clip": ClipConfig(image_size=96)}, {"fc6_init": "imagenet"}, "image_size=224, not 96"),
    ],
)
def test_weights_of_vgg16_need_a_network_of_its_shapes(model, training, message):
    training = TrainingConfig(**{"weights": "vgg16.h5", **training})
    with pytest.raises(UserError, match=message):
        check_together(ModelConfig(3, **model), training)


@pytest.mark.parametrize(
    ("batch", "steps", "devices", "microbatches"),
    [(8, 8, 1, 8), (8, 8, 2, 4), (8, 8, 8, 1), (8, 1, 2, 1), (12, 4, 2, 2), (12, 6, 4, 3)],
)
def test_the_microbatches_of_a_batch_follow_from_the_devices(batch, steps, devices, microbatches):
    config = TrainingConfig(batch_size=batch, accumulation_steps=steps)
    assert microbatches_per_device(config, devices) == microbatches
    assert batch // devices // microbatches <= batch // steps


def test_a_batch_smaller_than_the_devices_is_refused():
    with pytest.raises(UserError, match="batch_size=8 cannot be shared by 3 devices"):
        microbatches_per_device(TrainingConfig(batch_size=8), 3)


def test_a_run_of_a_version_that_kept_nothing_of_its_records_had_jpeg_95():
    config = RunConfig("tiny", ("Bow", "Jump"), ModelConfig(2), TrainingConfig())
    values = to_dict(config)
    del values["records"]
    assert from_dict(RunConfig, values).records == RecordsConfig("jpeg", 95, 0)
    with pytest.raises(UserError, match=r"records\.jpeg_quality=101 is not"):
        RecordsConfig("jpeg", 101)


@pytest.mark.parametrize(
    ("model", "steps", "devices", "clips"),
    [
        ({}, 4, 2, None),
        ({"map_norm": True}, 1, 1, None),
        ({"map_norm": True}, 1, 4, None),  # synchronised
        ({"map_norm": True}, 2, 1, 4),
        ({"linear_parts": 2}, 4, 1, 2),
        ({"linear_parts": 2}, 4, 2, 2),
        ({"lstm_statistics": "batch"}, 1, 2, 4),
        ({"lstm_statistics": "batch"}, 1, 1, None),
    ],
)
def test_statistics_of_a_part_of_a_batch_are_told(model, steps, devices, clips):
    training = TrainingConfig(batch_size=8, accumulation_steps=steps)
    text = partial_statistics(SmallDataConfig(3, **model), training, devices)
    assert bool(text) == bool(clips)
    assert (
        f"over the {clips} clips that a device computes at once, not over all 8" in text
        or not clips
    )


def test_statistics_that_a_linear_start_gave_are_of_no_batch():
    training = TrainingConfig(batch_size=8, accumulation_steps=4, linear_start=True)
    assert not partial_statistics(SmallDataConfig(3, linear_parts=2), training, 1)
    assert partial_statistics(
        SmallDataConfig(3, linear_parts=2, lstm_statistics="batch"), training, 1
    )


def test_a_network_without_batch_statistics_needs_no_note():
    training = TrainingConfig(batch_size=8, accumulation_steps=4)
    assert not partial_statistics(LRCNConfig(3), training, 1)


def test_settings_of_a_new_run_without_effect_are_refused():
    kept = TrainingConfig(weights="imagenet", temporal_conv1="cross_modality", remat=True)
    refuse_without_effect(ModelConfig(3), kept)
    with pytest.raises(UserError, match=r"remat=True has no effect with the network c3d"):
        refuse_without_effect(C3DConfig(3), TrainingConfig(remat=True))
    taken = TrainingConfig(weights="best.keras", temporal_conv1="cross_modality")
    with pytest.raises(UserError, match=r"temporal_conv1=cross_modality has no effect with .*"):
        refuse_without_effect(ModelConfig(3), taken)
    RunConfig("old", ("a", "b", "c"), ModelConfig(3), taken)  # runs of earlier versions have it
