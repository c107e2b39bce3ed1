"""Which videos are evaluated, and figures counted by hand for a network with known answers."""

import dataclasses
import hashlib
import itertools
import json

import keras
import numpy as np
import pytest
from helpers import run_config

from preprocessing import records
from preprocessing.errors import UserError
from preprocessing.records import DamagedRecordError
from stfnet import ClipConfig, ModelConfig, build_stfnet, run
from stfnet.clips import input_pipeline, plans
from stfnet.config import TrainingConfig
from stfnet.evaluation import baselines
from stfnet.evaluation import evaluate as evaluation
from stfnet.evaluation.clips_per_video import Views
from stfnet.inference import prediction

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
SIZES = {"lstm_units": 4, "fc6_units": 8, "width_divisor": 32}
MODEL = ModelConfig(3, CLIP)


class _Known:
    """Stands in for a network: its answers are the rows of a table, one after the other."""

    input = ("rgb", "flow")

    def __init__(self, rows):
        self.rows = itertools.cycle(rows)

    def predict_on_batch(self, inputs):
        return np.array([next(self.rows) for _ in inputs["rgb"]])


def _evaluate(model, record_set, config, videos, **part):
    located = run.locate(videos, record_set)
    return evaluation.evaluate(model, record_set, config, videos, located, **part)


def test_a_damaged_record_is_named(damaged_records):
    network = _Known([[1.0, 0.0, 0.0]])
    name = damaged_records.videos[2].id
    with pytest.raises(DamagedRecordError, match=f"the record of {name} is damaged"):
        evaluation.predict_clips(
            network, damaged_records, np.arange(4), run_config(MODEL, damaged_records, batch_size=4)
        )


def test_figures_are_those_counted_by_hand(tiny_records):
    config = run_config(MODEL, tiny_records, batch_size=4)
    # Six test videos, two groups of the three classes, in batches of four: two clips only fill.
    answers = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]] * 2
    answers[5] = [0.1, 0.1, 0.8]
    videos = run.draw_videos(tiny_records, config)
    results, probabilities, positions = _evaluate(_Known(answers), tiny_records, config, videos)
    labels = [tiny_records.videos[k].label for k in positions]
    assert sorted(labels) == [0, 0, 1, 1, 2, 2] and results["num_test"] == 6
    np.testing.assert_allclose(probabilities, answers, rtol=1e-6)

    confusion = np.zeros((3, 3), int)
    for label, row in zip(labels, answers, strict=True):
        confusion[label, row.index(0.8)] += 1
    assert results["confusion"] == confusion.tolist()
    right = np.diag(confusion)
    assert results["top1"] == right.sum() / 6
    assert results["top5"] == 1.0
    assert results["per_class"] == dict(zip(tiny_records.classes, right / 2, strict=True))
    assert results["mean_class_accuracy"] == pytest.approx(np.mean(right / 2))
    assert results["chance"] == results["majority"] == pytest.approx(1 / 3)
    assert results["leak"] == 0.0 and results["num_train"] == 15


@pytest.fixture
def evaluated(tiny_records):
    """Function that evaluates a part with a network that always answers the first class."""
    config = run_config(MODEL, tiny_records, batch_size=4)
    videos = run.draw_videos(tiny_records, config)

    def evaluate(**part):
        return _evaluate(_Known([[0.8, 0.1, 0.1]]), tiny_records, config, videos, **part)

    return evaluate


class _Brightness:
    """Stands in for a network: its classes are how bright each clip is at the left and right."""

    input = ("rgb", "flow")

    def predict_on_batch(self, inputs):
        rgb = np.asarray(inputs["rgb"], np.float64)
        left, right = (half.mean((1, 2, 3, 4)) for half in np.split(rgb, 2, axis=3))
        return np.stack([left, right, np.asarray(inputs["flow"])[..., 0].mean((1, 2, 3))], 1)


def test_a_part_of_a_collection_is_named_also_for_a_run_that_does_not_say_so(tiny_records):
    record_set = dataclasses.replace(tiny_records, name="ucf11")
    title = "ucf11 (3 of 11 classes, 24 of 1600 clips)"
    for name, expected in (("ucf11", title), (title, title), ("mine", "mine")):
        config = run_config(MODEL, dataclasses.replace(record_set, name=name), batch_size=4)
        videos = run.draw_videos(record_set, config)
        results, *_ = _evaluate(_Known([[1.0, 0.0, 0.0]]), record_set, config, videos)
        assert results["dataset"] == expected


