"""What a network computed from one clip, and what its answer rests on.

Everything is measured on a logit y_c, the score of class c before the softmax, with dropout off.
The fused maps X_conv are the output of the layer `fusion`. The branches' sequences x_conv and x_fc
are the inputs of the layers `lstm_conv` and `lstm_fc`, so whatever lies between the fusion and the
LSTMs counts as part of a branch. A baseline without these branches has one in their place, `maps`:
the streams' maps, which are the output of its layer `fusion`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from preprocessing.errors import UserError
from stfnet.networks import parts
from stfnet.networks.model import in_float32

# Convolutions of VGG-16 whose maps the paper's Figure 7 shows, counted from 1.
SHOWN_CONVOLUTIONS = (1, 6, 9)
BRANCHES = ("conv", "fc")
MAPS = "maps"  # the branch of a network without those
LINEAR = "linear"  # the path beside the branches
AT_ONCE = 8  # frames left out in one pass: x_conv of the paper's clips is 7 MB


@dataclasses.dataclass(frozen=True)
class FrameImportance:
    """How much each frame of a clip counts in one branch, or in the linear path.

    Attributes:
        gradient: float32 (T,), by the gradient.
        left_out: float32 (T,), by leaving the frame out.
    """

    gradient: np.ndarray
    left_out: np.ndarray


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What `explain_clip` measured.

    Attributes:
        classes: names of the network's classes.
        logits: float32 (C,).
        target: position of the explained class.
        shown: place in the clip of the frame whose feature maps these are.
        feature_maps: see `feature_maps`.
        grad_cam: float32 (T, h, w), see `grad_cam`.
        importance: see `frame_importance` and `linear_importance`.
    """

    classes: tuple[str, ...]
    logits: np.ndarray
    target: int
    shown: int
    feature_maps: dict[str, dict[int, np.ndarray]]
    grad_cam: np.ndarray
    importance: dict[str, FrameImportance]

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 (C,)."""
        exponentials = np.exp(self.logits - self.logits.max())
        return exponentials / exponentials.sum()


def explain_clip(
    model: keras.Model,
    classes: Sequence[str],
    clip_inputs: Mapping[str, np.ndarray],
    target: int | None = None,
) -> Explanation:
    """Measures everything of this module on one clip, in float32.

    Args:
        model: the network, of any precision.
        classes: names of its classes.
        clip_inputs: uint8 `rgb` (T, H, W, 3) and `flow` (T, H, W, 2L), as far as the network reads
            them; other keys are ignored.
        target: position of the class to explain; None for the most probable.

    Raises:
        UserError: the network gives no finite scores, or has no maps of frames to look into.
    """
    if not has_maps(model):
        raise UserError(
            f"the network {model.config.network} has no map of each frame, which Grad-CAM and the "
            "importance of frames need: explain a run of another network"
        )
    model = in_float32(model)
    fused = fuse(model, clip_inputs)
    scores = logits(model, clip_inputs)
    if target is None:
        target = int(scores.argmax())
    shown = fused.shape[1] // 2
    return Explanation(
        classes=tuple(classes),
        logits=scores,
        target=target,
        shown=shown,
        feature_maps=feature_maps(model, clip_inputs, shown),
        grad_cam=grad_cam(model, fused, target),
        importance=frame_importance(model, fused, target)
        | linear_importance(model, clip_inputs, target),
    )


def branches(model: keras.Model) -> list[str]:
    """The names of `BRANCHES` that a network has."""
    return [name for name in BRANCHES if parts.has(model, f"lstm_{name}")]


def feature_maps(
    model: keras.Model, clip_inputs: Mapping[str, np.ndarray], t: int
) -> dict[str, dict[int, np.ndarray]]:
    """The maps of the convolutions `SHOWN_CONVOLUTIONS` after their ReLU, for one frame (Fig. 7).

    Args:
        model: the network, in float32.
        clip_inputs: uint8 `rgb` (T, H, W, 3) and `flow` (T, H, W, 2L), as far as the network reads
            them.
        t: place of the frame in the clip, from 0.

    Returns:
        For each input of the network: number of the convolution -> float32 (h, w, channels).
    """
    maps = {}
    for name, stream in parts.streams_of(model).items():
        images = model.get_layer(f"{name}_normalization")(clip_inputs[name][None, t])
        outputs = dict(enumerate(stream.activations(images), 1))
        maps[name] = {
            number: ops.convert_to_numpy(outputs[number])[0] for number in SHOWN_CONVOLUTIONS
        }
    return maps


def has_maps(model: keras.Model) -> bool:
    """Whether a network has the map of each frame that Grad-CAM needs."""
    return parts.has(model, parts.FUSION)


def fuse(model: keras.Model, clip_inputs: Mapping[str, np.ndarray]) -> Any:
    """X_conv of one clip, float32 (1, T, h, w, D); `clip_inputs` as in `feature_maps`."""
    return _of_clip(model, parts.FUSION, clip_inputs)


def logits(model: keras.Model, clip_inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The logits of one clip; `clip_inputs` as in `feature_maps`.

    Returns:
        float32 (C,).

    Raises:
        UserError: one is not finite.
    """
    values = ops.convert_to_numpy(_of_clip(model, parts.LOGITS, clip_inputs))[0]
    if not np.isfinite(values).all():
        raise UserError("the network gives no finite scores: its weights are damaged")
    return values


