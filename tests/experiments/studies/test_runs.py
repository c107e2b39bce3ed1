"""Runs of a study on real records: trained and evaluated once, never mixed up, rates chosen."""

import dataclasses

import pytest

from experiments.studies import baselines, runs, study_tables
from experiments.studies.ablation import STUDIES
from experiments.studies.variants import Variant, changed_config, variants
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.evaluation import result_files
from stfnet.inference import prediction
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig

MODEL = ModelConfig(
    3,
    ClipConfig(num_frames=3, flow_length=4, image_size=32),
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
)
TRAINING = TrainingConfig((1e-3,), (1,), frozen_blocks=(0,), batch_size=4, tau_range=(1, 3), seed=5)


@pytest.fixture
def base(tiny_records):
    return RunConfig(tiny_records.name, tiny_records.classes, MODEL, TRAINING)


@pytest.mark.slow
def test_a_run_is_trained_once_and_evaluated_again_only_where_files_are_damaged(
    tiny_records, base, tmp_path, monkeypatch, capsys
):
    # Records serve every T and L: every frame and flow field is stored.
    clip = dataclasses.replace(MODEL.clip, flow_length=8, num_frames=4)
    model = dataclasses.replace(MODEL, clip=clip, streams="flow")
    training = dataclasses.replace(TRAINING, max_epochs=(2,))
    variant = Variant("L-8", dataclasses.replace(base, model=model, training=training))
    runner = runs.Runner(tiny_records, tmp_path, 1)
    first = runner.run(variant, 5)
    assert first.folder == tmp_path / "runs" / "L-8" / "seed-5"
    assert run.read_config(first.folder) == variant.config
    assert first.seed == 5 and first.epochs == 2 and 0 <= first.validation <= 1
    assert len(first.right) == first.results["num_test"] == 6
    assert sum(first.right.values()) / 6 == pytest.approx(first.results["top1"])
    truth = {video.id for video in tiny_records.videos}
    assert set(first.right) <= truth
    assert len(checkpoints.existing(first.folder / run.CHECKPOINTS_FOLDER)) == 1  # of 2 epochs

    network = run.network_sha256(first.folder)
    stamp = (first.folder / run.BEST_FILE).stat().st_mtime_ns
    results = result_files.paths_in(first.folder).results
    evaluated = results.stat().st_mtime_ns
    capsys.readouterr()
    assert runner.run(variant, 5) == first
    assert capsys.readouterr().out.startswith("finished before: ")
    assert results.stat().st_mtime_ns == evaluated

    predictions = result_files.paths_in(first.folder).predictions
    whole = predictions.read_text()
    predictions.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"does not fit results\.json"):
        runs.read_outcome(first.folder)
    again = runner.run(variant, 5)
    assert again.right == first.right and predictions.read_text() == whole
    assert run.network_sha256(first.folder) == network
    assert (first.folder / run.BEST_FILE).stat().st_mtime_ns == stamp


def test_every_variant_has_each_seed(tiny_records, base, tmp_path, monkeypatch):
    monkeypatch.setattr(runs.Runner, "run", lambda self, variant, seed: (variant.folder, seed))
    trained = runs.Runner(tiny_records, tmp_path, 2).run_study(STUDIES["branches"], base)
    assert list(trained) == ["both", "conv", "fc"]
    assert all(one.search is None for one in trained.values())
    assert [outcome for one in trained.values() for outcome in one.outcomes] == [
        (folder, seed)
        for folder in ("as-configured", "branches-conv", "branches-fc")
        for seed in (5, 6)
    ]


def test_a_folder_takes_runs_of_one_configuration_and_one_record_set(tiny_records, base, tmp_path):
    def write(config, record_set=tiny_records):
        with runs.writing(tmp_path, config, record_set):
            pass

    write(base)
    write(base)
    write(changed_config(base, {"training.seed": 9}))  # more seeds
    with pytest.raises(UserError, match=r"\(model\.fc6_units: 8 there, 9 now\): name"):
        write(changed_config(base, {"model.fc6_units": 9}))
    with pytest.raises(UserError, match=r"holds runs of other records.*name another --output"):
        write(base, dataclasses.replace(tiny_records, sha256="0" * 64))
    with (
        runs.writing(tmp_path, base, tiny_records),
        pytest.raises(UserError, match="another study"),
    ):
        write(base)
    (tmp_path / runs.BASE_FILE).write_text("{")
    with pytest.raises(UserError, match=r"base\.json is not JSON"):
        write(base)