def test_clips_and_their_mirrors_are_averaged_over_each_video(tiny_records):
    positions = np.array([4, 0])
    left, right, _ = tiny_records.classes
    expected = []
    for position in positions:
        rows = []
        video = tiny_records.videos[position]
        images = records.read_video(tiny_records, video)
        count, last = video.num_frames, video.num_frames - 1 - 2 * (video.num_frames // 3)
        assert last > 1
        for start in (0, round(last / 2), last):
            numbers = [start + k * (count // 3) for k in range(3)]
            frames = np.stack([records.decode_frame(images["frames"][k]) for k in numbers])
            # The first field of a stack is that two frames before.
            fields = [max(k - 2, 0) for k in numbers]
            x = np.stack([records.decode_field(images["flow"][k])[0] for k in fields])
            halves = [half.mean(dtype=float) for half in np.split(frames, 2, axis=2)]
            rows.append([*halves, x.mean()])
            # Seen in a mirror the sides change places, and so do the classes of the sides.
            rows.append([*halves, np.minimum(256 - x.astype(int), 255).mean()])
        expected.append(np.mean(rows, 0))
    views = Views(3, True, ((left, right),))
    config = run_config(MODEL, tiny_records, batch_size=4)
    predicted = evaluation.predict_clips(_Brightness(), tiny_records, positions, config, views)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    alone = evaluation.predict_clips(
        _Brightness(),
        tiny_records,
        positions,
        run_config(MODEL, tiny_records, batch_size=1),
        Views(3, True),
    )
    # Without the pair the mirror image counts for the wrong side.
    sides = np.array(expected)[:, :2].mean(1)
    np.testing.assert_allclose(alone[:, :2], np.stack([sides, sides], 1), rtol=1e-5)


def test_the_papers_clip_is_what_it_was_before_there_were_views(trained, tiny_records):
    model, config = prediction.load_run(trained)
    positions, clip = np.arange(6), config.model.clip
    plan = plans.plan_evaluation(tiny_records, positions, clip, 4)
    batches = input_pipeline.clip_dataset(tiny_records, plan, clip, 4)
    direct = [model.predict_on_batch(input_pipeline.network_inputs(batch)) for batch in batches]
    predicted = evaluation.predict_clips(model, tiny_records, positions, config)
    assert predicted.tobytes() == np.concatenate(direct)[:6].tobytes()


def test_a_run_is_evaluated_on_several_clips_beside_its_own_results(trained, tiny_records):
    done = evaluation.evaluate_run(str(trained), str(tiny_records.folder), "val", views=Views(2))
    assert done.paths.results.name == "results-val-2clips.json"
    assert done.results["views"] == {"num_clips": 2, "flip": False, "mirror_pairs": []}


def test_the_test_part_stands_when_the_records_gain_videos(tiny_records, prepare_squares, tmp_path):
    config = run_config(MODEL, tiny_records, batch_size=4)
    videos = run.draw_videos(tiny_records, config)
    gained = prepare_squares(tmp_path, range(10))  # groups 0 and 9 are new
    redrawn = run.draw_videos(gained, config)
    assert set(redrawn.test) & set(videos.train)  # what drawing again would test on
    answers = _Known([[0.8, 0.1, 0.1]])
    results, _, positions = _evaluate(answers, gained, config, videos)
    assert {gained.videos[k].id for k in positions} == set(videos.test)
    assert results["leak"] == 0.0 and len(results["unseen"]) == 6
    results, _, positions = _evaluate(answers, gained, config, videos, split="unseen")
    assert {gained.videos[k].group for k in positions} == {
        f"{name}/g{group}" for name in tiny_records.classes for group in ("00", "09")
    }
    assert (results["split"], results["num_test"], results["leak"]) == ("unseen", 6, 0.0)


def test_a_copy_of_a_training_video_is_no_test_video_of_another_split(tiny_records):
    config = run_config(MODEL, tiny_records, batch_size=4)
    videos = run.draw_videos(tiny_records, config)
    trained = next(video for video in tiny_records.videos if video.id in videos.train)
    copy = dataclasses.replace(trained, id="copy", splits={"1": "test"})
    gained = dataclasses.replace(tiny_records, videos=(*tiny_records.videos, copy))
    with pytest.raises(UserError, match=r"1 of the 1 videos of protocol official.*such as copy"):
        _evaluate(_Known([[1, 0, 0]]), gained, config, videos, protocol="official")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"protocol": "paper", "split": "val"}, "--split=val is a part of the run's own split"),
        ({"protocol": "paper"}, r"of the \d+ videos of protocol paper.*were trained on"),
        ({"fold": "2"}, "--fold=2 has no effect with protocol group"),
        ({"split": "unseen"}, "no video of the unseen part of the run: every video is in one"),
        ({"protocol": "official", "fold": "2"}, "no official split"),
    ],
)
def test_a_part_that_makes_no_sense_is_refused(evaluated, part, message):
    with pytest.raises(UserError, match=message):
        evaluated(**part)


