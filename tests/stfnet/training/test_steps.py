"""A step of training or validation against a float64 NumPy statement, and its switches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import run_config

from stfnet import ClipConfig, ModelConfig
from stfnet.config import TrainingConfig
from stfnet.layers.score_average import ScoreAverage
from stfnet.training import stages
from stfnet.training.schedule import make_optimizer
from stfnet.training.steps import DistributedSteps

MODEL = ModelConfig(
    num_classes=3,
    clip=ClipConfig(num_frames=3, flow_length=4, image_size=32),
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
    rgb_input="unit",
    flow_input="pixels",
    normalize="all",
    fc6_dropout=0.0,
    lstm_dropout=0.0,
)
RATE = 0.5


def _steps(config, rate):
    network = stages.make_model(config)
    optimizer = make_optimizer(config.training, rate)
    strategy = tf.distribute.get_strategy()
    return network, DistributedSteps(network, optimizer, config.training, strategy)


@pytest.fixture
def linear():
    """Function of training settings: a softmax regression on the RGB bytes, and its steps."""

    def make(**settings):
        keras.utils.set_random_seed(0)
        rgb = keras.Input((2, 4, 4, 3), dtype="uint8", name="rgb")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(rgb))
        logits = keras.layers.Dense(3, name="logits")(x)
        model = keras.Model({"rgb": rgb}, keras.layers.Softmax()(logits))
        training = TrainingConfig(batch_size=6, optimizer="sgd", **settings)
        optimizer = make_optimizer(training, RATE)
        steps = DistributedSteps(model, optimizer, training, tf.distribute.get_strategy())
        return model.get_layer("logits"), steps

    return make


@pytest.fixture
def small_batch():
    """Six clips of two frames of 4 x 4 pixels, the last of weight 0."""
    rng = np.random.default_rng(3)
    return {
        "rgb": rng.integers(0, 256, (6, 2, 4, 4, 3), np.uint8),
        "fields": np.zeros((6, 2, 1, 2, 4, 4), np.uint8),
        "label": np.array([0, 1, 2, 2, 1, 0]),
        "weight": np.array([1, 1, 1, 1, 1, 0], np.float32),
    }


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _forward(batch, kernel, bias):
    """Float64: (inputs, probabilities, one-hot labels)."""
    x = batch["rgb"].reshape(6, -1) / 255.0
    z = np.exp(x @ kernel + bias)
    return x, z / z.sum(1, keepdims=True), np.eye(3)[batch["label"]]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulation_steps": 3},
        {"clip_norm": 0.5},
        {"label_smoothing": 0.3},
        {"accumulation_steps": 2, "clip_norm": 0.5, "label_smoothing": 0.3},
    ],
)
def test_a_step_is_the_gradient_of_the_mean_loss_with_momentum(linear, small_batch, settings):
    layer, steps = linear(**settings)
    weight = np.array([0.5, 1, 2, 2, 1, 0.5])  # of the classes
    small_batch["weight"] = weight.astype(np.float32)
    weights = [np.asarray(w, np.float64) for w in (layer.kernel, layer.bias)]
    velocity = [np.zeros_like(w) for w in weights]
    smoothing, largest = settings.get("label_smoothing", 0.0), settings.get("clip_norm", np.inf)
    clipped = 0
    for _ in range(4):
        x, p, y = _forward(small_batch, *weights)
        target = y * (1 - smoothing) + smoothing / 3
        loss = (weight * -(target * np.log(p)).sum(1)).mean()
        slope = weight[:, None] * (p - target)
        gradients = [x.T @ slope / 6, slope.mean(0)]
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        clipped += norm > largest
        for k, gradient in enumerate(gradients):
            velocity[k] = 0.9 * velocity[k] - RATE * gradient * min(1, largest / norm)
            weights[k] = weights[k] + velocity[k]
        results = {name: float(value) for name, value in steps.train(_tensors(small_batch)).items()}
        assert results["loss"] == pytest.approx(loss, rel=1e-4)
        assert results["gradient_norm"] == pytest.approx(norm, rel=1e-4)
        assert results["correct"] == (p.argmax(1) == small_batch["label"]).sum()
    np.testing.assert_allclose(layer.kernel, weights[0], atol=1e-5)
    np.testing.assert_allclose(layer.bias, weights[1], atol=1e-5)
    assert clipped or not settings.get("clip_norm")


@pytest.mark.parametrize("accumulation_steps", [1, 3])
def test_validation_counts_each_clip_with_its_weight(linear, small_batch, accumulation_steps):
    layer, steps = linear(accumulation_steps=accumulation_steps, label_smoothing=0.3)
    _, p, y = _forward(small_batch, np.asarray(layer.kernel, np.float64), np.asarray(layer.bias))
    confusion = np.zeros((3, 3))
    for truth, guess in zip(small_batch["label"][:5], p.argmax(1)[:5], strict=True):
        confusion[truth, guess] += 1
    results = {name: value.numpy() for name, value in steps.test(_tensors(small_batch)).items()}
    assert results["loss"] == pytest.approx(-np.log(p[y == 1])[:5].sum(), rel=1e-4)
    assert results["count"] == 5
    assert results["correct"] == np.trace(confusion)
    np.testing.assert_array_equal(results["confusion"], confusion)


def test_a_network_that_averages_scores_learns_from_each_of_them(small_batch):
    keras.utils.set_random_seed(0)
    rgb = keras.Input((2, 4, 4, 3), dtype="uint8", name="rgb")
    frames = keras.layers.Reshape((2, 48))(keras.layers.Rescaling(1 / 255)(rgb))
    dense = keras.layers.Dense(3, name="scores")
    logits = ScoreAverage([1, 3], name="logits")(dense(frames))
    model = keras.Model({"rgb": rgb}, keras.layers.Softmax()(logits))
    training = TrainingConfig(batch_size=6, optimizer="sgd", accumulation_steps=2)
    optimizer = make_optimizer(training, RATE)
    steps = DistributedSteps(model, optimizer, training, tf.distribute.get_strategy())
    kernel, bias = (np.asarray(w, np.float64) for w in (dense.kernel, dense.bias))
    x = small_batch["rgb"].reshape(6, 2, 48) / 255.0
    z = np.exp(x @ kernel + bias)
    p = z / z.sum(-1, keepdims=True)  # clip, frame, class
    y = np.eye(3)[small_batch["label"]]
    weight, of_frames = small_batch["weight"], np.array([0.25, 0.75])
    losses = -(of_frames * np.log((p * y[:, None]).sum(-1))).sum(1)
    mean = np.einsum("s,bsc->bc", of_frames, p)

    tested = {name: value.numpy() for name, value in steps.test(_tensors(small_batch)).items()}
    assert tested["loss"] == pytest.approx((losses * weight).sum(), rel=1e-4)
    right = mean.argmax(1) == small_batch["label"]
    assert tested["correct"] == right[:5].sum()
    trained = {name: float(value) for name, value in steps.train(_tensors(small_batch)).items()}
    assert trained["loss"] == pytest.approx((losses * weight).sum() / 6, rel=1e-4)
    assert trained["correct"] == right.sum()
    slope = (weight[:, None, None] * of_frames[:, None] * (p - y[:, None])) / 6
    np.testing.assert_allclose(dense.bias, bias - RATE * slope.sum((0, 1)), atol=1e-5)
    gradient = np.einsum("bsf,bsc->fc", x, slope)
    np.testing.assert_allclose(dense.kernel, kernel - RATE * gradient, atol=1e-5)


def test_a_step_says_whether_a_process_must_stop(linear, small_batch):
    _, steps = linear()
    for function in (steps.train, steps.test):
        for stopping in (0.0, 1.0):
            results = function(_tensors(small_batch), tf.constant(stopping))
            assert float(results["stopping"]) == stopping


def test_the_mean_of_the_weights_is_in_the_network_for_the_block_alone(linear, small_batch):
    layer, steps = linear(ema=0.75)
    mean = np.asarray(layer.kernel, np.float64)
    for k in range(3):
        steps.train(_tensors(small_batch))
        trained = np.asarray(layer.kernel)
        mean = trained.astype(np.float64) if k == 0 else 0.75 * mean + 0.25 * trained
    with steps.averaged_weights():
        np.testing.assert_allclose(layer.kernel, mean, atol=1e-6)
        assert np.abs(np.asarray(layer.kernel) - trained).max() > 1e-3
    # Keras exchanges the two by sums and differences, which round.
    np.testing.assert_allclose(layer.kernel, trained, atol=1e-7)


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


def _after_steps(batch, steps=3, **changes):
    """Losses of a few steps, and the weights after them."""
    config = run_config(MODEL, batch_size=6, optimizer="sgd", **changes)
    network, step = _steps(config, 0.1)
    losses = [float(step.train(batch)["loss"]) for _ in range(steps)]
    return losses, [np.asarray(variable) for variable in network.trainable_variables]


@pytest.fixture(scope="module")
def plain_steps(random_batch):
    """Losses and weights that no switch may change."""
    return _after_steps(random_batch)


@pytest.mark.slow
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
    random_batch, plain_steps, changes, tolerance
):
    losses, weights = plain_steps
    other_losses, changed = _after_steps(random_batch, **changes)
    assert len(set(losses)) == 3  # the weights do change
    np.testing.assert_allclose(other_losses, losses, atol=tolerance)
    for ours, theirs in zip(changed, weights, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_float16_halves_the_loss_scale_and_skips_a_step_that_overflows(random_batch):
    config = run_config(MODEL, batch_size=6, precision="mixed_float16")
    network, step = _steps(config, 1e-3)
    optimizer = step.optimizer
    optimizer.dynamic_scale.assign(1e30)
    before = [np.asarray(variable) for variable in network.trainable_variables]
    step.train(random_batch)
    assert float(optimizer.dynamic_scale) == pytest.approx(5e29)
    for ours, theirs in zip(network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)


def test_a_reset_optimizer_takes_its_first_step_again(random_batch):
    config = run_config(MODEL, batch_size=6, ema=0.9, precision="mixed_float16")
    _, step = _steps(config, 1e-3)
    optimizer = step.optimizer
    first = [np.asarray(variable) for variable in optimizer.variables]
    for _ in range(2):
        step.train(random_batch)
    assert int(optimizer.iterations) > 0  # the first scale may overflow once
    step.reset_optimizer()
    for ours, theirs in zip(optimizer.variables, first, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)
