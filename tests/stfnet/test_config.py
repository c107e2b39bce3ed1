"""Configurations: what they refuse, and the way to JSON and back."""

import dataclasses
import json

import pytest

from preprocessing.errors import UserError
from stfnet import plans
from stfnet.config import (
    ClipConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    check_together,
    from_dict,
    microbatches_per_device,
    read_json,
    to_dict,
)
from stfnet.model import MERGES


def test_a_run_configuration_survives_json(tmp_path):
    model = ModelConfig(3, ClipConfig(num_frames=5), merge="sum")
    training = TrainingConfig(learning_rates=(1e-3,), max_epochs=(4,), frozen_blocks=(0,))
    config = RunConfig("mine", ("a", "b", "c"), model, training, protocol="paper")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_dict(config)))
    assert read_json(RunConfig, path) == config


@pytest.mark.parametrize(
    ("frozen", "unchanged"),
    [((5, 5), [5, 5]), ((5, 4, 5), [5, 4, 4]), ((5, 0, 3), [5, 0, 0]), ((0, 5), [0, 0])],
)
def test_blocks_are_unchanged_until_a_stage_trains_them(frozen, unchanged):
    stages = len(frozen)
    training = TrainingConfig((1e-3,) * stages, (1,) * stages, frozen_blocks=frozen)
    assert [training.unchanged_blocks(stage) for stage in range(stages)] == unchanged


def _training(**changes):
    return lambda: TrainingConfig(**changes)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipConfig(num_frames=0), "clip.num_frames=0"),
        (lambda: ClipConfig(short_video="wrap"), "'pad_last', 'loop', 'error'"),
        (lambda: ClipConfig(flow_bound=NAN), "clip.flow_bound=nan"),
        (lambda: ClipConfig(image_size=10**9), "clip.image_size=1000000000"),
        (lambda: ModelConfig(3, merge="max"), "model.merge='max'"),
        (lambda: ModelConfig(3, width_divisor=3), "does not divide 64"),
        (lambda: ModelConfig(3, fc6_dropout=1.5), "model.fc6_dropout=1.5"),
        (lambda: ModelConfig(3, fusion_relu="no"), "model.fusion_relu='no' is not True or False"),
        (lambda: ModelConfig(3, clip=5), "model.clip=5 is not a group of settings"),
        (lambda: ModelConfig(0), "model.num_classes=0"),
        (_training(learning_rates=(), max_epochs=(), frozen_blocks=()), "has no stage"),
        (_training(learning_rates=(1e-3, -1e-4)), "training.learning_rates="),
        (_training(learning_rates=(1e-3, 0.0)), "training.learning_rates="),
        (_training(learning_rates=1e-3), "training.learning_rates=0.001 is not a tuple"),
        (_training(max_epochs=(1,)), "one a stage"),
        (_training(max_epochs=(0, 0)), "training.max_epochs="),
        (_training(frozen_blocks=(6, 0)), "training.frozen_blocks="),
        (_training(tau_range=(3, 2)), "training.tau_range="),
        (_training(tau_range=(2, 3, 4)), "training.tau_range="),
        (_training(batch_size=2.5), "training.batch_size=2.5"),
        (_training(clip_norm=-1.0), "training.clip_norm=-1.0"),
        (_training(clip_norm=INF), "training.clip_norm=inf"),
        (_training(label_smoothing=2.0), "training.label_smoothing=2.0"),
        (_training(ema=1.5), "training.ema=1.5"),
        (_training(warmup_epochs=-1.0), "training.warmup_epochs=-1.0"),
        (_training(warmup_epochs=47.0), "longer than a stage"),
        (_training(checkpoint_minutes=NAN), "training.checkpoint_minutes=nan"),
        (_training(validation_fraction=1.0), "training.validation_fraction=1.0"),
        (_training(seed=-1), "training.seed=-1"),
        (_training(seed=True), "training.seed=True"),
        (_training(weights=None), "training.weights=None is not text"),
        (
            _training(weight_decay=0.1),
            "weight_decay=0.1 has no effect with training.optimizer=adam",
        ),
        (_training(temporal_conv1="cross_modality"), "temporal_conv1=cross_modality has no effect"),
        (_training(fc6_init="imagenet"), "fc6_init=imagenet has no effect"),
        (_training(fc6_init="imagenet", weights="best.keras"), "fc6_init=imagenet has no effect"),
        (lambda: from_dict(ClipConfig, {"frames": 3}), "no setting frames; it has num_frames"),
        (lambda: from_dict(ModelConfig, {}), "num_classes"),
        (lambda: from_dict(ModelConfig, []), "ModelConfig is a group of settings, not []"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


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


def test_a_missing_file_names_the_folder(tmp_path):
    with pytest.raises(UserError, match=r"is missing: is .* the folder of a run"):
        read_json(RunConfig, tmp_path / "config.json")


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


def test_inputs_of_the_network_have_two_channels_a_flow_field():
    clip = ClipConfig(flow_length=5)
    assert ModelConfig(3, clip).input_channels == {"rgb": 3, "flow": 10}
    assert ModelConfig(3, clip, streams="flow").input_channels == {"flow": 10}


def test_choices_are_those_of_the_modules_that_implement_them():
    def choices(config, name):
        fields = {field.name: field for field in dataclasses.fields(config)}
        return fields[name].metadata["allowed"]

    assert choices(ModelConfig, "merge") == tuple(MERGES)
    augmentations = choices(TrainingConfig, "augmentation")
    assert {*plans.MIRRORED, *plans.CROPPED, "none"} == set(augmentations)
