"""Seconds from a command to its first result: the first step of a training, the label of a video.

    python -m experiments.benchmark start [--only=training,prediction,live,recurrence]
        [--width_divisor=1] [--output=JSON]

training    from the start of `train` to its first step, with and without JIT: Python and
            TensorFlow, the network, the graph, the step. Reading records is not in it.
prediction  from the start of `predict` to the label of a video of 5 seconds, 320 x 240, and to its
            annotated video.
live        `predict --live` at 96 and at 224 pixels: frames a second beside the source's, latency.
recurrence  the LSTMs as a graph of all 17 steps, as they are, against `keras.ops.scan`.

Everything runs in a process of its own. Processor time says more than wall time where a machine is
shared. Networks have random weights.
"""

import itertools
import tempfile
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks import figures, films, start_measurements
from experiments.benchmarks.start_measurements import in_new_process
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
KINDS = ("training", "prediction", "live", "recurrence")
FIRST_STEP, START = 30, 6  # seconds that are aimed at
FPS, SECONDS = 30, 5


def define_flags():
    """Defines the flags of `experiments.benchmark start`."""
    flags.DEFINE_list("only", list(KINDS), "What to measure.")
    flags.DEFINE_integer("width_divisor", 1, "Of the network; 1 is the full one.", lower_bound=1)
    flags.DEFINE_integer(
        "image_size", 224, "Of training and prediction, in pixels.", lower_bound=16
    )
    flags.DEFINE_list("jit", ["off", "on"], "Whether XLA compiles the training step.")
    flags.DEFINE_integer("repeats", 20, "Timed steps of the LSTMs.", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def _print_parts(title, parts):
    print(title)
    for name, row in parts.items():
        print(f"  {name:14} {row['seconds']:8.2f} s {row['processor']:8.2f} s of processor")


def _total(parts, names):
    return round(sum(parts[name]["seconds"] for name in names), 2)


def _training(_):
    measured = {}
    for jit in FLAGS.jit:
        parts = in_new_process(
            start_measurements.training, FLAGS.width_divisor, FLAGS.image_size, jit == "on"
        )
        _print_parts(f"training, JIT {jit}", parts)
        to_step = _total(parts, [name for name in parts if name != "second step"])
        print(f"  to the end of the first step: {to_step} s (target: {FIRST_STEP})", flush=True)
        measured[jit] = parts
    return measured


def _prediction(folder):
    run, drawn = folder / "run", folder / "annotated.mp4"
    in_new_process(start_measurements.write_run, run, FLAGS.width_divisor, FLAGS.image_size)
    parts = in_new_process(start_measurements.prediction, run, _film(folder), drawn)
    _print_parts("prediction", parts)
    before = _total(parts, ["start", "load"])
    # The flow is read with a decoding of its own.
    label = _total(parts, [name for name in parts if name not in ("decode", "drawing")])
    print(f"  start-up {before} s (target: {START}), label after {label} s", flush=True)
    return parts


def _live(folder):
    measured = {}
    for size in (96, 224):
        row = in_new_process(start_measurements.live, _film(folder), FLAGS.width_divisor, size)
        print(
            f"live, {size} pixels: {row['frames_per_second']} frames/s of the source's "
            f"{row['source_fps']:.0f}, latency {row['latency']} s",
            flush=True,
        )
        measured[size] = row
    return measured


def _recurrence(_):
    measured = {}
    for scanned, xla in itertools.product((False, True), repeat=2):
        name = f"LSTMs {'scanned' if scanned else 'unrolled'}{', XLA' * xla}"
        row = in_new_process(start_measurements.recurrence, scanned, xla, FLAGS.repeats)
        measured[name] = row
        if "failed" in row:
            print(f"{name:24} {row['failed']}", flush=True)
            continue
        print(
            f"{name:24} {row['nodes']:6} nodes, tracing {row['tracing']} s, first call "
            f"{row['first']} s, step {row['step']} ms of processor",
            flush=True,
        )
    return measured


def _film(folder):
    path = folder / "film.mp4"
    if not path.exists():
        frames = films.moving_textures(FPS * SECONDS, *films.SMALL)
        films.write_video(path, frames, films.MPEG_4, FPS)
    return path


def main(_):
    figures.check_output()
    for name in FLAGS.only or [""]:
        if name not in KINDS:
            raise UserError(f"--only={name} is not one of {', '.join(KINDS)}")
    for value in FLAGS.jit or [""]:
        if value not in ("off", "on"):
            raise UserError(f"--jit={value} is not one of off, on")
    measures = {
        "training": _training,
        "prediction": _prediction,
        "live": _live,
        "recurrence": _recurrence,
    }
    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
        figures.write_output({name: measures[name](Path(temporary)) for name in FLAGS.only})


if __name__ == "__main__":
    define_flags()
    program.run(main)
