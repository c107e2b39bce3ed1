r"""The full network on this machine: forward pass and training step, beside peak and peer.

    python -m experiments.benchmark network [--backends=tensorflow,jax,torch] [--nopeer]
        [--precisions=float32,mixed_bfloat16] [--xla=off,on] [--batch_size=1] [--remat]

Every row runs in a process of its own, which measures the matrix-product peak too (the median of
products before, between and after), since seconds say little on a machine that is shared. The
TensorFlow backend is timed with the project's own training step, the others (where installed) on
the forward pass; the peer is a plain PyTorch statement of the same network with Adam. With
--batch_size=0 the batch doubles until a row runs out of memory or gains less than 3 % in clips a
second. Written as JSON too, with --output.
"""

import importlib.util
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
LEAST_GAIN = 1.03  # of doubling the batch
PRECISIONS, XLA = ("float32", "mixed_bfloat16", "mixed_float16"), ("off", "on")
PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
COLUMNS = "{:34} {:>5} {:>9} {:>9} {:>8} {:>6} {:>9} {:>9} {:>8} {:>6} {:>8}"


def define_flags():
    """Defines the flags of `experiments.benchmark network`."""
    flags.DEFINE_list("backends", list(PACKAGES), "Keras backends, those installed among them.")
    flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Or mixed_float16.")
    flags.DEFINE_list("xla", ["off", "on"], "Whether TensorFlow compiles with XLA.")
    flags.DEFINE_bool("peer", True, "Also a plain PyTorch statement, where PyTorch is installed.")
    flags.DEFINE_integer("batch_size", 1, "Clips a step; 0 lets the program choose.", lower_bound=0)
    flags.DEFINE_integer(
        "accumulation_steps", 1, "Parts that a step is computed in.", lower_bound=1
    )
    flags.DEFINE_bool("remat", False, "Compute the streams' activations again, to save memory.")
    flags.DEFINE_integer("repeats", 3, "Timed repetitions; the median is told.", lower_bound=1)
    flags.DEFINE_bool("training", True, "Also time the training step.")
    flags.DEFINE_integer("image_size", 224, "Pixels; the paper's is 224.", lower_bound=16)
    flags.DEFINE_integer(
        "peak_size", 4096, "Rows of the matrices that the peak is taken from.", lower_bound=1
    )
    flags.DEFINE_integer("limit", 1800, "Seconds after which a row is given up.", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file for the figures.")
    flags.DEFINE_string("row", None, "One row's settings as JSON; what the program calls itself.")


def _seconds(step, repeats=None):
    """Seconds of each repetition of a step, after one that compiles it."""
    step()
    found = []
    for _ in range(repeats or FLAGS.repeats):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return found


def _median_seconds(step):
    return statistics.median(_seconds(step))


class _Peak:
    """Seconds of matrix products made before, between and after what a row times."""

    def __init__(self, multiply):
        self.multiply, self.found = multiply, []
        self.look()

    def look(self):
        self.found += _seconds(self.multiply, 5)

    @property
    def seconds(self):
        return statistics.median(self.found)


def _model_config():
    from stfnet import ClipConfig, ModelConfig

    return ModelConfig(num_classes=11, clip=ClipConfig(image_size=FLAGS.image_size))


def _clips(size, config, name="flow"):
    """Random bytes in the shape of a batch: the network's inputs, or the pipeline's `fields`."""
    import numpy as np

    clip, rng = config.clip, np.random.default_rng(0)
    images = (clip.image_size, clip.image_size)
    depth = {"flow": (*images, 2 * clip.flow_length), "fields": (clip.flow_length, 2, *images)}
    return {
        "rgb": rng.integers(0, 256, (size, clip.num_frames, *images, 3), np.uint8),
        name: rng.integers(0, 256, (size, clip.num_frames, *depth[name]), np.uint8),
    }


def _measure_tensorflow(row):
    import tensorflow as tf

    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.training import loop
    from stfnet.training.schedule import make_optimizer
    from stfnet.training.steps import DistributedSteps

    size = row["batch_size"]
    matrix = tf.random.normal((FLAGS.peak_size, FLAGS.peak_size))
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    peak, found = _Peak(lambda: multiply().numpy()), {}
    settings = TrainingConfig(
        batch_size=size,
        accumulation_steps=FLAGS.accumulation_steps,
        precision=row["precision"],
        jit_compile=row["xla"],
        remat=FLAGS.remat,
    )
    config = RunConfig("benchmark", ("",) * 11, _model_config(), settings)
    model = loop.make_model(config)
    inputs = {name: tf.constant(value) for name, value in _clips(size, config.model).items()}
    forward = tf.function(lambda: model(inputs, training=False), jit_compile=row["xla"])
    if FLAGS.accumulation_steps == 1:
        found["forward"] = _median_seconds(lambda: forward().numpy())
    if FLAGS.training:
        steps = DistributedSteps(
            model, make_optimizer(settings, 1e-5), settings, tf.distribute.get_strategy()
        )
        peak.look()
        clips = _clips(size, config.model, "fields")
        batch = {name: tf.constant(value) for name, value in clips.items()}
        batch |= {"label": tf.zeros(size, tf.int64), "weight": tf.ones(size)}
        found["training"] = _median_seconds(lambda: float(steps.train(batch)["loss"]))
    peak.look()
    found["peak"] = peak.seconds
    if tf.config.list_physical_devices("GPU"):
        found["memory"] = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    found["parameters"] = model.count_params()
    return found


def _measure_backend(row):
    """Forward pass on whatever backend KERAS_BACKEND names."""
    import keras

    from stfnet import build_stfnet

    matrix = keras.random.normal((FLAGS.peak_size, FLAGS.peak_size))
    peak = _Peak(
        lambda: keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.matmul(matrix, matrix)))
    )
    keras.config.set_dtype_policy(row["precision"])
    config = _model_config()
    model = build_stfnet(config)
    inputs = _clips(row["batch_size"], config)
    seconds = _median_seconds(lambda: model.predict_on_batch(inputs))
    peak.look()
    return {"forward": seconds, "peak": peak.seconds, "parameters": model.count_params()}


