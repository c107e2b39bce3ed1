"""Grad-CAM of a trained network lies on what the class depends on, and goes with the weights.

After Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: maps that a network without
knowledge gives as well, or that stay when its weights are replaced, explain nothing.
"""

import keras
import numpy as np
import pytest
from keras import ops

from preprocessing import flow
from stfnet.explanation import attribution
from stfnet.layers.fusion import InterleaveChannels
from stfnet.layers.input_normalization import FlowNormalization, RGBNormalization
from stfnet.layers.layer_norm_lstm import LayerNormLSTM

FRAMES, SIDE, SQUARE, CELL = 2, 64, 16, 8  # SIDE, SQUARE and CELL (of the maps) in pixels
DIRECTIONS = np.array([(4, 0), (-4, 0), (0, 4), (0, -4)])  # the classes: x, y in pixels a frame
TESTED, EPOCHS = 24, 6
ON_SQUARE = 0.55  # of a map; a map without knowledge has 0.3 to 0.46 there

pytestmark = pytest.mark.slow


def _render(count, seed):
    """Clips of two bright squares on a noisy wall, of which one moves: its direction is the class.

    Frames alone show two squares alike, and the flow alone is noise but for the moving one, so what
    tells the class is where that one is.

    Returns:
        (inputs, labels, places): `rgb` and `flow` as the network reads them, integers (N,), and the
        (top, left) of the moving square in each frame, integers (N, T, 2).
    """
    rng = np.random.default_rng(seed)
    rgb = rng.integers(40, 90, (count, FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
    fields = rng.normal(0, 0.3, (count, FRAMES, SIDE, SIDE, 2)).astype(np.float32)
    labels = rng.integers(0, len(DIRECTIONS), count)
    places = np.zeros((count, FRAMES, 2), int)
    for k, (x, y) in enumerate(DIRECTIONS[labels]):
        moving = still = np.zeros(2, int)
        while np.abs(moving - still).max() < SQUARE + CELL:
            moving, still = rng.integers(4, SIDE - SQUARE - 4, (2, 2))
        for t in range(FRAMES):
            places[k, t] = moving + t * np.array((y, x))
            for top, left in (places[k, t], still):
                bright = rng.integers(200, 250, (SQUARE, SQUARE, 1))
                rgb[k, t, top : top + SQUARE, left : left + SQUARE] = bright
            top, left = places[k, t]
            fields[k, t, top : top + SQUARE, left : left + SQUARE] = (x, y)
    return {"rgb": rgb, "flow": flow.encode(fields)}, labels, places


def _build(seed):
    """A small network in the form of STFNet: what a cell of its maps sees is 47 pixels wide."""
    keras.utils.set_random_seed(seed)
    inputs, maps = {}, []
    for name, channels, normalization in (
        ("rgb", 3, RGBNormalization("unit")),
        ("flow", 2, FlowNormalization("pixels", 20.0)),
    ):
        shape = (FRAMES, SIDE, SIDE, channels)
        inputs[name] = keras.Input(shape, dtype="uint8", name=name)
        x = ops.reshape(normalization(inputs[name]), (-1, *shape[1:]))  # b t h w c -> (b t) h w c
        for filters in (8, 12, 16):
            x = keras.layers.Conv2D(filters, 3, 2, "same", activation="relu")(x)
        maps.append(ops.reshape(x, (-1, FRAMES, *x.shape[1:])))
    x = InterleaveChannels()(maps)
    x = keras.layers.Conv3D(16, 3, padding="same", activation="relu", name="fusion")(x)
    x = LayerNormLSTM(8, name="lstm_conv", normalize="none")(ops.mean(x, axis=(2, 3)))
    return keras.Model(inputs, keras.layers.Dense(len(DIRECTIONS), name="logits")(x))


def _maps(model, inputs, labels):
    """Grad-CAM of the true class of each clip, (N, T, h, w)."""
    return np.stack(
        [
            attribution.grad_cam(
                model, attribution.fuse(model, {name: x[k] for name, x in inputs.items()}), label
            )
            for k, label in enumerate(labels.tolist())
        ]
    )


def _share_on_square(maps, places):
    """The mean share of a map's sum that is on the square, or on the cells that touch it."""
    centers = (np.arange(SIDE // CELL) + 0.5) * CELL
    first, last = places - CELL, places + SQUARE + CELL
    inside = [(first[..., k, None] <= centers) & (centers < last[..., k, None]) for k in range(2)]
    inside = inside[0][..., :, None] & inside[1][..., None, :]  # n t h w
    totals = maps.sum((2, 3))
    return float(((maps * inside).sum((2, 3))[totals > 0] / totals[totals > 0]).mean())


@pytest.fixture(scope="module")
def clips():
    return _render(TESTED, seed=1)


@pytest.fixture(scope="module")
def trained(clips):
    model = _build(seed=0)
    # The decay takes away what the wall and the still square give the maps without need.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-2, weight_decay=1.0), loss, metrics=["accuracy"])
    inputs, labels, _ = _render(384, seed=0)
    model.fit(inputs, labels, batch_size=16, epochs=EPOCHS, verbose=0)
    inputs, labels, _ = clips
    assert model.evaluate(inputs, labels, verbose=0)[1] > 0.9
    return model


def test_the_map_is_on_the_square_that_moves(trained, clips):
    inputs, labels, places = clips
    maps = _maps(trained, inputs, labels)
    assert (maps.max((1, 2, 3)) > 0).all()
    assert _share_on_square(maps, places) > ON_SQUARE
    # What could be passed without looking: places of other clips, and networks that know nothing.
    assert _share_on_square(maps, np.roll(places, 1, axis=0)) < ON_SQUARE - 0.1
    assert _share_on_square(_maps(_build(seed=0), inputs, labels), places) < ON_SQUARE - 0.05


@pytest.mark.parametrize("name", ["logits", "lstm_conv", "fusion"])
def test_the_map_goes_with_the_weights_of_every_layer(trained, clips, name):
    inputs, labels = {name: x[:8] for name, x in clips[0].items()}, clips[1][:8]
    before = _maps(trained, inputs, labels)
    other = keras.models.clone_model(trained)
    other.set_weights(trained.get_weights())
    np.testing.assert_allclose(_maps(other, inputs, labels), before, rtol=1e-4, atol=1e-6)
    alike = []
    for seed in (7, 8, 9):
        other.get_layer(name).set_weights(_build(seed).get_layer(name).get_weights())
        after = _maps(other, inputs, labels)
        for a, b in zip(before.reshape(8, -1), after.reshape(8, -1), strict=True):
            alike.append(np.corrcoef(a, b)[0, 1] if b.std() else 0.0)
    assert np.mean(alike) < 0.65  # 1 where a map does not depend on the layer
