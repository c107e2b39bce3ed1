"""Settings of training: what they refuse, and what follows from them."""

import pytest

from preprocessing.errors import UserError
from stfnet.config import TrainingConfig

NAN, INF = float("nan"), float("inf")


def _training(**changes):
    return lambda: TrainingConfig(**changes)


@pytest.mark.parametrize(
    ("frozen", "unchanged"),
    [((5, 5), [5, 5]), ((5, 4, 5), [5, 4, 4]), ((5, 0, 3), [5, 0, 0]), ((0, 5), [0, 0])],
)
def test_blocks_are_unchanged_until_a_stage_trains_them(frozen, unchanged):
    stages = len(frozen)
    training = TrainingConfig((1e-3,) * stages, (1,) * stages, frozen_blocks=frozen)
    assert [training.unchanged_blocks(stage) for stage in range(stages)] == unchanged


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_training(learning_rates=(), max_epochs=(), frozen_blocks=()), "has no stage"),
        (_training(learning_rates=(1e-3, -1e-4)), "training.learning_rates="),
        (_training(learning_rates=(1e-3, 0.0)), "training.learning_rates="),
        (_training(learning_rates=1e-3), "training.learning_rates=0.001 is not a tuple"),
        (_training(max_epochs=(1,)), "one a stage"),
        (_training(max_epochs=(0, 0)), "training.max_epochs="),
        (_training(frozen_blocks=(6, 0)), "training.frozen_blocks="),
        (_training(tau_range=(3, 2)), "training.tau_range="),
        (_training(tau_range=(2, 3, 4)), "training.tau_range="),
        (_training(batch_size=2.5), "training.batch_size=2.5"),
        (_training(clip_norm=-1.0), "training.clip_norm=-1.0"),
        (_training(clip_norm=INF), "training.clip_norm=inf"),
        (_training(label_smoothing=2.0), "training.label_smoothing=2.0"),
        (_training(ema=1.5), "training.ema=1.5"),
        (_training(warmup_epochs=-1.0), "training.warmup_epochs=-1.0"),
        (_training(warmup_epochs=47.0), "longer than a stage"),
        (_training(checkpoint_minutes=NAN), "training.checkpoint_minutes=nan"),
        (_training(validation_fraction=1.0), "training.validation_fraction=1.0"),
        (_training(seed=-1), "training.seed=-1"),
        (_training(seed=True), "training.seed=True"),
        (_training(weights=None), "training.weights=None is not text"),
        (
            _training(weight_decay=0.1),
            "weight_decay=0.1 has no effect with training.optimizer=adam",
        ),
        (_training(temporal_conv1="cross_modality"), "temporal_conv1=cross_modality has no effect"),
        (_training(train_on_validation=True), "train_on_validation needs training.keep=last"),
        (
            _training(train_on_validation=True, keep="last", validation_fraction=0.0),
            "the validation part would be the test part",
        ),
        (_training(fc6_init="imagenet"), "fc6_init=imagenet has no effect"),
        (_training(fc6_init="imagenet", weights="best.keras"), "fc6_init=imagenet has no effect"),
        (_training(validation_fold="3/2"), "is not K/N"),
        (_training(validation_fold="1"), "is not K/N"),
        (_training(validation_fold="²/3"), "is not K/N"),
        (_training(validation_fold="१/३"), "is not K/N"),
        (_training(balanced=True, class_weighted=True), "set one of them"),
        (_training(keep="first"), "training.keep='first'"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


@pytest.mark.parametrize(("fold", "held_back"), [("", 0.15), ("2/5", 0.2), ("1/2", 0.5)])
def test_a_fold_stands_in_for_the_fraction_that_validation_has(fold, held_back):
    assert TrainingConfig(validation_fold=fold).held_back == held_back
