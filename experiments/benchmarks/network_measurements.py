"""What `experiments.benchmark network` measures of one row, in the process made for it."""

import dataclasses
import resource
import statistics
from collections.abc import Callable
from typing import Any

from experiments.benchmarks import timing

PEER = "PyTorch peer"
# Streams of a training step: (frozen blocks, whether the step begins with their maps).
STREAMS = {
    "trained": (0, False),
    "frozen": (5, False),
    "maps": (5, True),
    "frozen4": (4, False),
    "maps4": (4, True),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What is run in a row of the table.

    Attributes:
        backend: Keras backend, or `PEER`.
        precision: Keras dtype policy.
        xla: whether TensorFlow compiles with XLA.
        batch_size: clips a step.
        streams: in the training step, `trained`; `frozen`, or `frozen4` but for their block 5;
            `maps` and `maps4`, where the step begins with the maps of the frozen blocks
            (`train --cache=features`).
    """

    backend: str
    precision: str
    xla: bool
    batch_size: int
    streams: str = "trained"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all rows have in common.

    Attributes:
        accumulation_steps: microbatches of a training step.
        remat: whether the streams' activations are computed again in the backward pass.
        repeats: timed repetitions.
        image_size: of the clips, in pixels.
        peak_size: rows of the matrices that the peak is taken from.
        training: whether the training step is timed too.
        tf32: whether a GPU may round the factors of float32 products to TF32, on every backend.
    """

    accumulation_steps: int
    remat: bool
    repeats: int
    image_size: int
    peak_size: int
    training: bool
    tf32: bool = False


class _Peak:
    """Seconds of matrix products made before, between and after what a row times."""

    def __init__(self, multiply: Callable[[], object]):
        self._multiply, self._times = multiply, list[float]()
        self.measure()

    def measure(self):
        self._times += timing.repeated(self._multiply, 5)

    @property
    def seconds(self) -> float:
        return statistics.median(self._times)


def _compute_dtype(row: Row) -> str:
    """What the products of a row are computed in: its peak is that of the same type."""
    return row.precision.removeprefix("mixed_")


def _model_config(image_size: int):
    from stfnet import ClipConfig, ModelConfig

    return ModelConfig(num_classes=11, clip=ClipConfig(image_size=image_size))


def _clips(size, config, flow="flow"):
    """Random bytes in the shape of a batch: the network's inputs, or the pipeline's `fields`."""
    import numpy as np

    clip, rng = config.clip, np.random.default_rng(0)
    images = (clip.image_size, clip.image_size)
    depth = {"flow": (*images, 2 * clip.flow_length), "fields": (clip.flow_length, 2, *images)}
    return {
        "rgb": rng.integers(0, 256, (size, clip.num_frames, *images, 3), np.uint8),
        flow: rng.integers(0, 256, (size, clip.num_frames, *depth[flow]), np.uint8),
    }


def _maps(size, config, block):
    """Random maps of a block of the streams, for a batch."""
    import numpy as np

    from stfnet.frame_features import stream_maps

    rng = np.random.default_rng(0)
    shape = (size, config.clip.num_frames, *stream_maps.map_shape(config, block))
    return {name: rng.random(shape, np.float32).astype(np.float16) for name in ("rgb", "flow")}


def _measure_tensorflow(row: Row, settings: Settings) -> dict[str, Any]:
    """Forward pass and the project's own training step."""
    import tensorflow as tf

    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.training import stages

    size = row.batch_size
    frozen, on_maps = STREAMS[row.streams]
    tf.config.experimental.enable_tensor_float_32_execution(settings.tf32)
    matrix = tf.random.normal((settings.peak_size, settings.peak_size))
    matrix = tf.cast(matrix, _compute_dtype(row))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    peak, figures = _Peak(lambda: multiply().numpy()), {}
    training = TrainingConfig(
        batch_size=size,
        accumulation_steps=settings.accumulation_steps,
        precision=row.precision,
        jit_compile=row.xla,
        remat=settings.remat,
        frozen_blocks=(frozen, frozen),
    )
    config = RunConfig("benchmark", ("",) * 11, _model_config(settings.image_size), training)
    model = stages.make_model(config)
    inputs = {name: tf.constant(value) for name, value in _clips(size, config.model).items()}
    forward = tf.function(lambda: model(inputs, training=False), jit_compile=row.xla)
    if settings.accumulation_steps == 1:
        figures["forward"] = timing.median(lambda: forward().numpy(), settings.repeats)
    if settings.training:
        strategy = tf.distribute.get_strategy()
        steps = stages.start(0, training, model, strategy, on_maps=on_maps)
        peak.measure()
        if on_maps:
            clips = _maps(size, config.model, frozen)
        else:
            clips = _clips(size, config.model, "fields")
        batch = {name: tf.constant(value) for name, value in clips.items()}
        batch |= {"label": tf.zeros(size, tf.int64), "weight": tf.ones(size)}
        figures["training"] = timing.median(
            lambda: float(steps.train(batch)["loss"]), settings.repeats
        )
    peak.measure()
    if tf.config.list_physical_devices("GPU"):
        figures["memory"] = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return {**figures, "peak": peak.seconds, "parameters": model.count_params()}


def _measure_backend(row: Row, settings: Settings) -> dict[str, Any]:
    """Forward pass and Keras's training step, on whatever backend KERAS_BACKEND names."""
    import keras
    from keras import ops

    from stfnet import build_stfnet

    _set_tf32(row, settings)
    matrix = keras.random.normal((settings.peak_size, settings.peak_size))
    matrix = ops.cast(matrix, _compute_dtype(row))
    peak, figures = _Peak(lambda: ops.convert_to_numpy(ops.sum(ops.matmul(matrix, matrix)))), {}
    keras.config.set_dtype_policy(row.precision)
    config, size = _model_config(settings.image_size), row.batch_size
    model = build_stfnet(config)
    clips = _clips(size, config)
    inputs = {name: ops.convert_to_tensor(value) for name, value in clips.items()}
    figures["forward"] = timing.median(lambda: model.predict_on_batch(inputs), settings.repeats)
    if settings.training:
        # The network ends in probabilities.
        model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
        labels = ops.zeros(size, "int32")
        peak.measure()
        figures["training"] = timing.median(
            lambda: float(model.train_on_batch(inputs, labels)), settings.repeats
        )
    peak.measure()
    if keras.backend.backend() == "torch":
        figures |= _torch_memory()
    elif keras.backend.backend() == "jax":
        figures |= _jax_memory()
    return {**figures, "peak": peak.seconds, "parameters": model.count_params()}


def _set_tf32(row: Row, settings: Settings):
    """The rule for float32 products on a GPU, for PyTorch and for JAX."""
    if row.backend == "jax":
        import jax

        if _compute_dtype(row) == "float32":
            rule = "tensorfloat32" if settings.tf32 else "float32"
            jax.config.update("jax_default_matmul_precision", rule)
    else:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = settings.tf32
        torch.backends.cudnn.allow_tf32 = settings.tf32


def _torch_memory() -> dict[str, int]:
    """The most memory that PyTorch held on a GPU; nothing without one."""
    import torch

    return {"memory": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {}


def _jax_memory() -> dict[str, int]:
    """The most memory that JAX held on its device, where that tells."""
    import jax

    held = jax.devices()[0].memory_stats() or {}
    return {"memory": held["peak_bytes_in_use"]} if "peak_bytes_in_use" in held else {}


def _measure_peer(row: Row, settings: Settings) -> dict[str, Any]:
    """Forward pass and training step of the plain PyTorch statement, with Adam.

    In another precision than float32 it runs under PyTorch's own autocast.
    """
    import torch

    from experiments.benchmarks.peer_torch import PeerSTFNet

    config, size = _model_config(settings.image_size), row.batch_size
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _set_tf32(row, settings)
    dtype = getattr(torch, _compute_dtype(row))
    matrix = torch.randn(settings.peak_size, settings.peak_size, device=device).to(dtype)
    peak, figures = _Peak(lambda: (matrix @ matrix).sum().item()), {}
    model = PeerSTFNet(config).to(device)
    inputs = [
        torch.from_numpy(clip).to(device).float().movedim(-1, 2)
        for clip in _clips(size, config).values()
    ]
    labels = torch.zeros(size, dtype=torch.long, device=device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)

    def logits():
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return model(*inputs).float()

    def forward():
        model.eval()
        with torch.no_grad():
            return logits().sum().item()

    def train():
        model.train()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    figures["forward"] = timing.median(forward, settings.repeats)
    peak.measure()
    if settings.training:
        figures["training"] = timing.median(train, settings.repeats)
    peak.measure()
    parameters = sum(p.numel() for p in model.parameters())
    return {**figures, **_torch_memory(), "peak": peak.seconds, "parameters": parameters}


def measure(row: Row, settings: Settings) -> dict[str, Any]:
    """The figures of one row.

    Returns:
        dict: the fields of `row`, `accumulation_steps`, `remat`, `parameters`, `peak_gflops`,
        `peak_memory_gb`, and for `forward` and `training`, where measured, a dict of `seconds`,
        `clips_per_second`, `gflops` and `share_of_peak`. A training step counts as three forward
        passes of what is trained, and one of frozen blocks.
    """
    from stfnet.complexity import head_multiply_adds, stream_multiply_adds

    measures = {"tensorflow": _measure_tensorflow, PEER: _measure_peer}
    measured = measures.get(row.backend, _measure_backend)(row, settings)
    memory = measured.get("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    peak = 2 * settings.peak_size**3 / measured["peak"] / 1e9
    config = _model_config(settings.image_size)
    streams, head = stream_multiply_adds(config), head_multiply_adds(config)
    frozen, on_maps = STREAMS[row.streams]
    trained = stream_multiply_adds(config, first=frozen + 1)
    work = {
        "forward": streams + head,
        "training": 3 * (trained + head) + (0 if on_maps else streams - trained),
    }
    figures = {
        **dataclasses.asdict(row),
        "accumulation_steps": settings.accumulation_steps,
        "remat": settings.remat,
        "parameters": measured["parameters"],
        "peak_gflops": round(peak, 1),
        "peak_memory_gb": round(memory / 1e9, 2),
    }
    for name, multiply_adds in work.items():
        if name in measured:
            gflops = 2 * multiply_adds * row.batch_size / 1e9 / measured[name]
            figures[name] = {
                "seconds": round(measured[name], 3),
                "clips_per_second": round(row.batch_size / measured[name], 4),
                "gflops": round(gflops, 1),
                "share_of_peak": round(gflops / peak, 3),
            }
    return figures
