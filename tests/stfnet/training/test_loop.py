"""The training loop on real records: it learns, stops, goes on and says what is wrong."""

import csv
import dataclasses
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig, microbatches_per_device
from stfnet.training import loop
from stfnet.training.steps import DistributedSteps, learning_rate, make_optimizer

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
MODEL = ModelConfig(
    num_classes=3,
    clip=CLIP,
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
    rgb_input="unit",
    flow_input="pixels",
    normalize="all",
    fc6_dropout=0.1,
    lstm_dropout=0.1,
)
TRAINING = TrainingConfig(
    learning_rates=(3e-3, 1e-3),
    max_epochs=(2, 1),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.2,
)


def _config(record_set, model=None, **changes):
    return RunConfig(
        record_set.name,
        record_set.classes,
        dataclasses.replace(MODEL, **(model or {})),
        dataclasses.replace(TRAINING, **changes),
    )


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class _StopAt(keras.callbacks.Callback):
    """Breaks the run off in the middle of the step of a given number."""

    def __init__(self, step, how):
        super().__init__()
        self.step, self.how = step, how

    def on_train_batch_end(self, batch, logs=None):
        if int(logs["step"]) == self.step:
            self.how()


def _kill():
    raise InterruptedError("killed")


def test_a_network_learns_direction_from_real_records(tiny_records, tmp_path):
    config = _config(
        tiny_records,
        model={"streams": "flow", "width_divisor": 16, "fc6_dropout": 0.0, "lstm_dropout": 0.0},
        learning_rates=(3e-3,),
        max_epochs=(40,),
        frozen_blocks=(0,),
        patience=40,
    )
    progress = loop.Trainer(config, tiny_records, tmp_path).train()
    assert progress.history[0]["loss"] > 0.9  # near ln 3: nothing known
    assert min(row["loss"] for row in progress.history) < 0.5


def test_a_run_that_was_stopped_equals_one_that_was_not(tiny_records, tmp_path):
    config = _config(tiny_records, checkpoint_minutes=0.0)
    whole = loop.Trainer(config, tiny_records, tmp_path / "whole").train()
    folder = tmp_path / "stopped"
    for step in (1, 7):  # within an epoch, and in the second stage
        with pytest.raises(InterruptedError):
            loop.Trainer(config, tiny_records, folder, callbacks=[_StopAt(step, _kill)]).train()
    resumed = loop.Trainer(config, tiny_records, folder).train()
    assert _rows(folder / "steps.csv") == _rows(tmp_path / "whole" / "steps.csv")
    timing = ("clips_per_second", "input_wait")
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }
    assert resumed.best == whole.best


def test_sigterm_saves_and_the_run_goes_on(tiny_records, tmp_path):
    config = _config(tiny_records)

    def terminate():
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(loop.Preempted, match="saved at step 2"):
        loop.Trainer(config, tiny_records, tmp_path, callbacks=[_StopAt(1, terminate)]).train()
    trainer = loop.Trainer(config, tiny_records, tmp_path)
    assert trainer.train().finished
    assert [int(row["step"]) for row in _rows(tmp_path / "steps.csv")] == list(range(9))


def test_a_finished_run_stays_finished(tiny_records, tmp_path):
    config = _config(tiny_records, max_epochs=(1, 1))
    done = loop.Trainer(config, tiny_records, tmp_path).train()
    again = loop.Trainer(config, tiny_records, tmp_path).train()
    assert again.finished and again.history == done.history


def test_stage_two_starts_from_the_best_of_stage_one(tiny_records, tmp_path):
    config = _config(tiny_records, learning_rates=(3e-3, 1e-30))
    trainer = loop.Trainer(config, tiny_records, tmp_path)
    progress = trainer.train()
    kept = keras.saving.load_model(tmp_path / "best.keras", compile=False)
    for ours, best in zip(trainer.model.trainable_variables, kept.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(best))
    assert [row["stage"] for row in progress.history] == [1, 1, 2]


def test_a_plateau_ends_a_stage(tiny_records, tmp_path):
    config = _config(
        tiny_records, learning_rates=(1e-30,), max_epochs=(50,), frozen_blocks=(0,), patience=3
    )
    progress = loop.Trainer(config, tiny_records, tmp_path).train()
    assert len(progress.history) == 4  # the first is the best; three more without a better one