def _measure_peer(row):
    import torch

    from experiments.benchmarks.peer_torch import PeerSTFNet

    config, size = _model_config(), row["batch_size"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(FLAGS.peak_size, FLAGS.peak_size, device=device)
    peak, found = _Peak(lambda: (matrix @ matrix).sum().item()), {}
    model = PeerSTFNet(config).to(device)
    inputs = [
        torch.from_numpy(clip).to(device).float().movedim(-1, 2)
        for clip in _clips(size, config).values()
    ]
    labels = torch.zeros(size, dtype=torch.long, device=device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)

    def forward():
        model.eval()
        with torch.no_grad():
            return model(*inputs).sum().item()

    def train():
        model.train()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(*inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    found["forward"] = _median_seconds(forward)
    peak.look()
    if FLAGS.training:
        found["training"] = _median_seconds(train)
    peak.look()
    found["peak"] = peak.seconds
    if device == "cuda":
        found["memory"] = torch.cuda.max_memory_allocated()
    found["parameters"] = sum(p.numel() for p in model.parameters())
    return found


def _measure(row):
    """Prints the figures of one row as JSON, in the process made for it."""
    from stfnet.complexity import forward_multiply_adds

    kind = row["backend"]
    measure = {"tensorflow": _measure_tensorflow, "PyTorch peer": _measure_peer}
    found = measure.get(kind, _measure_backend)(row)
    memory = found.get("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    peak = 2 * FLAGS.peak_size**3 / found["peak"] / 1e9
    work = 2 * forward_multiply_adds(_model_config()) * row["batch_size"] / 1e9
    figures = {
        **row,
        "accumulation_steps": FLAGS.accumulation_steps,
        "remat": FLAGS.remat,
        "parameters": found["parameters"],
        "peak_gflops": round(peak, 1),
        "peak_memory_gb": round(memory / 1e9, 2),
    }
    for name, passes in (("forward", 1), ("training", 3)):
        if name in found:
            gflops = passes * work / found[name]
            figures[name] = {
                "seconds": round(found[name], 3),
                "clips_per_second": round(row["batch_size"] / found[name], 4),
                "gflops": round(gflops, 1),
                "share_of_peak": round(gflops / peak, 3),
            }
    print("row:" + json.dumps(figures))


def _rows():
    """The settings to measure, one dictionary a row, of what is installed."""
    size = max(FLAGS.batch_size, 1)
    for name, known in (("backends", PACKAGES), ("precisions", PRECISIONS), ("xla", XLA)):
        for value in FLAGS[name].value or [""]:
            if value not in known:
                raise UserError(f"--{name}={value} is not one of {', '.join(known)}")
    for backend in FLAGS.backends:
        if importlib.util.find_spec(PACKAGES[backend]) is None:
            print(f"{backend}: not installed")
            continue
        compiled = FLAGS.xla if backend == "tensorflow" else ["off"]
        for precision, xla in itertools.product(FLAGS.precisions, compiled):
            yield {
                "backend": backend,
                "precision": precision,
                "xla": xla == "on",
                "batch_size": size,
            }
    if FLAGS.peer:
        if importlib.util.find_spec("torch") is None:
            print("PyTorch peer: not installed (pip install -e '.[peers]')")
        else:
            yield {
                "backend": "PyTorch peer",
                "precision": "float32",
                "xla": False,
                "batch_size": size,
            }


def _run(row):
    """Measures a row in a new process; returns its figures, or why there are none as `failed`."""
    flag_names = ("accumulation_steps", "repeats", "image_size", "peak_size", "remat", "training")
    command = [sys.executable, "-m", "experiments.benchmark", "network", f"--row={json.dumps(row)}"]
    command += [f"--{name}={FLAGS[name].value}" for name in flag_names]
    # TensorFlow and PyTorch in one process can crash each other.
    keras_backend = row["backend"] if row["backend"] in PACKAGES else "torch"
    try:
        ended = subprocess.run(
            command,
            env=os.environ | {"KERAS_BACKEND": keras_backend},
            capture_output=True,
            text=True,
            timeout=FLAGS.limit,
        )
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"took longer than --limit={FLAGS.limit} s"}
    lines = [line for line in ended.stdout.splitlines() if line.startswith("row:")]
    if ended.returncode < 0:
        return {**row, "failed": f"ended by signal {-ended.returncode} (9: out of memory)"}
    if ended.returncode or not lines:
        said = (ended.stderr.strip() or f"ended with status {ended.returncode}").splitlines()[-1]
        return {**row, "failed": said}
    return json.loads(lines[0].removeprefix("row:"))


def _line(figures):
    name = f"{figures['backend']} {figures['precision']}{' XLA' if figures['xla'] else ''}"
    if "failed" in figures:
        return f"{name:34} {figures['batch_size']:>5} {figures['failed']}"
    cells = []
    for part in ("forward", "training"):
        found = figures.get(part)
        cells += (
            [
                found["seconds"],
                found["clips_per_second"],
                found["gflops"],
                f"{found['share_of_peak']:.2f}",
            ]
            if found
            else ["", "", "", ""]
        )
    return COLUMNS.format(name, figures["batch_size"], *cells, f"{figures['peak_memory_gb']:.1f}")


def _with_best_batch(row):
    """Figures of a row at doubling batch sizes, up to the one after which nothing is gained."""
    before = 0.0
    while True:
        figures = _run(row)
        yield figures
        if "failed" in figures or FLAGS.batch_size:
            return
        rate = figures.get("training", figures.get("forward"))["clips_per_second"]
        if rate < LEAST_GAIN * before:
            return
        before, row = rate, {**row, "batch_size": 2 * row["batch_size"]}


def main(_):
    if FLAGS.row:
        _measure(json.loads(FLAGS.row))
        return
    if FLAGS.output:
        program.output_file("output")
    rows = list(_rows())
    halves = ("forward s", "clips/s", "GFLOP/s", "peak", "train s", "clips/s", "GFLOP/s", "peak")
    print(COLUMNS.format("", "batch", *halves, "GB"))
    table = []
    for row in rows:
        for figures in _with_best_batch(row):
            print(_line(figures), flush=True)
            table.append(figures)
    if FLAGS.output:
        Path(FLAGS.output).write_text(json.dumps(table, indent=1) + "\n")
    if all("failed" in figures for figures in table):
        raise UserError("no row could be measured")


if __name__ == "__main__":
    define_flags()
    program.run(main)
