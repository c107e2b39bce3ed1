"""The folder of a run: what is written is read again, and what is damaged is named."""

import dataclasses
import json

import pytest

from preprocessing.errors import UserError
from stfnet import run
from stfnet.run import checkpoints


def test_videos_are_read_as_they_were_written(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(record_set, tiny.config())
    tiny.write(tmp_path, tiny.config(), drawn)
    assert run.read_videos(tmp_path) == drawn
    assert run.read_config(tmp_path) == tiny.config()
    more = tiny.record_set([*record_set.videos, tiny.video("x", "Bow", "x")])
    assert run.open_videos(tmp_path, tiny.config(), more) == drawn  # and not drawn again


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values["test"].update(x=""), "was changed after the run wrote it"),
        (lambda values: values.pop("leak"), "cannot be read"),
        (lambda values: values.update(format=9), "of another format"),
        (lambda values: values.update(train=3), "cannot be read"),
    ],
)
def test_a_damaged_list_of_videos_is_named(tiny, tmp_path, damage, message):
    tiny.write(
        tmp_path,
        tiny.config(),
        run.draw_videos(tiny.record_set(tiny.videos(range(10))), tiny.config()),
    )
    path = tmp_path / run.VIDEOS_FILE
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        run.read_videos(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read"):
        run.read_videos(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="is missing: it names the videos of the run"):
        run.read_videos(tmp_path)


def test_another_configuration_is_refused_once_something_was_learned(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    with run.writing(tmp_path, tiny.config(), run.draw_videos(record_set, tiny.config())):
        pass
    other = tiny.config(split_seed=1)
    drawn = run.open_videos(tmp_path, other, record_set)  # a wrong first command costs nothing
    tiny.write(tmp_path, other, drawn)
    with pytest.raises(UserError, match="split_seed: 1 there, 0 now"):
        run.open_videos(tmp_path, tiny.config(), record_set)


def test_a_run_goes_on_whatever_its_records_are_called(tiny, tmp_path):
    record_set = tiny.record_set(tiny.videos(range(10)))
    before = tiny.config(name="ucf101")
    tiny.write(tmp_path, before, run.draw_videos(record_set, before))
    for name in ("ucf101 (2 of 101 classes, 40 of 13320 clips)", "ucf101", "renamed"):
        assert not run.differences(before, tiny.config(name=name))
        run.open_videos(tmp_path, tiny.config(name=name), record_set)


def test_a_class_that_differs_is_named(tiny, tmp_path):
    classes = tuple(f"class_{k:03d}" for k in range(101))
    before = dataclasses.replace(tiny.config(), classes=classes)
    now = dataclasses.replace(before, classes=(*classes[:77], "Wave", *classes[78:]))
    assert run.differences(before, now) == ["classes: class_077 there, Wave now"]
    swapped = dataclasses.replace(before, classes=(*classes[:99], classes[100], classes[99]))
    assert run.differences(before, swapped) == [
        "classes: class_099, class_100 there, class_100, class_099 now"
    ]
    fewer = dataclasses.replace(before, classes=classes[:100])
    assert run.differences(before, fewer) == ["classes: class_100 there, none now"]


def _trained(tiny, folder, **training):
    """The folder of a run of two stages that has trained an epoch of the second, and its config."""
    defaults = {"learning_rates": (1e-2, 1e-3), "max_epochs": (2, 4), "batch_size": 4}
    config = tiny.config()
    config = dataclasses.replace(
        config, training=dataclasses.replace(config.training, **defaults, **training)
    )
    drawn = run.draw_videos(tiny.record_set(tiny.videos(range(10))), config)
    with run.writing(folder, config, drawn):
        history = [{"stage": 1, "epoch": 1}, {"stage": 1, "epoch": 2}, {"stage": 2, "epoch": 1}]
        state = {"stage": 1, "epoch": 1, "batch": 0, "history": history, "finished": False}
        checkpoints.save(folder / run.CHECKPOINTS_FOLDER, 9, {}, state)
    return config, drawn


def _resumed(tiny, folder, config, model=None, **training):
    """Opens the run with other settings, and begins to write it."""
    config = dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, **training),
        model=dataclasses.replace(config.model, **(model or {})),
    )
    videos = run.open_videos(folder, config, tiny.record_set(tiny.videos(range(10))))
    with run.writing(folder, config, videos):
        assert run.read_config(folder) == config
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation_steps": 2},
        {"checkpoint_minutes": 1.0},
        {"remat": True},
        {"jit_compile": True},
        {"max_epochs": (2, 7)},
        {"max_epochs": (2, 2)},
    ],
)
def test_a_run_resumes_with_settings_that_leave_what_it_has_learned(tiny, tmp_path, changes):
    config, _ = _trained(tiny, tmp_path)
    _resumed(tiny, tmp_path, config, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_epochs": (3, 4)}, r"max_epochs: \(2, 4\) there, \(3, 4\) now: stage 1 is over"),
        ({"max_epochs": (2, 1)}, "stage 2 has had 1 epochs: give more"),
        ({"batch_size": 8}, r"training.batch_size: 4 there, 8 now.*training.weights=.*best.keras"),
    ],
)
def test_what_cannot_change_names_the_way(tiny, tmp_path, changes, reason):
    config, _ = _trained(tiny, tmp_path)
    with pytest.raises(UserError, match=reason):
        _resumed(tiny, tmp_path, config, **changes)


