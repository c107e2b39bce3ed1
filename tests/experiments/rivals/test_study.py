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


def _figures(accuracies):
    """Function of a factor to figures of a table; other factors are not to be asked for."""
    asked = []

    def figures_of(factor):
        asked.append(factor)
        accuracy = accuracies[round(factor, 6)]
        return accuracy and {"val_accuracy": accuracy, "val_loss": 1 - accuracy}

    return figures_of, asked


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ({0.3: 0.5, 1: 0.6, 3: 0.4}, 1),
        ({0.3: 0.5, 1: 0.6, 3: 0.7, 9: 0.8, 27: 0.7}, 9),
        ({0.3: 0.5, 1: 0.6, 3: 0.7, 9: None}, 3),
        ({0.3: 0.5, 1: None, 3: None, 0.09: 0.4}, 0.3),
        # The bound: four on one side.
        ({0.3: 0.5, 1: 0.6, 3: 0.7, 9: 0.75, 27: 0.8, 81: 0.85, 243: 0.9}, 243),
        # Where nothing is finite lower ones are tried.
        ({0.3: None, 1: None, 3: None, 0.09: None, 0.027: 0.2, 0.0081: 0.1}, 0.027),
    ],
)
def test_the_grid_grows_until_the_best_is_inside(accuracies, best):
    figures_of, asked = _figures(accuracies)
    found, tried = rivals.search((0.3, 1, 3), figures_of)
    assert found == pytest.approx(best) and len(asked) == len(tried) == len(accuracies)
    assert asked[:3] == [0.3, 1, 3]


def test_equal_rates_do_not_depend_on_their_order():
    for factors in ((3, 0.3, 1), (1, 0.3, 3)):
        figures_of, _ = _figures({0.09: 0.1, 0.3: 0.5, 1: 0.5, 3: 0.5})
        assert rivals.search(factors, figures_of)[0] == 0.3


def test_a_single_factor_is_no_search():
    for value in (0.5, None):
        figures_of, asked = _figures({2: value})
        assert rivals.search((2, 2), figures_of)[0] == 2 and asked == [2]


def test_a_search_says_what_was_tried_and_whether_it_ended_at_an_edge():
    tried = {1e-3: 0.5, 3e-3: 0.75, 9e-3: None}
    assert str(rivals.Search(tried, 3e-3)) == "0.001: 0.500, 0.003: 0.750, 0.009: not finite"
    edges = [rivals.Search(tried, rate).at_edge for rate in tried]
    assert edges == [True, False, True] and not rivals.Search({1e-3: 0.5}, 1e-3).at_edge


@pytest.mark.slow
def test_a_rate_is_chosen_on_validation_and_the_rest_is_not_evaluated(
    base, tiny_records, tmp_path, capsys
):
    study = rivals.make(base, ["tsn"])
    factors = (1, 30, 1e41)  # with the last no loss stays finite

    def trained():
        return rivals.run_network(
            *(study, base, "tsn", factors, 1, tiny_records, tmp_path),
            features_folder=tmp_path / "features",
        )

    found = trained()
    printed = capsys.readouterr().out
    (first,), search = found
    assert search.tried[1e38] is None and "given up: " in printed and "of step " in printed
    rates = list(search.tried)
    assert rates == sorted(rates) and {1e-3, 3e-2, 1e38} <= set(rates) and not search.at_edge
    candidates = {
        rate: rivals.with_rates(study, base, "tsn", rate / 1e-3) for rate in rates if rate != 1e38
    }
    folders = {rate: runs.folder_of(one, 5, tmp_path) for rate, one in candidates.items()}
    best = {
        rate: runs.train_variant(one, 5, tiny_records, tmp_path)
        for rate, one in candidates.items()
        if search.tried[rate] is not None
    }
    assert {rate: one["val_accuracy"] for rate, one in best.items()} == {
        rate: accuracy for rate, accuracy in search.tried.items() if accuracy is not None
    }
    chosen = max(best, key=lambda rate: (best[rate]["val_accuracy"], -best[rate]["val_loss"]))
    assert search.chosen == chosen and first.folder == folders[chosen]
    for rate, folder in folders.items():
        assert result_files.paths_in(folder).results.exists() == (rate == chosen)
    assert f"tsn: learning rate {chosen:g} (validation: {search})" in printed
    assert run.read_config(first.folder).model.architecture == "tsn"

    cost = tables.cost_of(first.folder, 0.5)
    model, _ = prediction.load_run(first.folder)
    assert cost.parameters == sum(weight.numpy().size for weight in model.weights)
    assert cost.prediction == 2 and cost.training > 0
    assert trained() == found  # nothing is trained or evaluated again, nor tried that was given up
    printed = capsys.readouterr().out
    assert "training:" not in printed and "given up" not in printed


@pytest.mark.slow
def test_a_network_whose_loss_is_never_finite_is_named(base, tiny_records, tmp_path):
    study = rivals.make(base, ["tsn"])
    with pytest.raises(
        UserError, match=r"^tsn: the loss became not finite at every .* \(1e\+38\):"
    ):
        rivals.run_network(study, base, "tsn", (1e41,), 1, tiny_records, tmp_path)
