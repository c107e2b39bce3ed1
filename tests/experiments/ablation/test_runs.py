"""Runs of an ablation on real records: trained and evaluated once, and never mixed up."""

import dataclasses

import pytest

from experiments.ablation import runs, studies
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig
from stfnet.evaluation import result_files
from stfnet.run import checkpoints

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
    variant = studies.Variant("8", "L-8", dataclasses.replace(base, model=model, training=training))
    first = runs.run_variant(variant, 5, tiny_records, tmp_path)
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
    assert runs.run_variant(variant, 5, tiny_records, tmp_path) == first
    assert capsys.readouterr().out.startswith("finished before: ")
    assert results.stat().st_mtime_ns == evaluated

    predictions = result_files.paths_in(first.folder).predictions
    whole = predictions.read_text()
    predictions.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"does not fit results\.json"):
        runs.read_outcome(first.folder)
    again = runs.run_variant(variant, 5, tiny_records, tmp_path)
    assert again.right == first.right and predictions.read_text() == whole
    assert run.network_sha256(first.folder) == network
    assert (first.folder / run.BEST_FILE).stat().st_mtime_ns == stamp


def test_every_variant_has_each_seed(tiny_records, base, tmp_path, monkeypatch):
    asked = []

    def note(variant, seed, record_set, output, **settings):
        asked.append((variant.folder, seed, settings))
        return seed

    monkeypatch.setattr(runs, "run_variant", note)
    found = studies.variants(studies.STUDIES["branches"], base)
    outcomes = runs.run_study(found, 2, tiny_records, tmp_path, cache_in_memory=True)
    assert outcomes == {"both": [5, 6], "conv": [5, 6], "fc": [5, 6]}
    assert [one[:2] for one in asked] == [
        (folder, seed)
        for folder in ("as-configured", "branches-conv", "branches-fc")
        for seed in (5, 6)
    ]
    assert asked[0][2] == {"cache_in_memory": True}


def test_a_folder_takes_runs_of_one_configuration_and_one_record_set(tiny_records, base, tmp_path):
    def write(config, record_set=tiny_records):
        with runs.writing(tmp_path, config, record_set):
            pass

    write(base)
    write(base)
    write(studies.changed_config(base, {"training.seed": 9}))  # more seeds
    with pytest.raises(UserError, match=r"\(model\.fc6_units: 8 there, 9 now\): name"):
        write(studies.changed_config(base, {"model.fc6_units": 9}))
    with pytest.raises(UserError, match=r"holds runs of other records.*name another --output"):
        write(base, dataclasses.replace(tiny_records, sha256="0" * 64))
    with runs.writing(tmp_path, base, tiny_records), pytest.raises(UserError, match="another abl"):
        write(base)
    (tmp_path / runs.BASE_FILE).write_text("{")
    with pytest.raises(UserError, match=r"base\.json is not JSON"):
        write(base)


def test_what_cannot_be_run_is_refused_before_the_first_training(base, monkeypatch):
    found = studies.variants(studies.STUDIES["branches"], base)
    runs.check(found, "none")
    with pytest.raises(UserError, match="--cache=features has no effect with"):
        runs.check(found, "features")
    monkeypatch.setenv(
        "TF_CONFIG",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
    )
    with pytest.raises(UserError, match="one process, and there are 2 workers"):
        runs.check(found, "none")


def test_a_run_that_was_not_trained_has_no_outcome(tmp_path):
    with pytest.raises(UserError, match="has not trained to its end"):
        runs.read_outcome(tmp_path)
