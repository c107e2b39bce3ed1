"""What `benchmarks.network` measures of one row, in the process made for it."""

import resource
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import timing
from experiments import program

PEER = "PyTorch peer"
# Streams of a training step: (frozen blocks, whether the step begins with their maps).
STREAMS = {
    "trained": (0, False),
    "frozen": (5, False),
    "maps": (5, True),
    "frozen4": (4, False),
    "maps4": (4, True),
}


class Row(NamedTuple):
    """What is run in a row of the table: a Keras backend or `PEER`, and clips a step."""

    backend: str
    precision: str  # Keras dtype policy
    compiled: str  # off or on: by XLA, the peer by torch.compile
    batch: int
    streams: str = "trained"

    @property
    def dtype(self) -> str:
        """What its products are computed in: its peak is that of the same type."""
        return self.precision.removeprefix("mixed_")


class Settings(NamedTuple):
    """Flags that all rows have in common."""

    accumulation_steps: int
    remat: bool
    repeats: int
    image_size: int
    peak_size: int
    training: bool
    tf32: bool


class Work(NamedTuple):
    """What a row times: functions that return when their result is there."""

    multiply: timing.Work  # two square matrices of `peak_size` rows
    forward: timing.Work
    start_training: Callable[[], timing.Work]  # returns the function of a training step
    parameters: int  # of the network


def works_of(row: Row, settings: Settings) -> dict[str, timing.Work]:
    """What can be called of a row: `multiply`, `forward`, `training` after its start, `facts`."""
    make = {"tensorflow": _tensorflow_work, PEER: _peer_work}.get(row.backend, _keras_work)
    work = make(row, settings)
    works: dict[str, timing.Work] = {
        "multiply": work.multiply,
        "start forward": lambda: None,
        "forward": work.forward,
        "start training": lambda: works.update(training=work.start_training()),
        "facts": lambda: _facts(row, settings, work.parameters),
    }
    return works


def _facts(row: Row, settings: Settings, parameters: int) -> dict[str, Any]:
    """Multiply-adds of a clip by step, bytes, parameters."""
    from stfnet.complexity import head_multiply_adds, stream_multiply_adds

    config = _model_config(settings.image_size)
    streams, head = stream_multiply_adds(config), head_multiply_adds(config)
    frozen, on_maps = STREAMS[row.streams]
    trained = stream_multiply_adds(config, first=frozen + 1)
    return {
        "multiply_adds": {
            "forward": streams + head,
            "training": 3 * (trained + head) + (0 if on_maps else streams - trained),
        },
        "memory": held_bytes(row.backend),
        "parameters": parameters,
    }


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

    from stfnet.networks import parts

    rng = np.random.default_rng(0)
    shape = (size, config.clip.num_frames, *parts.block_shape(config, block))
    return {name: rng.random(shape, np.float32).astype(np.float16) for name in ("rgb", "flow")}


def _tensorflow_work(row: Row, settings: Settings) -> Work:
    """Forward pass and the project's own training step."""
    program.start_tensorflow()
    import tensorflow as tf

    from stfnet.config import TrainingConfig
    from stfnet.run.config import RunConfig
    from stfnet.training import stages

    frozen, on_maps = STREAMS[row.streams]
    tf.config.experimental.enable_tensor_float_32_execution(settings.tf32)
    matrix = tf.cast(tf.random.normal((settings.peak_size, settings.peak_size)), row.dtype)
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    training = TrainingConfig(
        batch_size=row.batch,
        accumulation_steps=settings.accumulation_steps,
        precision=row.precision,
        jit_compile=row.compiled == "on",
        remat=settings.remat,
        frozen_blocks=(frozen, frozen),
    )
    config = RunConfig("benchmark", ("",) * 11, _model_config(settings.image_size), training)
    model = stages.make_model(config)
    inputs = {name: tf.constant(value) for name, value in _clips(row.batch, config.model).items()}
    forward = tf.function(lambda: model(inputs, training=False), jit_compile=training.jit_compile)

    def start_training():
        steps = stages.start(0, training, model, tf.distribute.get_strategy(), on_maps=on_maps)
        if on_maps:
            clips = _maps(row.batch, config.model, frozen)
        else:
            clips = _clips(row.batch, config.model, "fields")
        batch = {name: tf.constant(value) for name, value in clips.items()}
        batch |= {"label": tf.zeros(row.batch, tf.int64), "weight": tf.ones(row.batch)}
        return lambda: float(steps.train(batch)["loss"])

    return Work(
        lambda: multiply().numpy(),
        lambda: forward().numpy(),
        start_training,
        model.count_params(),
    )


def _keras_work(row: Row, settings: Settings) -> Work:
    """Forward pass and Keras's training step, on JAX or PyTorch."""
    import keras
    from keras import ops

    from stfnet import build_stfnet

    _set_tf32(row, settings.tf32)
    matrix = keras.random.normal((settings.peak_size, settings.peak_size))
    matrix = ops.cast(matrix, row.dtype)
    keras.config.set_dtype_policy(row.precision)
    config = _model_config(settings.image_size)
    model = build_stfnet(config)
    clips = _clips(row.batch, config)
    inputs = {name: ops.convert_to_tensor(value) for name, value in clips.items()}

    def start_training():
        # The network ends in probabilities.
        model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
        labels = ops.zeros(row.batch, "int32")
        return lambda: float(model.train_on_batch(inputs, labels))

    return Work(
        lambda: ops.convert_to_numpy(ops.sum(ops.matmul(matrix, matrix))),
        lambda: model.predict_on_batch(inputs),
        start_training,
        model.count_params(),
    )


def _peer_work(row: Row, settings: Settings) -> Work:
    """The plain PyTorch statement as its users run it: channels last, Adam, no gradients in the
    forward pass; other precisions under PyTorch's own autocast.
    """
    import torch

    from benchmarks.peer_torch import PeerSTFNet

    config = _model_config(settings.image_size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _set_tf32(row, settings.tf32)
    dtype = getattr(torch, row.dtype)
    matrix = torch.randn(settings.peak_size, settings.peak_size, device=device).to(dtype)
    model = PeerSTFNet(config).to(device)
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in model.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.to(memory_format=layouts[parameter.dim()])
    network = torch.compile(model) if row.compiled == "on" else model
    inputs = [
        torch.from_numpy(clip).to(device).float().movedim(-1, 2)
        for clip in _clips(row.batch, config).values()
    ]
    labels = torch.zeros(row.batch, dtype=torch.long, device=device)

    def logits():
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return network(*inputs).float()

    def forward():
        model.eval()
        with torch.inference_mode():
            return logits().sum().item()

    def start_training():
        optimizer = torch.optim.Adam(model.parameters(), 1e-5)
        model.train()

        def train():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(logits(), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return train

    return Work(
        lambda: (matrix @ matrix).sum().item(),
        forward,
        start_training,
        sum(p.numel() for p in model.parameters()),
    )


def _set_tf32(row: Row, tf32: bool):
    """The rule for float32 products on a GPU, for PyTorch and for JAX."""
    if row.backend == "jax":
        import jax

        if row.dtype == "float32":
            rule = "tensorfloat32" if tf32 else "float32"
            jax.config.update("jax_default_matmul_precision", rule)
    else:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32


def held_bytes(backend: str) -> int:
    """The most bytes that the backend held on a GPU so far, or this process without one."""
    resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _device_memory(backend) or resident


def _device_memory(backend: str) -> int | None:
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else None
    if backend == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