@pytest.mark.parametrize("both", [False, True])
def test_baselines_learn_from_what_the_network_learned_from(tiny_records, tmp_path, both):
    keep = {"keep": "last", "train_on_validation": True} if both else {}
    config = run_config(ModelConfig(3, CLIP, **SIZES), tiny_records, batch_size=4, **keep)
    drawn = run.draw_videos(tiny_records, config)
    # One class alone in training, another in validation: the majority is of what was learned.
    left, right, _ = tiny_records.classes
    ids = {
        name: [v.id for v in tiny_records.videos if v.class_name == name] for name in (left, right)
    }
    parts = {
        "train": dict.fromkeys(ids[left][:2], ""),
        "val": dict.fromkeys(ids[right][:3], ""),
        "test": dict.fromkeys(ids[left][4:5] + ids[right][4:8], ""),
    }
    videos = dataclasses.replace(drawn, **parts, unused={})
    with run.writing(tmp_path, config, videos):
        build_stfnet(config.model).save(tmp_path / run.BEST_FILE)
    results = evaluation.evaluate_run(tmp_path, tiny_records, nearest_neighbour=True).results
    assert results["majority"] == (4 / 5 if both else 1 / 5)
    located = run.locate(videos, tiny_records)
    learned = [*located.train, *located.val] if both else located.train
    expected = baselines.nearest_neighbour(tiny_records, learned, located.test)
    assert results["nearest_neighbour"] == expected
    assert results["num_train"] == len(learned)
    assert results["untrained_classes"] == (["Still"] if both else ["Right", "Still"])


@pytest.mark.parametrize(("split", "both"), [("train", False), ("train", True), ("val", True)])
def test_neighbours_among_the_tested_videos_are_refused(tiny_records, make_run, split, both):
    keep = {"keep": "last", "train_on_validation": True} if both else {}
    folder = make_run(record_set=tiny_records, training=TrainingConfig(batch_size=4, **keep))
    with pytest.raises(UserError, match=f"--nearest_neighbour.*of --split={split}: leave one out"):
        evaluation.evaluate_run(folder, tiny_records, split, nearest_neighbour=True)
    assert evaluation.evaluate_run(folder, tiny_records, split).results["leak"] == 1.0


@pytest.fixture(scope="module")
def trained(make_run, tiny_records):
    """A run's folder with a network, as a training that was stopped leaves it."""
    return make_run(record_set=tiny_records)


def test_a_run_is_evaluated_and_its_results_are_written(trained, tiny_records):
    done = evaluation.evaluate_run(trained, tiny_records)
    assert json.loads(done.paths.results.read_text()) == done.results
    assert all(path.parent == trained and path.is_file() for path in done.paths)
    best = (trained / "best.keras").read_bytes()
    assert done.results["network_sha256"] == hashlib.sha256(best).hexdigest()
    assert done.results["finished"] is False and done.notes == []


def test_what_differs_from_the_records_of_the_run_is_noted(trained, tiny_records):
    fewer = dataclasses.replace(tiny_records, videos=tiny_records.videos[1:])
    done = evaluation.evaluate_run(trained, fewer, split="val")
    assert done.paths.results.name == "results-val.json"
    (note,) = done.notes
    assert note.startswith("1 videos of the run") and note.endswith(tiny_records.videos[0].id)


