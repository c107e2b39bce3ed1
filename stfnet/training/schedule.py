"""What happens when: learning rate and optimiser of a stage, the best epoch, the end of a stage."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import keras

from stfnet.config import TrainingConfig
from stfnet.training import adam


def learning_rate(training: TrainingConfig, stage: int, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step: constant, or warm-up then cosine to zero.

    Args:
        training: the configuration.
        stage: 0-based.
        step: of the stage, 0-based.
        steps_per_epoch: optimiser steps an epoch.
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


def make_optimizer(training: TrainingConfig, rate: float) -> keras.optimizers.Optimizer:
    """The optimiser of one stage at its first learning rate."""
    ema = {"use_ema": True, "ema_momentum": training.ema} if training.ema else {}
    if training.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, **ema)
    elif training.optimizer == "adamw":
        optimizer = adam.AdamW(rate, weight_decay=training.weight_decay, **ema)
    else:
        optimizer = adam.Adam(rate, **ema)
    if training.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@dataclasses.dataclass
class Progress:
    """Where a run is; with the variables, all that a checkpoint holds.

    Attributes:
        stage, epoch: 0-based; the epoch counts within its stage.
        batch: batches done in this epoch.
        planned: clips of this epoch.
        step: optimiser steps done in all.
        loss_sum, correct_sum: over the batches done in this epoch.
        best: `val_accuracy`, `val_loss`, `stage`, `epoch` of the best epoch so far, the last two
            1-based.
        waited: epochs of this stage since the best one.
        history: one dictionary an epoch, the rows of history.csv.
        finished: whether every stage is done.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    planned: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct_sum: float = 0.0
    best: dict[str, Any] | None = None
    waited: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    finished: bool = False

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

        Returns:
            Whether the epoch must begin again, because at the last checkpoint it had another
            number of clips.
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

        Returns:
            Whether the stage is over: it had all its epochs, or none was better for `patience`.
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