def test_what_cannot_be_run_is_refused_before_the_first_training(tiny_records, base, monkeypatch):
    study = STUDIES["branches"]
    runs.check(study, base, tiny_records, "none")
    with pytest.raises(UserError, match="--cache=features has no effect with"):
        runs.check(study, base, tiny_records, "features")
    monkeypatch.setenv(
        "TF_CONFIG",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
    )
    with pytest.raises(UserError, match="one process, and there are 2 workers"):
        runs.check(study, base, tiny_records, "none")


def test_a_run_that_was_not_trained_has_no_outcome(tmp_path):
    with pytest.raises(UserError, match="has not trained to its end"):
        runs.read_outcome(tmp_path)


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
    found = runs.search((0.3, 1, 3), figures_of)
    assert found.chosen == pytest.approx(best)
    assert len(asked) == len(found.tried) == len(accuracies)
    assert asked[:3] == [0.3, 1, 3]


def test_equal_rates_do_not_depend_on_their_order():
    for factors in ((3, 0.3, 1), (1, 0.3, 3)):
        figures_of, _ = _figures({0.09: 0.1, 0.3: 0.5, 1: 0.5, 3: 0.5})
        assert runs.search(factors, figures_of).chosen == 0.3


def test_a_single_factor_is_no_search():
    for value in (0.5, None):
        figures_of, asked = _figures({2: value})
        assert runs.search((2, 2), figures_of).chosen == 2 and asked == [2]


def test_a_search_says_what_was_tried_and_whether_it_ended_at_an_edge():
    tried = {1e-3: 0.5, 3e-3: 0.75, 9e-3: None}
    assert str(runs.Search(tried, 3e-3)) == "0.001: 0.500, 0.003: 0.750, 0.009: not finite"
    edges = [runs.Search(tried, rate).at_edge for rate in tried]
    assert edges == [True, False, True] and not runs.Search({1e-3: 0.5}, 1e-3).at_edge


@pytest.fixture
def study_base(base):
    changes = {
        "training.learning_rates": (1e-3, 1e-4),
        "training.max_epochs": (1, 1),
        "training.frozen_blocks": (5, 5),
        "training.validation_fraction": 0.3,
    }
    return changed_config(base, changes)


@pytest.mark.slow
def test_a_rate_is_chosen_on_validation_and_the_rest_is_not_evaluated(
    study_base, tiny_records, tmp_path, capsys
):
    study = baselines.make(study_base, ["tsn"])
    study = dataclasses.replace(study, values={"tsn": study.values["tsn"]}, reference="tsn")
    runner = runs.Runner(tiny_records, tmp_path, 1, tmp_path / "features")
    factors = (1, 30, 1e41)  # with the last no loss stays finite
    found = runner.run_study(study, study_base, factors)["tsn"]
    printed = capsys.readouterr().out
    (first,), search = found
    assert search.tried[1e38] is None and "given up: " in printed and "of step " in printed
    rates = list(search.tried)
    assert rates == sorted(rates) and {1e-3, 3e-2, 1e38} <= set(rates) and not search.at_edge
    candidates = {
        rate: variants(study, study_base, rate / 1e-3)["tsn"] for rate in rates if rate != 1e38
    }
    folders = {rate: runner.folder_of(one, 5) for rate, one in candidates.items()}
    best = {
        rate: runner.train(one, 5)
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
    assert run.read_config(first.folder).model.network == "tsn"

    cost = study_tables.cost_of(first.folder, 0.5)
    model, _ = prediction.load_run(first.folder)
    assert cost.parameters == sum(weight.numpy().size for weight in model.weights)
    assert cost.prediction == 2 and cost.training > 0
    # Nothing is trained or evaluated again, nor tried that was given up.
    assert runner.run_study(study, study_base, factors)["tsn"] == found
    printed = capsys.readouterr().out
    assert "training:" not in printed and "given up" not in printed

    with pytest.raises(
        UserError, match=r"^tsn: the loss became not finite at every .* \(1e\+38\):"
    ):
        runner.run_study(study, study_base, (1e41,))