def test_predictions_are_in_the_order_of_the_videos_for_every_batch_size(trained, tiny_records):
    model, _ = prediction.load_run(trained)
    positions = np.array([20, 3, 11, 0, 7])
    one, four = (
        evaluation.predict_clips(
            model, tiny_records, positions, run_config(MODEL, tiny_records, batch_size=size)
        )
        for size in (1, 4)
    )
    assert one.shape == (5, 3) and one.dtype == np.float32
    np.testing.assert_allclose(four, one, atol=1e-5)
    config = run_config(MODEL, tiny_records, batch_size=1)
    alone = evaluation.predict_clips(model, tiny_records, positions[2:3], config)
    np.testing.assert_allclose(alone, one[2:3], atol=1e-5)


@pytest.mark.parametrize(("streams", "block"), [("both", 5), ("flow", 3)])
def test_maps_of_the_test_clips_give_the_same_probabilities(tiny_records, tmp_path, streams, block):
    model = ModelConfig(3, CLIP, streams=streams, normalize="all", **SIZES)
    config = run_config(
        model,
        tiny_records,
        batch_size=4,
        learning_rates=(1e-3,),
        max_epochs=(1,),
        frozen_blocks=(block,),
        frame_grid=4,
    )
    keras.utils.set_random_seed(0)
    network, positions = build_stfnet(model), np.array([0, 3, 4, 7, 8])
    expected = evaluation.predict_clips(network, tiny_records, positions, config)

    def from_maps():
        return evaluation.predict_clips(
            network, tiny_records, positions, config, features_folder=tmp_path
        )

    for _ in range(2):
        probabilities = from_maps()
        error = np.abs(probabilities - expected).max()
        assert error < 2e-3
        files_there = sorted(tmp_path.rglob("*.npy"))
        assert len(files_there) == len(positions) * len(network.input)
    # Maps of other videos' test clips are what the second evaluation would read.
    contents = [path.read_bytes() for path in files_there]
    for path, content in zip(files_there, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    changed = from_maps()
    assert np.abs(changed - expected).max() > 10 * error


@pytest.mark.parametrize("num_clips", [1, 3])
def test_records_of_a_grid_give_the_clips_of_their_stored_frames(
    tiny_records, grid_records, tmp_path, num_clips
):
    clip = dataclasses.replace(CLIP, num_frames=2, flow_length=2)
    network = build_stfnet(ModelConfig(3, clip, normalize="all", **SIZES))
    positions, views = np.arange(6), Views(num_clips)
    config = run_config(
        network.config, grid_records, batch_size=4, frozen_blocks=(5, 5), frame_grid=3
    )
    of_grid = evaluation.predict_clips(network, grid_records, positions, config, views)
    # The same frames of the whole records, by the plan of a validation.
    plan = plans.plan_evaluation(tiny_records, positions, clip, 2, num_clips, frame_grid=3)
    rows = [
        np.asarray(network.predict_on_batch(input_pipeline.network_inputs(batch)))
        for batch in input_pipeline.clip_dataset(tiny_records, plan, clip, 2)
    ]
    expected = np.concatenate(rows).reshape(6, num_clips, 3).mean(1)
    np.testing.assert_allclose(of_grid, expected, atol=1e-5)
    if num_clips == 1:
        from_maps = evaluation.predict_clips(
            network, grid_records, positions, config, features_folder=tmp_path
        )
        np.testing.assert_allclose(from_maps, expected, atol=2e-3)


def test_a_run_that_trained_every_block_at_last_is_evaluated_from_images(tiny_records, tmp_path):
    model = ModelConfig(3, CLIP, **SIZES)
    config = run_config(
        model,
        tiny_records,
        batch_size=4,
        learning_rates=(1e-3, 1e-4),
        max_epochs=(1, 1),
        frozen_blocks=(5, 0),
    )
    network, videos = build_stfnet(model), run.draw_videos(tiny_records, config)
    _, expected, _ = _evaluate(network, tiny_records, config, videos)
    _, probabilities, _ = _evaluate(network, tiny_records, config, videos, features_folder=tmp_path)
    np.testing.assert_array_equal(probabilities, expected)
    assert not list(tmp_path.iterdir())
