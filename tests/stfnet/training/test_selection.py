"""Choosing streams by cross-validation: what is trained, what is kept, what is chosen."""

import dataclasses
import functools

import pytest

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig
from stfnet.training import loop, selection
from stfnet.training.schedule import Progress

MODEL = ModelConfig(
    3,
    ClipConfig(num_frames=3, flow_length=2, image_size=32),
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
    stream_dropout=0.2,
)
TRAINING = TrainingConfig((1e-3,), (1,), frozen_blocks=(0,), batch_size=4, tau_range=(1, 3))


def _config(record_set):
    return RunConfig(record_set.name, record_set.classes, MODEL, TRAINING)


class _Learner:
    """Stands for training: each stream's accuracy is given, and the videos are really divided."""

    def __init__(self, record_set, accuracies):
        self.record_set, self.accuracies, self.asked = record_set, accuracies, []

    def __call__(self, config, workdir):
        self.asked.append((config.model.streams, config.training.validation_fold))
        videos = run.open_videos(workdir, config, self.record_set)
        with run.writing(workdir, config, videos):
            pass
        assert config.training.keep == "last"
        accuracy = self.accuracies[config.model.streams]
        return Progress(history=[{"val_accuracy": 0.0}, {"val_accuracy": accuracy}])


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        pytest.param({"both": 0.5, "rgb": 0.0, "flow": 1.0}, "flow", marks=pytest.mark.slow),
        ({"both": 1.0, "rgb": 0.0, "flow": 1.0}, "both"),
        pytest.param({"both": 0.0, "rgb": 1.0, "flow": 0.5}, "rgb", marks=pytest.mark.slow),
    ],
)
def test_the_most_accurate_streams_are_chosen(tiny_records, tmp_path, accuracies, chosen):
    learner, lines = _Learner(tiny_records, accuracies), []
    config = selection.choose_streams(
        _config(tiny_records), tiny_records, tmp_path, learner, lines.append
    )
    assert config.model.streams == chosen
    assert config.training == TRAINING
    assert config.model.stream_dropout == (0.2 if chosen == "both" else 0.0)
    assert sorted(learner.asked) == sorted(
        (streams, f"{fold}/3") for streams in accuracies for fold in (1, 2, 3)
    )
    assert lines[-1] == f"chosen: model.streams={chosen}"
    # No run stays, and a second call measures nothing.
    assert [path.name for path in (tmp_path / "cross_validation").iterdir()] == ["streams.json"]
    learner.asked.clear()
    again = selection.choose_streams(
        _config(tiny_records), tiny_records, tmp_path, learner, lines.append
    )
    assert (again, learner.asked) == (config, [])


def test_each_training_video_is_validated_once_and_no_test_video(tiny_records, tmp_path):
    validated, tested = [], set()

    def train(config, workdir):
        videos = run.open_videos(workdir, config, tiny_records)
        with run.writing(workdir, config, videos):
            pass
        if config.model.streams == "rgb":
            validated.extend(videos.val)
            tested.update(videos.test)
        return Progress(history=[{"val_accuracy": 0.0}])

    config = _config(tiny_records)
    selection.choose_streams(config, tiny_records, tmp_path, train, lambda _: None)
    whole = run.draw_videos(tiny_records, config)
    assert sorted(validated) == sorted([*whole.train, *whole.val])
    assert tested == set(whole.test)


def test_a_broken_off_choice_resumes_and_other_settings_are_refused(tiny_records, tmp_path):
    learner = _Learner(tiny_records, {"both": 1.0, "rgb": 0.0, "flow": 0.0})
    calls = []

    def breaks_off(config, workdir):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return learner(config, workdir)

    config = _config(tiny_records)
    with pytest.raises(KeyboardInterrupt):
        selection.choose_streams(config, tiny_records, tmp_path, breaks_off, lambda _: None)
    selection.choose_streams(config, tiny_records, tmp_path, learner, lambda _: None)
    assert len(learner.asked) == 9
    minutes = dataclasses.replace(TRAINING, checkpoint_minutes=1.0, max_epochs=(9,))
    selection.choose_streams(
        dataclasses.replace(config, training=minutes),
        tiny_records,
        tmp_path,
        learner,
        lambda _: None,
    )
    assert len(learner.asked) == 9
    other = dataclasses.replace(TRAINING, learning_rates=(1e-2,))
    with pytest.raises(UserError, match="another configuration or of other records"):
        selection.choose_streams(
            dataclasses.replace(config, training=other), tiny_records, tmp_path, learner
        )


def test_several_workers_are_refused():
    selection.check(1)
    with pytest.raises(UserError, match="works in one process, and there are 2 workers"):
        selection.check(2)


@pytest.mark.slow
def test_real_runs_choose_streams_and_share_maps(tiny_records, tmp_path):
    config = dataclasses.replace(
        _config(tiny_records), training=dataclasses.replace(TRAINING, frozen_blocks=(5,))
    )
    maps = tmp_path / "maps"
    fit = functools.partial(loop.train, record_set=tiny_records, features_folder=maps)
    chosen = selection.choose_streams(config, tiny_records, tmp_path / "run", fit)
    assert chosen.model.streams in ("both", "rgb", "flow")
    # The random streams depend on the order in which they are made: RGB is the first with flow and
    # without, flow is the second or the only one. ImageNet's are the same.
    assert len(list(maps.iterdir())) == 3


def test_a_folder_that_no_choice_made_is_left_alone(tiny_records, tmp_path):
    theirs = tmp_path / "cross_validation" / "both-1" / "thesis.tex"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    learner = _Learner(tiny_records, {"both": 1.0, "rgb": 0.0, "flow": 0.0})
    with pytest.raises(UserError, match=r"holds no streams\.json.* name another --workdir"):
        selection.choose_streams(_config(tiny_records), tiny_records, tmp_path, learner)
    assert theirs.is_file() and not learner.asked