def test_epochs_of_a_learning_rate_that_falls_with_them_cannot_change(tiny, tmp_path):
    config, _ = _trained(tiny, tmp_path, schedule="cosine")
    with pytest.raises(UserError, match=r"cosine.*training.weights="):
        _resumed(tiny, tmp_path, config, max_epochs=(2, 7))


def test_microbatches_are_another_training_where_statistics_are_taken_over_them(tiny, tmp_path):
    config, drawn = _trained(tiny, tmp_path / "plain")
    folder = tmp_path / "normalised"
    config = dataclasses.replace(
        config, model=dataclasses.replace(config.model, lstm_statistics="batch")
    )
    with run.writing(folder, config, drawn):
        checkpoints.save(folder / run.CHECKPOINTS_FOLDER, 9, {}, {"stage": 0, "history": []})
    with pytest.raises(UserError, match=r"training.accumulation_steps: 1 there, 2 now"):
        _resumed(tiny, folder, config, accumulation_steps=2)


def test_the_classes_of_a_run_are_found_also_in_those_of_its_folds(tiny, tmp_path):
    assert run.classes_of(tmp_path, tmp_path / "nowhere") == ()
    record_set = tiny.record_set(tiny.videos(range(10)))
    config = tiny.config()
    tiny.write(tmp_path / "fold-1", config, run.draw_videos(record_set, config))
    assert run.classes_of(tmp_path / "nowhere", tmp_path) == ("Bow", "Wave")
    assert run.classes_of(tmp_path / "fold-1") == ("Bow", "Wave")


def test_a_run_is_finished_when_its_newest_checkpoint_says_so(tmp_path):
    folder = tmp_path / run.CHECKPOINTS_FOLDER
    assert not run.is_finished(tmp_path)
    for step, finished in ((1, False), (2, True)):
        checkpoints.save(folder, step, {}, {"finished": finished})
        assert run.is_finished(tmp_path) == finished


def test_the_digest_of_the_network_is_that_of_its_file(tiny, tmp_path):
    (tmp_path / run.BEST_FILE).write_bytes(b"weights")
    assert run.network_sha256(tmp_path) == tiny.digest("weights")


def test_a_folder_holds_the_run_of_its_own_videos_only(tiny, tmp_path):
    drawn = run.draw_videos(tiny.record_set(tiny.videos(range(10))), tiny.config())
    assert not run.holds(tmp_path, drawn)
    tiny.write(tmp_path, tiny.config(), drawn)
    assert run.holds(tmp_path, drawn)
    assert not run.holds(tmp_path, dataclasses.replace(drawn, unused={"more": ""}))


def test_a_run_whose_videos_are_gone_or_replaced_does_not_go_on(tiny):
    record_set = tiny.record_set(tiny.videos(range(10)))
    drawn = run.draw_videos(record_set, tiny.config())

    def check(videos):
        there = tiny.record_set(videos)
        run.check_learned_videos("run", drawn, run.locate(drawn, there), there)

    check([video for video in record_set.videos if video.id not in drawn.test])
    with pytest.raises(UserError, match="none of the val videos of the run in run"):
        check([video for video in record_set.videos if video.id not in drawn.val])
    replaced = min(drawn.val)
    with pytest.raises(UserError, match=rf"1 training or validation videos .*such as {replaced}"):
        check(
            [
                dataclasses.replace(video, source_sha256=tiny.digest("new"))
                if video.id == replaced
                else video
                for video in record_set.videos
            ]
        )


@pytest.mark.parametrize(
    "name", [run.CONFIG_FILE, run.VIDEOS_FILE, run.STEPS_FILE, run.HISTORY_FILE, "curves.png"]
)
def test_a_file_of_something_else_is_not_replaced_by_a_new_run(tiny, tmp_path, name):
    (tmp_path / name).write_text('{"a": "person\'s"}')
    drawn = run.draw_videos(tiny.record_set(tiny.videos(range(10))), tiny.config())
    wrong = pytest.raises(UserError, match=rf"{name}.* would replace it: move it away, or name ano")
    with wrong, run.writing(tmp_path, tiny.config(), drawn):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {name, ".lock"}
    assert (tmp_path / name).read_text() == '{"a": "person\'s"}'


def test_a_run_that_has_learned_nothing_yet_may_be_begun_again(tiny, tmp_path):
    drawn = run.draw_videos(tiny.record_set(tiny.videos(range(10))), tiny.config())
    for seed in (0, 1):
        training = dataclasses.replace(tiny.config().training, seed=seed)
        config = dataclasses.replace(tiny.config(), training=training)
        with run.writing(tmp_path, config, drawn):
            (tmp_path / run.HISTORY_FILE).touch()
        assert run.read_config(tmp_path) == config
