"""The full network on this machine: forward pass and training step of one clip.

    python -m experiments.benchmark network [--precision=float32] [--batch_size=1] [--jit_compile]

Figures stand beside the matrix-product peak that is measured in the same run, since speed in
seconds says little on a machine that is shared. Written as JSON too, with --output.
"""

import json
import resource
import time
from pathlib import Path

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
PEAK_SIZE = 4096


def define_flags():
    """Defines the flags of `experiments.benchmark network`."""
    flags.DEFINE_enum(
        "precision", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "Arithmetic."
    )
    flags.DEFINE_integer("batch_size", 1, "Clips a step.", lower_bound=1)
    flags.DEFINE_integer("repeats", 3, "Timed repetitions; the median is told.", lower_bound=1)
    flags.DEFINE_bool("jit_compile", False, "Compile with XLA.")
    flags.DEFINE_bool(
        "remat", False, "Compute the streams' activations again in the backward pass."
    )
    flags.DEFINE_bool("training", True, "Also time the training step.")
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def _median_seconds(step, repeats):
    step()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return sorted(found)[len(found) // 2]


def measure():
    """Builds the paper's network with 11 classes and times it; returns the figures."""
    import numpy as np
    import tensorflow as tf

    from stfnet import ModelConfig, training
    from stfnet.complexity import forward_multiply_adds
    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.steps import DistributedSteps, make_optimizer

    matrix = tf.random.normal((PEAK_SIZE, PEAK_SIZE))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    peak = 2 * PEAK_SIZE**3 / _median_seconds(lambda: multiply().numpy(), 5) / 1e9

    size = FLAGS.batch_size
    config = RunConfig(
        "benchmark",
        tuple(f"class{k}" for k in range(11)),
        ModelConfig(num_classes=11),
        TrainingConfig(
            batch_size=size,
            precision=FLAGS.precision,
            jit_compile=FLAGS.jit_compile,
            remat=FLAGS.remat,
        ),
    )
    model = training.make_model(config)
    clip, rng = config.model.clip, np.random.default_rng(0)
    shape = (size, clip.num_frames, clip.image_size, clip.image_size)
    batch = {
        "rgb": tf.constant(rng.integers(0, 256, (*shape, 3), np.uint8)),
        "flow": tf.constant(rng.integers(0, 256, (*shape, 2 * clip.flow_length), np.uint8)),
        "label": tf.zeros(size, tf.int64),
        "weight": tf.ones(size),
    }
    inputs = {name: batch[name] for name in ("rgb", "flow")}
    forward = tf.function(lambda: model(inputs, training=False), jit_compile=FLAGS.jit_compile)
    work = 2 * forward_multiply_adds(config.model) * size / 1e9
    seconds = {"forward": _median_seconds(lambda: forward().numpy(), FLAGS.repeats)}
    if FLAGS.training:
        strategy = tf.distribute.get_strategy()
        steps = DistributedSteps(
            model, make_optimizer(config.training, 1e-5), config.training, strategy
        )
        seconds["training"] = _median_seconds(
            lambda: float(steps.train(batch)["loss"]), FLAGS.repeats
        )
    figures = {
        "precision": FLAGS.precision,
        "batch_size": size,
        "jit_compile": FLAGS.jit_compile,
        "remat": FLAGS.remat,
        "parameters": model.count_params(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "peak_gflops": round(peak, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    for name, value in seconds.items():
        gflops = work * (3 if name == "training" else 1) / value
        figures[name] = {
            "seconds": round(value, 3),
            "clips_per_second": round(size / value, 4),
            "gflops": round(gflops, 1),
            "share_of_peak": round(gflops / peak, 3),
        }
    return figures


def main(_):
    figures = measure()
    text = json.dumps(figures, indent=1)
    print(text)
    if FLAGS.output:
        Path(FLAGS.output).write_text(text + "\n")


if __name__ == "__main__":
    program.run(main)