def test_frozen_streams_keep_their_weights(tiny_records, tmp_path):
    config = _config(tiny_records, max_epochs=(1, 1), frozen_blocks=(5, 2))
    trainer = loop.Trainer(config, tiny_records, tmp_path)
    stream = trainer.model.get_layer("rgb_stream").convolutions
    before = {name: np.asarray(layer.kernel) for name, layer in stream.items()}
    trainer.train()
    changed = {name for name in stream if (np.asarray(stream[name].kernel) != before[name]).any()}
    assert {name[: len("block1")] for name in changed} == {"block3", "block4", "block5"}


@pytest.fixture(scope="module")
def random_batch():
    """Six clips of random bytes, two a class."""
    rng = np.random.default_rng(0)
    return {
        "rgb": tf.constant(rng.integers(0, 256, (6, 3, 32, 32, 3), np.uint8)),
        "fields": tf.constant(rng.integers(100, 156, (6, 3, 4, 2, 32, 32), np.uint8)),
        "label": tf.constant([0, 1, 2, 0, 1, 2], tf.int64),
        "weight": tf.ones(6),
    }


def _after_steps(record_set, batch, steps=3, **changes):
    """Losses of a few steps without dropout, and the weights after them."""
    model = {"fc6_dropout": 0.0, "lstm_dropout": 0.0}
    config = _config(record_set, model=model, batch_size=6, optimizer="sgd", **changes)
    network = loop.make_model(config)
    strategy = tf.distribute.get_strategy()
    optimizer = make_optimizer(config.training, 0.1)
    step = DistributedSteps(network, optimizer, config.training, strategy)
    losses = [float(step.train(batch)["loss"]) for _ in range(steps)]
    return losses, [np.asarray(variable) for variable in network.trainable_variables]


