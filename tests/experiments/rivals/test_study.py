"""The study of rivals: what is trained, and how a learning rate is chosen."""

import dataclasses

import pytest

from experiments.ablation import runs, studies
from experiments.configs import real_videos, synthetic
from experiments.rivals import study as rivals
from experiments.rivals import tables
from experiments.run_config import make_run_config
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import ARCHITECTURES, RunConfig, TrainingConfig
from stfnet.evaluation import result_files
from stfnet.inference import prediction

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


def test_every_architecture_is_in_the_study_and_fits_it(base):
    study = rivals.make(base)
    found = studies.variants(study, base)
    assert list(found) == list(rivals.NETWORKS) and study.reference == "stfnet"
    assert {one.config.model.architecture for one in found.values()} == set(ARCHITECTURES)
    assert found["stfnet"].config == base and found["lrcn_frames"].config.model.streams == "rgb"
    for one in found.values():
        assert one.config.training.max_epochs == (1, 1)
        assert one.config.model.clip == MODEL.clip
    rivals.check(study, base, (1.0,), "features")


def test_a_network_without_vgg16_starts_from_nothing(base):
    training = dataclasses.replace(
        TRAINING, weights="imagenet", fc6_init="imagenet", temporal_conv1="cross_modality"
    )
    clip = dataclasses.replace(MODEL.clip, image_size=224)
    model = ModelConfig(3, clip)
    base = dataclasses.replace(base, model=model, training=training)
    found = studies.variants(rivals.make(base), base)
    c3d = found["c3d"].config.training
    assert (c3d.weights, c3d.frozen_blocks, c3d.fc6_init) == ("", (0, 0), "random")
    assert found["lrcn"].config.training == training
    assert found["tsn"].config.training.fc6_init == "random"
    assert found["tsn"].config.training.weights == "imagenet"


def test_rates_of_all_stages_are_multiplied_and_name_the_folder(base):
    study = rivals.make(base, ["tsn"])
    assert list(study.values) == ["stfnet", "tsn"]
    variant = rivals.with_rates(study, base, "tsn", 3)
    assert variant.config.training.learning_rates == (3e-3, 3e-4)
    assert variant.folder == "architecture-tsn+learning_rates-0.003-to-0.0003"
    assert rivals.with_rates(study, base, "stfnet", 1).folder == studies.AS_CONFIGURED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.streams": "rgb"}, "needs model.streams=both, not rgb"),
        ({"model.linear_parts": 2}, "needs model.linear_parts=0, not 2"),
        ({"training.validation_fraction": 0.0}, "makes the test part the validation part"),
        (
            {"training.train_on_validation": True, "training.keep": "last"},
            "needs training.train_on_validation=False",
        ),
    ],
)
def test_what_does_not_fit_is_refused(base, settings, message):
    base = studies.changed_config(base, settings)
    with pytest.raises(UserError) as refusal:
        rivals.check(rivals.make(base), base, (1.0,), "none")
    assert message in str(refusal.value)


def test_the_configurations_of_the_documents_fit(tiny_records):
    real = real_videos.get_config()
    real.model.update(streams="both", linear_parts=0)
    changes = {"linear_start": False, "train_on_validation": False, "keep": "best"}
    real.training.update(optimizer="adam", weights="", temporal_conv1="random", **changes)
    for config, cache in ((synthetic.get_config(), "none"), (real, "features")):
        base = make_run_config(config, tiny_records)
        rivals.check(rivals.make(base), base, rivals.FACTORS, cache)


def test_an_unknown_rival_is_refused(base):
    with pytest.raises(UserError, match=r"--rivals=resnet: give some of stfnet, two_stream, "):
        rivals.make(base, ["tsn", "resnet"])


def test_maps_are_refused_where_no_block_is_frozen(base):
    base = studies.changed_config(base, {"training.frozen_blocks": (0, 0)})
    with pytest.raises(UserError, match="--cache=features has no effect"):
        rivals.check(rivals.make(base), base, (1.0,), "features")


@pytest.mark.slow
def test_a_rate_is_chosen_on_validation_and_the_rest_is_not_evaluated(
    base, tiny_records, tmp_path, capsys
):
    study = rivals.make(base, ["tsn"])
    factors = (1e-6, 30)  # the first learns nothing

    def outcomes():
        return rivals.run_network(
            *(study, base, "tsn", factors, 1, tiny_records, tmp_path),
            features_folder=tmp_path / "features",
        )

    (first,) = outcomes()
    printed = capsys.readouterr().out
    candidates = [rivals.with_rates(study, base, "tsn", factor) for factor in factors]
    folders = [runs.folder_of(variant, 5, tmp_path) for variant in candidates]
    best = [runs.train_variant(v, 5, tiny_records, tmp_path) for v in candidates]
    figures = [(one["val_accuracy"], -one["val_loss"]) for one in best]
    assert figures[0] != figures[1]
    chosen = figures.index(max(figures))
    assert first.folder == folders[chosen] and run.is_finished(folders[1 - chosen])
    evaluated = [result_files.paths_in(folder).results.exists() for folder in folders]
    assert evaluated[chosen] and not evaluated[1 - chosen]
    rate = candidates[chosen].config.training.learning_rates[0]
    assert f"tsn: learning rate {rate:g} (validation accuracy of 1e-09: " in printed
    assert run.read_config(first.folder).model.architecture == "tsn"

    cost = tables.cost_of(first.folder)
    model, _ = prediction.load_run(first.folder)
    assert cost.parameters == sum(weight.numpy().size for weight in model.weights)
    assert cost.learning_rate == rate and cost.prediction > 0 and cost.training > 0
    timed = (first.folder / result_files.TIMING_FILE).stat().st_mtime_ns
    assert outcomes() == [first]  # nothing is trained, evaluated or timed again
    assert "training:" not in capsys.readouterr().out
    assert (first.folder / result_files.TIMING_FILE).stat().st_mtime_ns == timed
