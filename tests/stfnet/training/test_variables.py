"""Arrays of a checkpoint: named by the variables' paths, and put back by them."""

import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet
from stfnet.config import TrainingConfig
from stfnet.training import variables
from stfnet.training.schedule import make_optimizer

SMALL = ModelConfig(
    3,
    ClipConfig(num_frames=2, flow_length=2, image_size=16),
    width_divisor=64,
    fc6_units=4,
    lstm_units=4,
    lstm_statistics="batch",
)


def _make(seed=0, **training):
    """A network and its built optimiser, every variable at a random value."""
    keras.utils.set_random_seed(seed)
    model = build_stfnet(SMALL)
    optimizer = make_optimizer(TrainingConfig(**training), 1e-3)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    for variable in [*model.variables, *optimizer.variables]:
        drawn = rng.integers(1, 1000, variable.shape)
        variable.assign(drawn.astype(keras.backend.standardize_dtype(variable.dtype)))
    return model, optimizer


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"optimizer": "sgd", "ema": 0.5},
        {"optimizer": "adamw", "ema": 0.5, "precision": "mixed_float16"},
    ],
)
def test_names_are_the_same_whatever_was_made_before_in_the_process(training):
    """Keras numbers what it makes, `adam_1`, and a process that resumes has made other things."""
    first, second = _make(1, **training), _make(2, **training)
    paths = [[v.path for v in optimizer.variables] for _, optimizer in (first, second)]
    assert paths[0] != paths[1]  # so they could not be the names
    names = list(variables.named_variables(*first))
    assert names == list(variables.named_variables(*second))
    assert len(set(names)) == len(names) == len(first[0].variables) + len(first[1].variables)
    assert "model/rgb_stream/block1_conv1/kernel" in names
    assert "model/lstm_conv/cell/gate_normalization/moving_mean" in names
    optimizer = {"sgd": "sgd", "adamw": "adam_w"}.get(training.get("optimizer"), "adam")
    assert f"optimizer/{optimizer}/rgb_stream_block1_conv1_kernel_momentum" in names
    # One for each dropout layer, which have no names of their own.
    generators = [name for name in names if "seed_generator" in name]
    assert generators == [
        f"model/seed_generator/seed_generator_state{suffix}" for suffix in ("", "#1", "#2", "#3")
    ]


@pytest.mark.parametrize("positional", [False, True])
def test_values_come_back_in_another_network(positional):
    saved, loaded = _make(1, ema=0.5), _make(2, ema=0.5)
    arrays = variables.to_arrays(*saved)
    if positional:  # as checkpoints of earlier versions are
        everything = [*saved[0].variables, *saved[1].variables]
        arrays = {f"{k:04d}": variable.value.numpy() for k, variable in enumerate(everything)}
    variables.assign(arrays, *loaded)
    for ours, theirs in zip(saved, loaded, strict=True):
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one.value.numpy(), other.value.numpy())


def test_an_array_is_found_by_its_name_and_not_by_its_place():
    saved, loaded = _make(1), _make(2)
    arrays = variables.to_arrays(*saved)
    variables.assign(dict(reversed(arrays.items())), *loaded)
    np.testing.assert_array_equal(
        loaded[0].get_layer("logits").kernel, arrays["model/logits/kernel"]
    )


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_assigned():
    saved, loaded = _make(1), _make(2)
    arrays = variables.to_arrays(*saved)
    before = variables.to_arrays(*loaded)
    del arrays["model/fusion/kernel"]
    with pytest.raises(UserError, match=r"no array model/fusion/kernel \(1 are missing"):
        variables.assign(arrays, *loaded)
    after = variables.to_arrays(*loaded)
    assert all((after[name] == before[name]).all() for name in before)
