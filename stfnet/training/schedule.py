"""What happens when: learning rate and optimiser of a stage, the best epoch, the end of a stage."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from stfnet.config import TrainingConfig


def learning_rate(training: TrainingConfig, stage: int, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a stage's optimiser step, both from 0: constant, or warm-up then cosine to
    zero.
    """
    peak = training.learning_rates[stage]
    warmup = training.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / warmup
    if training.schedule == "constant":
        return peak
    total = training.max_epochs[stage] * steps_per_epoch
    fraction = min((step - warmup) / max(total - warmup, 1), 1.0)
    return peak * 0.5 * (1 + math.cos(math.pi * fraction))


class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, with its formula, its arguments but `amsgrad`, and its variables.

    One TensorFlow operation a variable goes through memory once, where Keras' take some twenty: the
    update of the paper's network takes a third of the time, and the first step of any, which is
    traced, comes after two thirds.
    """

    _powers: Any = None  # of beta_1 and beta_2, while a step is traced

    def apply(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any] | None = None
    ) -> None:
        step = tf.cast(self.iterations, tf.float32) + 1.0
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)
        self._powers = None

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """One variable's step; `apply` has computed what all have in common."""
        place, dtype = self._get_variable_index(variable), variable.dtype
        first, second = (tf.cast(power, dtype) for power in self._powers)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=first,
            beta2_power=second,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class AdamW(Adam, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, see `Adam`."""


def make_optimizer(training: TrainingConfig, rate: float) -> keras.optimizers.Optimizer:
    """The optimiser of one stage at its first learning rate."""
    ema = {"use_ema": True, "ema_momentum": training.ema} if training.ema else {}
    if training.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, **ema)
    elif training.optimizer == "adamw":
        optimizer = AdamW(rate, weight_decay=training.weight_decay, **ema)
    else:
        optimizer = Adam(rate, **ema)
    if training.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@dataclasses.dataclass
class Progress:
    """Where a run is; with the variables, all that a checkpoint holds."""

    stage: int = 0  # from 0
    epoch: int = 0  # of the stage, from 0
    batch: int = 0  # batches done in this epoch
    planned: int = 0  # clips of this epoch
    step: int = 0  # optimiser steps done in all
    loss_sum: float = 0.0  # over the batches done in this epoch
    correct_sum: float = 0.0
    best: dict[str, Any] | None = None  # `val_accuracy`, `val_loss`; `stage`, `epoch` from 1
    waited: int = 0  # epochs of this stage since the best one
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # rows of history.csv
    finished: bool = False  # whether every stage is done

    def resume(self, state: Mapping[str, Any], training: TrainingConfig) -> None:
        """Takes the values of a checkpoint's state.

        A run that had all its epochs goes on in its last stage where that may have more now.
        """
        vars(self).update(vars(Progress(**state)))
        if not self.finished or not self.history:
            return
        epoch = self.history[-1]["epoch"]
        waited = self._waited_at_the_end()
        if epoch < training.max_epochs[-1] and waited < training.patience:
            self.stage, self.epoch, self.waited = self.stage - 1, epoch, waited
            self.finished = False

    def ended_early(self, training: TrainingConfig) -> str:
        """What a finished run says whose last stage a plateau ended; else empty."""
        epoch, asked = self.history[-1]["epoch"], training.max_epochs[-1]
        if epoch >= asked:
            return ""
        return (
            f"stage {self.stage} has ended after {epoch} of {asked} epochs: validation was no "
            f"better for training.patience={training.patience}"
        )

    def _waited_at_the_end(self) -> int:
        """Epochs of the last stage of a finished run since the best one."""
        last, best = self.history[-1], self.best or {}
        return last["epoch"] - (best["epoch"] if best.get("stage") == last["stage"] else 0)

    def begin_epoch(self, clips: int) -> bool:
        """Begins or resumes an epoch of so many clips.

        Returns whether it must begin again, because at the last checkpoint it had another number.
        """
        begins_again = self.batch > 0 and self.planned != clips
        if begins_again:
            self._clear_epoch()
        self.planned = clips
        return begins_again

    def add_step(self, loss: float, correct: float) -> None:
        """Counts an optimiser step, with its mean loss and number of correct clips."""
        self.loss_sum += loss
        self.correct_sum += correct
        self.batch += 1
        self.step += 1

    def is_best(self, accuracy: float, loss: float, keep: str = "best") -> bool:
        """Counts a validation; whether its accuracy (at equality, its loss) is the best so far.

        With `keep` = `last`, each one counts as the best.
        """
        best = self.best
        figures = (accuracy, -loss)
        if keep == "best" and best and figures <= (best["val_accuracy"], -best["val_loss"]):
            self.waited += 1
            return False
        self.waited = 0
        self.best = {
            "val_accuracy": accuracy,
            "val_loss": loss,
            "stage": self.stage + 1,
            "epoch": self.epoch + 1,
        }
        return True

    def end_epoch(self, row: dict[str, Any], training: TrainingConfig) -> bool:
        """Adds an epoch to the history and moves on to the next, in this stage or another.

        Returns whether the stage is over: it had all its epochs, or none was better for `patience`.
        """
        self.history.append(row)
        self.epoch += 1
        self._clear_epoch()
        stage_is_over = (
            self.epoch >= training.max_epochs[self.stage] or self.waited >= training.patience
        )
        if stage_is_over:
            self.stage, self.epoch, self.waited = self.stage + 1, 0, 0
            self.finished = self.stage == len(training.learning_rates)
        return stage_is_over

    def _clear_epoch(self) -> None:
        self.batch, self.loss_sum, self.correct_sum = 0, 0.0, 0.0