def grad_cam(model: keras.Model, fused: Any, target: int) -> np.ndarray:
    """Grad-CAM of a class on X_conv, for each frame.

    With A_t the map of frame t (h, w, D) in X_conv and y_c the logit of class c:

        alpha_{t,k} = 1 / (h w) sum_{i,j} d y_c / d A_{t,i,j,k}
        M_t(i, j)   = ReLU(sum_k alpha_{t,k} A_{t,i,j,k})

    The weights alpha are those of a frame, not of the clip, because the LSTMs treat frames
    differently. Maps are not scaled: those of one clip compare with each other. With
    `model.linear_parts`, y_c is what the LSTMs give; the linear path does not read X_conv.

    Args:
        model: the network, in float32.
        fused: X_conv of one clip, (1, T, h, w, D).
        target: position of class c.

    Returns:
        float32 (T, h, w), at least 0.

    Reference:
        Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
        localization", ICCV 2017.
    """
    gradient = _gradient(_after_fusion(model), fused, target)
    alpha = ops.mean(gradient, axis=(2, 3), keepdims=True)
    return ops.convert_to_numpy(ops.relu(ops.sum(alpha * fused, axis=-1)))[0]


def frame_importance(model: keras.Model, fused: Any, target: int) -> dict[str, FrameImportance]:
    """How much each frame counts for a class, in each branch by itself.

    Let x_b be the sequence that the LSTM of branch b reads, (T, F): x_conv, the input of
    `lstm_conv`, or x_fc, the input of `lstm_fc`. Leaving frame t out of branch b puts the mean of
    the branch's other frames in its place and leaves the other branch as it is:

        m_b(t)        = 1 / (T - 1) sum_{s != t} x_b(s)        (0 where T = 1)
        left_out_b(t) = y_c(x_b) - y_c(x_b with x_b(t) := m_b(t))
        gradient_b(t) = <d y_c / d x_b(t), x_b(t) - m_b(t)>

    Both are in units of the logit y_c (of the LSTMs, see `grad_cam`), and `gradient` is the
    first-order estimate of `left_out`. A positive value speaks for class c, a negative one against
    it.

    Args:
        model: the network, in float32.
        fused: X_conv of one clip, (1, T, h, w, D).
        target: position of class c.

    Returns:
        Name of the branch, of those in `branches(model)` -> FrameImportance. Without any, of the
        streams' maps: `maps`, x(t) being all of `fused` at frame t.
    """
    names = branches(model)
    if not names:
        flat = ops.reshape(fused, (*fused.shape[:2], -1))  # b t h w c -> b t (h w c)
        sequence = keras.Input(flat.shape[1:])
        maps = ops.reshape(sequence, (-1, *fused.shape[1:]))
        rest = keras.Model([sequence], _after_fusion(model)(maps))
        return {MAPS: _importance(rest, [flat], target)[0]}
    ends = [model.get_layer(f"lstm_{name}").input for name in names]
    sequences = keras.Model(model.get_layer(parts.FUSION).output, ends)(fused, training=False)
    rest = keras.Model(ends, parts.recurrent_logits(model))
    return dict(zip(names, _importance(rest, sequences, target), strict=True))