@pytest.fixture(scope="module")
def plain_steps(tiny_records, random_batch):
    """Losses and weights that no switch may change."""
    return _after_steps(tiny_records, random_batch)


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({"accumulation_steps": 3}, 1e-5),
        ({"remat": True}, 1e-6),
        # XLA adds in another order, on some processors in a much coarser one.
        pytest.param({"jit_compile": True}, 1e-4, marks=pytest.mark.slow),
        ({"accumulation_steps": 2, "remat": True, "jit_compile": True}, 1e-4),
        ({"precision": "mixed_bfloat16"}, 5e-2),
        ({"precision": "mixed_float16"}, 1e-2),
    ],
)
def test_a_switch_for_memory_or_speed_changes_no_result(
    tiny_records, random_batch, plain_steps, changes, tolerance
):
    losses, weights = plain_steps
    found, changed = _after_steps(tiny_records, random_batch, **changes)
    assert len(set(losses)) == 3  # the weights do change
    np.testing.assert_allclose(found, losses, atol=tolerance)
    for ours, theirs in zip(changed, weights, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_float16_halves_the_loss_scale_and_skips_a_step_that_overflows(tiny_records, random_batch):
    config = _config(tiny_records, batch_size=6, precision="mixed_float16")
    network = loop.make_model(config)
    optimizer = make_optimizer(config.training, 1e-3)
    step = DistributedSteps(network, optimizer, config.training, tf.distribute.get_strategy())
    optimizer.dynamic_scale.assign(1e30)
    before = [np.asarray(variable) for variable in network.trainable_variables]
    step.train(random_batch)
    assert float(optimizer.dynamic_scale) == pytest.approx(5e29)
    for ours, theirs in zip(network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)


def test_a_reset_optimizer_takes_its_first_step_again(tiny_records, random_batch):
    config = _config(tiny_records, batch_size=6, ema=0.9, precision="mixed_float16")
    network = loop.make_model(config)
    optimizer = make_optimizer(config.training, 1e-3)
    step = DistributedSteps(network, optimizer, config.training, tf.distribute.get_strategy())
    first = [np.asarray(variable) for variable in optimizer.variables]
    for _ in range(2):
        step.train(random_batch)
    assert int(optimizer.iterations) > 0  # the first scale may overflow once
    step.reset_optimizer()
    for ours, theirs in zip(optimizer.variables, first, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)


class _Weights(keras.callbacks.Callback):
    """Keeps one variable after each step."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_train_batch_end(self, batch, logs=None):
        kernel = self.model.get_layer("logits").kernel
        self.kept.append(np.asarray(kernel).astype(np.float64))


def test_the_running_mean_of_the_weights_is_what_is_kept(tiny_records, tmp_path):
    config = _config(
        tiny_records, ema=0.5, learning_rates=(3e-3,), max_epochs=(1,), frozen_blocks=(0,)
    )
    steps = _Weights()
    loop.Trainer(config, tiny_records, tmp_path, callbacks=[steps]).train()
    mean = steps.kept[0]
    for kernel in steps.kept[1:]:
        mean = 0.5 * mean + 0.5 * kernel
    kept = keras.saving.load_model(tmp_path / "best.keras", compile=False)
    np.testing.assert_allclose(np.asarray(kept.get_layer("logits").kernel), mean, atol=1e-6)
    assert np.abs(mean - steps.kept[-1]).max() > 1e-4


def test_the_modern_recipe_trains(tiny_records, tmp_path):
    from experiments.configs import modern
    from experiments.run_config import make_run_config

    values = modern.get_config()
    values.model.update(clip=dataclasses.asdict(CLIP), width_divisor=32, fc6_units=8, lstm_units=8)
    values.model.update(rgb_input="unit", flow_input="pixels")
    values.training.update(weights="", temporal_conv1="random", tau_range=(1, 3))
    values.training.update(batch_size=4, accumulation_steps=1)
    values.training.update(learning_rates=(1e-2, 3e-3), max_epochs=(3, 1), warmup_epochs=0.5)
    values.training.update(frozen_blocks=(0, 2), ema=0.5)
    config = make_run_config(values, tiny_records)
    progress = loop.Trainer(config, tiny_records, tmp_path).train()
    losses = [row["loss"] for row in progress.history]
    assert progress.finished and len(losses) == 4
    assert min(losses[1:]) < losses[0]


def test_a_loss_that_is_not_finite_names_the_videos(tiny_records, tmp_path):
    config = _config(tiny_records, optimizer="sgd", learning_rates=(1e30, 1e30))
    with pytest.raises(UserError, match=r"the loss of step \d+ is (nan|inf); its videos: v_.*_g0"):
        loop.Trainer(config, tiny_records, tmp_path).train()


def test_warm_up_rises_and_cosine_falls():
    config = TrainingConfig(
        learning_rates=(1.0,),
        max_epochs=(10,),
        frozen_blocks=(0,),
        warmup_epochs=2,
        schedule="cosine",
    )
    rates = [learning_rate(config, 0, step, steps_per_epoch=4) for step in range(41)]
    np.testing.assert_allclose(rates[:8], np.arange(1, 9) / 8)
    assert rates[8] == 1.0
    np.testing.assert_allclose(rates[24], 0.5)  # half of the 32 steps behind the warm-up
    np.testing.assert_allclose(rates[40], 0.0, atol=1e-12)


def test_a_batch_that_cannot_be_shared_is_refused(tiny_records, tmp_path):
    with pytest.raises(UserError, match=r"accumulation_steps=3 does not divide .*batch_size=4"):
        config = _config(tiny_records, batch_size=4, accumulation_steps=3)
        loop.Trainer(config, tiny_records, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("batch", "steps", "devices", "parts"),
    [(8, 8, 1, 8), (8, 8, 2, 4), (8, 8, 8, 1), (8, 1, 2, 1), (12, 4, 2, 2), (12, 6, 4, 3)],
)
def test_the_parts_of_a_batch_follow_from_the_devices(batch, steps, devices, parts):
    config = TrainingConfig(batch_size=batch, accumulation_steps=steps)
    assert microbatches_per_device(config, devices) == parts
    assert batch // devices // parts <= batch // steps


def test_a_batch_smaller_than_the_devices_is_refused():
    with pytest.raises(UserError, match="batch_size=8 cannot be shared by 3 devices"):
        microbatches_per_device(TrainingConfig(batch_size=8), 3)


def test_validation_in_parts_gives_the_figures_of_the_whole(tiny_records, random_batch):
    def figures(parts):
        config = _config(tiny_records, batch_size=6, accumulation_steps=parts)
        network = loop.make_model(config)
        strategy = tf.distribute.get_strategy()
        optimizer = make_optimizer(config.training, 0.1)
        step = DistributedSteps(network, optimizer, config.training, strategy)
        return {k: v.numpy() for k, v in step.test({**random_batch}).items()}

    whole, divided = figures(1), figures(3)
    assert whole["count"] == divided["count"] == 6
    np.testing.assert_array_equal(whole["confusion"], divided["confusion"])
    assert divided["loss"] == pytest.approx(whole["loss"], abs=1e-5)


def test_sigterm_during_validation_saves_and_validates_again(tiny_records, tmp_path):
    config = _config(tiny_records, ema=0.5)
    whole = loop.Trainer(config, tiny_records, tmp_path / "whole").train()
    trainer = loop.Trainer(config, tiny_records, tmp_path / "stopped")
    validate = trainer._validate

    def stop_and_validate():
        signal.raise_signal(signal.SIGTERM)
        return validate()

    trainer._validate = stop_and_validate
    with pytest.raises(loop.Preempted, match="saved at step 3"):
        trainer.train()
    assert not (tmp_path / "stopped" / "best.keras").exists()
    resumed = loop.Trainer(config, tiny_records, tmp_path / "stopped").train()
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert ours["val_loss"] == theirs["val_loss"] and ours["loss"] == theirs["loss"]


def test_a_gradient_that_is_not_finite_reaches_no_checkpoint(tiny_records, tmp_path):
    config = _config(tiny_records, checkpoint_minutes=0.0)
    trainer = loop.Trainer(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)])
    with pytest.raises(InterruptedError):
        trainer.train()
    kept = sorted((tmp_path / "checkpoints").iterdir())
    before = [path.read_bytes() for path in kept]
    trainer = loop.Trainer(config, tiny_records, tmp_path)
    apply = DistributedSteps._gradients

    def overflow(self, batch):
        gradients, loss, correct = apply(self, batch)
        return [gradient * float("inf") for gradient in gradients], loss, correct

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistributedSteps, "_gradients", overflow)
        with pytest.raises(UserError, match=r"the gradient norm of step \d is (inf|nan); its vid"):
            trainer.train()
    assert sorted((tmp_path / "checkpoints").iterdir()) == kept
    assert [path.read_bytes() for path in kept] == before


def test_two_trainings_of_one_folder_do_not_mix(tiny_records, tmp_path):
    config = _config(tiny_records)
    trainer = loop.Trainer(config, tiny_records, tmp_path)
    with (
        files.locked(tmp_path, "training"),
        pytest.raises(UserError, match="another training is writing"),
    ):
        trainer.train()
    assert not (tmp_path / "config.json").exists()


def test_the_network_that_is_kept_has_no_optimiser_in_it(tiny_records, tmp_path):
    config = _config(tiny_records, max_epochs=(1, 1))
    model = loop.Trainer(config, tiny_records, tmp_path).train() and keras.saving.load_model(
        tmp_path / "best.keras"
    )
    assert getattr(model, "optimizer", None) is None
    assert (tmp_path / "best.keras").stat().st_size < 4 * model.count_params() + 500_000


def test_steps_of_a_file_that_a_crash_filled_with_zeros_are_kept_as_far_as_they_go(
    tiny_records, tmp_path
):
    config = _config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.Trainer(config, tiny_records, tmp_path, callbacks=[_StopAt(4, _kill)]).train()
    with open(tmp_path / "steps.csv", "ab") as file:
        file.write(b"\0" * 116 + b"5,1,2,0.9")
    loop.Trainer(config, tiny_records, tmp_path).train()
    assert [int(row["step"]) for row in _rows(tmp_path / "steps.csv")] == list(range(9))


def test_a_run_does_not_go_on_with_other_files_under_its_names(tiny_records, tmp_path):
    config = _config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.Trainer(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)]).train()
    name = min(run.read_videos(tmp_path).train)
    videos = [
        dataclasses.replace(video, source_sha256="0" * 64) if video.id == name else video
        for video in tiny_records.videos
    ]
    changed = dataclasses.replace(tiny_records, videos=tuple(videos))
    with pytest.raises(UserError, match=rf"1 training or validation videos .* \(such as {name}\)"):
        loop.Trainer(config, changed, tmp_path)


def test_an_epoch_begins_again_where_the_records_lost_videos(tiny_records, tmp_path, capsys):
    config = _config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.Trainer(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)]).train()
    assert not run.is_finished(tmp_path)
    gone = sorted(run.read_videos(tmp_path).train)[:8]
    fewer = dataclasses.replace(
        tiny_records, videos=tuple(v for v in tiny_records.videos if v.id not in gone)
    )
    loop.Trainer(config, fewer, tmp_path).train()
    assert "stage 1 epoch 1 begins again" in capsys.readouterr().out
    assert run.is_finished(tmp_path)


def test_what_a_killed_run_left_half_written_is_removed(tiny_records, tmp_path):
    left = [
        tmp_path / ".partial-gone-7-best.keras",
        tmp_path / "checkpoints" / ".partial-gone-7-checkpoint-000000001.npz",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    loop.Trainer(_config(tiny_records, max_epochs=(1, 1)), tiny_records, tmp_path).train()
    assert not any(path.exists() for path in left)
