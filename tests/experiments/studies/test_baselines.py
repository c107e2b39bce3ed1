"""The comparison with baselines: which networks, with which settings, and what is refused."""

import dataclasses

import pytest

from experiments.configs import real_videos, synthetic
from experiments.run_config import make_run_config
from experiments.studies import baselines, runs
from experiments.studies.variants import changed_config, variants
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig
from stfnet.config import TrainingConfig
from stfnet.networks import BASELINES
from stfnet.run.config import RunConfig

MODEL = ModelConfig(
    3,
    ClipConfig(num_frames=3, flow_length=4, image_size=32),
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
)
TRAINING = TrainingConfig(
    (1e-3, 1e-4),
    (1, 1),
    frozen_blocks=(5, 5),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.3,
    seed=5,
)


@pytest.fixture
def base(tiny_records):
    return RunConfig(tiny_records.name, tiny_records.classes, MODEL, TRAINING)


def test_every_network_is_in_the_study_and_fits_it(base, tiny_records):
    study = baselines.make(base)
    found = variants(study, base)
    assert list(found) == list(baselines.NETWORKS) and study.reference == "stfnet"
    assert {one.config.model.network for one in found.values()} == {"stfnet", *BASELINES}
    assert found["stfnet"].config == base and found["lrcn_frames"].config.model.streams == "rgb"
    for one in found.values():
        assert one.config.training.max_epochs == (1, 1)
        assert one.config.model.clip == MODEL.clip
    runs.check(study, base, tiny_records, "features")


def test_a_network_without_vgg16_starts_from_nothing(base):
    training = dataclasses.replace(
        TRAINING, weights="imagenet", fc6_init="imagenet", temporal_conv1="cross_modality"
    )
    clip = dataclasses.replace(MODEL.clip, image_size=224)
    model = ModelConfig(3, clip)
    base = dataclasses.replace(base, model=model, training=training)
    found = variants(baselines.make(base), base)
    c3d = found["c3d"].config.training
    assert (c3d.weights, c3d.frozen_blocks, c3d.fc6_init) == ("", (0, 0), "random")
    assert found["lrcn"].config.training == training
    assert found["tsn"].config.training.fc6_init == "random"
    assert found["tsn"].config.training.weights == "imagenet"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.streams": "rgb"}, "needs model.streams=both, not rgb"),
        ({"model.network": "small_data", "model.linear_parts": 2}, "needs model.linear_parts=0"),
        ({"training.validation_fraction": 0.0}, "makes the test part the validation part"),
        (
            {"training.train_on_validation": True, "training.keep": "last"},
            "needs training.train_on_validation=False",
        ),
    ],
)
def test_what_does_not_fit_is_refused(base, tiny_records, settings, message):
    base = changed_config(base, settings)
    with pytest.raises(UserError) as refusal:
        runs.check(baselines.make(base), base, tiny_records, "none")
    assert message in str(refusal.value)


def test_the_configurations_of_the_documents_fit(tiny_records):
    real = real_videos.get_config()
    real.model.update(streams="both", linear_parts=0)
    real.model.update(linear_root=False, linear_quarters=False)
    changes = {"linear_start": False, "train_on_validation": False, "keep": "best"}
    real.training.update(optimizer="adam", weights="", temporal_conv1="random", **changes)
    for config, cache in ((synthetic.get_config(), "none"), (real, "features")):
        config.model.clip.update(image_size=32, resize="stretch")  # as the records
        base = make_run_config(config, tiny_records)
        runs.check(baselines.make(base), base, tiny_records, cache, (0.3, 1.0, 3.0))


def test_an_unknown_baseline_is_refused(base):
    with pytest.raises(UserError, match=r"--baselines=resnet: give some of stfnet, two_stream, "):
        baselines.make(base, ["tsn", "resnet"])


def test_maps_are_refused_where_no_block_is_frozen(base, tiny_records):
    base = changed_config(base, {"training.frozen_blocks": (0, 0)})
    with pytest.raises(UserError, match="--cache=features has no effect"):
        runs.check(baselines.make(base), base, tiny_records, "features")


@pytest.mark.parametrize("texts", [["1", "fast"], [], ["0"], ["-1"], ["nan"]])
def test_factors_are_numbers_above_0(texts):
    assert baselines.rate_factors(["0.3", "1"]) == [0.3, 1.0]
    with pytest.raises(UserError, match="are not numbers above 0"):
        baselines.rate_factors(texts)