def linear_importance(
    model: keras.Model, clip_inputs: Mapping[str, np.ndarray], target: int
) -> dict[str, FrameImportance]:
    """How much each frame counts for a class in the linear path of `model.linear_parts`.

    As `frame_importance`, where x(t) is the output of `linear_norm`, (T, C), and y_c what the path
    adds to the logit. The path is linear, so both measures agree but for rounding.

    Args:
        model: the network, in float32.
        clip_inputs: as in `feature_maps`.
        target: position of class c.

    Returns:
        `linear` -> FrameImportance; empty where the network has no such path.
    """
    if not parts.has(model, parts.LINEAR_LOGITS):
        return {}
    sequence = _of_clip(model, parts.LINEAR_NORM, clip_inputs)
    rest = keras.Model(
        [model.get_layer(parts.LINEAR_NORM).output], model.get_layer(parts.LINEAR_LOGITS).output
    )
    return dict(zip([LINEAR], _importance(rest, [sequence], target), strict=True))


def _of_clip(model: keras.Model, layer: str, clip_inputs: Mapping[str, np.ndarray]) -> Any:
    """The output of a layer for one clip, with the batch axis."""
    part = keras.Model(model.input, model.get_layer(layer).output)
    return part({name: clip_inputs[name][None] for name in model.input}, training=False)


def _importance(rest: keras.Model, sequences: Sequence[Any], target: int) -> list[FrameImportance]:
    """The importance of the frames of each sequence (1, T, F) that `rest` reads."""
    whole = ops.convert_to_numpy(rest(sequences, training=False)[0, target])
    gradients = _gradient(rest, sequences, target)
    importance = []
    for k, sequence in enumerate(sequences):
        others = _mean_of_the_others(sequence)
        gradient = ops.convert_to_numpy(ops.sum(gradients[k] * (sequence - others), axis=-1))[0]
        scores = []
        for begin in range(0, gradient.size, AT_ONCE):
            frames = np.arange(begin, min(begin + AT_ONCE, gradient.size))
            without = [ops.repeat(one, len(frames), axis=0) for one in sequences]
            left_out = frames[:, None, None] == np.arange(gradient.size)[None, :, None]  # n t 1
            without[k] = ops.where(left_out, others, sequence)
            scores.append(ops.convert_to_numpy(rest(without, training=False)[:, target]))
        importance.append(FrameImportance(gradient, whole - np.concatenate(scores)))
    return importance


def _after_fusion(model: keras.Model) -> keras.Model:
    return keras.Model(model.get_layer(parts.FUSION).output, parts.recurrent_logits(model))


def _gradient(part: keras.Model, inputs, target: int):
    """Derivative of the logit `target` of one clip by the input or the inputs of `part`."""

    def score(inputs):
        return part(inputs, training=False)[0, target]

    match keras.backend.backend():
        case "jax":
            import jax

            return jax.grad(score)(inputs)
        case "torch":
            import torch

            leaves = [one.detach().requires_grad_() for one in keras.tree.flatten(inputs)]
            packed = keras.tree.pack_sequence_as(inputs, leaves)
            return keras.tree.pack_sequence_as(inputs, torch.autograd.grad(score(packed), leaves))
        case _:
            import tensorflow as tf

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(inputs)
                value = score(inputs)
            return tape.gradient(value, inputs)


def _mean_of_the_others(sequence: Any) -> Any:
    """For each frame of a sequence (1, T, F) the mean of all other frames; 0 where T = 1."""
    frames = sequence.shape[1]
    total = ops.sum(sequence, axis=1, keepdims=True)
    return (total - sequence) / (frames - 1) if frames > 1 else ops.zeros_like(sequence)
