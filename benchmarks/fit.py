r"""Keras' `fit` on real clips, end to end, beside this machine's peak; for a GPU.

    python -m benchmarks fit --backend=jax --records=RECORDS --weights=FILE.h5 --minutes=7

Trains the paper's network, all its layers, on the clips of a record set in `--precision`, and gives
for each epoch the loss, the accuracy, clips a second, the share of the peak of a matrix product in
that precision, and the memory. Before that it takes two steps on a batch with fixed weights, here
and with the GPU hidden: the loss of the second says whether the first moved the weights alike.
Works without TensorFlow; no epoch is begun that would end after `--minutes`.
"""

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Settings  # the flags, for the processes
from typing import Any

from absl import flags

from benchmarks import measured_tables, network, network_measurements, timing
from stfnet.networks import ModelConfig

FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_string("records", None, "Folder of prepared records.")
    flags.DEFINE_string("weights", "", "VGG-16's: a file, or imagenet; none: from scratch.")
    flags.DEFINE_enum("backend", "jax", network.BACKENDS, "Keras backend.")
    flags.DEFINE_enum("precision", "mixed_bfloat16", network.PRECISIONS, "Keras dtype policy.")
    flags.DEFINE_integer("batch_size", 8, "Clips a step.", lower_bound=1)
    flags.DEFINE_integer("num_frames", 17, "Frames a clip; the paper's is 17.", lower_bound=1)
    flags.DEFINE_integer("width_divisor", 1, "Divides the channels of VGG-16.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-5, "Of Adam; the paper's is 1e-5.", lower_bound=0.0)
    flags.DEFINE_float("minutes", 7.0, "Of the whole training.", lower_bound=0.0)
    flags.DEFINE_integer("peak_size", 4096, "Rows of the matrices of the peak.", lower_bound=1)
    flags.mark_flags_as_required(["records"])


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    given = {flag.name: flag.value for flag in FLAGS.get_flags_for_module(__name__)}
    settings = Settings(**given)
    with tempfile.TemporaryDirectory() as folder:
        start = os.path.join(folder, "start.weights.h5")
        for hidden in (True, False):
            losses = timing.in_new_process(
                two_losses, settings, start, hidden, backend=FLAGS.backend
            )
            yield "two steps in float32", losses
    for row in timing.in_new_process(epochs, settings, backend=FLAGS.backend):
        yield f"{settings.precision}, {settings.batch_size} clips a step", row


def two_losses(settings: Settings, start: str, hidden: bool) -> measured_tables.Row:
    """The losses of two steps on the first batch of validation, without dropout.

    Args:
        settings: of the benchmark.
        start: file of the weights before the steps, written where the GPU is hidden.
        hidden: whether to use the processor alone.
    """
    if hidden:
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    import keras

    _, validation, _ = _parts(settings)
    model = _compiled(settings, validation, 1e-3, fc6_dropout=0.0, lstm_dropout=0.0)
    (model.save_weights if hidden else model.load_weights)(start)
    inputs, labels, _ = validation[0]
    first, second = (float(model.train_on_batch(inputs, labels)[0]) for _ in range(2))
    device = str(keras.ops.convert_to_tensor(0.0).device)
    return {"device": device, "first loss": first, "second loss": second}


def epochs(settings: Settings) -> list[measured_tables.Row]:
    """A row an epoch."""
    began = time.perf_counter()
    import keras
    from keras import ops

    from stfnet.complexity import forward_multiply_adds

    keras.config.set_dtype_policy(settings.precision)
    dtype = settings.precision.removeprefix("mixed_")
    matrix = ops.cast(keras.random.normal((settings.peak_size, settings.peak_size)), dtype)
    product = timing.repeated(
        lambda: ops.convert_to_numpy(ops.sum(ops.matmul(matrix, matrix))), repeats=5
    )
    peak = settings.peak_size**3 / statistics.median(product)  # multiply-adds a second
    train, validation, test = _parts(settings)
    model = _compiled(settings, train, settings.learning_rate)
    clip_operations = 3 * forward_multiply_adds(model.config)  # of a step
    rows: list[measured_tables.Row] = []

    def left() -> float:
        return 60 * settings.minutes - (time.perf_counter() - began)

    longest = 0.0
    while not rows or left() > longest:
        started = time.perf_counter()
        fitted = model.fit(train, verbose=0).history
        rate = len(train.positions) / (time.perf_counter() - started)
        validated = model.evaluate(validation, verbose=0)
        longest = max(longest, time.perf_counter() - started)
        rows.append(
            {
                "epoch": len(rows) + 1,
                "loss": fitted["loss"][0],
                "accuracy": fitted["accuracy"][0],
                "validation": validated[1],
                "test": None,
                "clips/s": rate,
                "of peak": rate * clip_operations / peak,
                "GB": network_measurements.held_bytes(keras.backend.backend()) / 1e9,
            }
        )
    rows[-1]["test"] = model.evaluate(test, verbose=0)[1]
    return rows


def _parts(settings: Settings):
    """Training, validation and test part of the records; no group is in two of them."""
    import stfnet
    from preprocessing import records

    made_for = records.load_record_set(Path(settings.records)).clip
    clip = stfnet.ClipConfig(
        num_frames=settings.num_frames,
        flow_length=made_for["flow_length"] if made_for["frame_grid"] else 4,
        image_size=made_for["image_size"],
        resize=made_for["resize"],
    )
    return stfnet.datasets(settings.records, clip, batch_size=settings.batch_size)


def _compiled(settings: Settings, clips: Any, rate: float, **changes: Any):
    import keras

    import stfnet

    classes = len(clips.record_set.classes)
    config = ModelConfig(classes, clips.clip, width_divisor=settings.width_divisor)
    config = dataclasses.replace(config, **changes)
    model = stfnet.build_stfnet(config, clips.learned)
    if settings.weights:
        stfnet.load_vgg16_weights(model, settings.weights)
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
