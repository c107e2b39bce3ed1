"""Seconds from a command to its first result: the first step of a training, the label of a video.

    python -m benchmarks start [--only=training,prediction,live] [--width_divisor=1]

training    from the start of `train` to its first step, with and without JIT: Python and
            TensorFlow, the network, the graph, the step. Reading records is not in it.
prediction  from the start of `predict --flow_quality=fast` to the label of a video of 5 seconds,
            320 x 240, and to its annotated video. The flow is read with a decoding of its own.
live        `predict --live` at 96 and at 224 pixels, from the first full window on, not drawn:
            frames a second beside the source's, seconds from a window's newest frame to its label.

Everything runs in a process of its own. Processor time says more than wall time where a machine is
shared. Networks have random weights.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks import films, measured_tables
from benchmarks.timing import Parts, in_new_process
from experiments import program

FLAGS = flags.FLAGS
CLASSES = 101
FPS, SECONDS = 30, 5


def define_flags():
    flags.DEFINE_list("only", list(MEASURES), "What to measure.")
    flags.DEFINE_integer("width_divisor", 1, "Of the network; 1 is the full one.", lower_bound=1)
    flags.DEFINE_integer(
        "image_size", 224, "Of training and prediction, in pixels.", lower_bound=16
    )
    flags.DEFINE_list("jit", ["off", "on"], "Whether XLA compiles the training step.")


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    kinds = measured_tables.chosen("only", list(MEASURES))
    measured_tables.chosen("jit", ("off", "on"))
    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as folder:
        film = Path(folder) / "film.mp4"
        frames = films.moving_textures(FPS * SECONDS, *films.SMALL)
        films.write_video(film, frames, films.MPEG_4, FPS)
        for kind in kinds:
            yield from MEASURES[kind](film)


def _rows(caption, parts, sums):
    """A row for each part, and for the sum of some: name -> (the parts left out, target)."""
    for part, figures in parts.items():
        yield caption, {"part": part, **figures, "target, s": None}
    for name, (left_out, target) in sums.items():
        of_sum = [figures for part, figures in parts.items() if part not in left_out]
        total = {unit: sum(one[unit] for one in of_sum) for unit in ("seconds", "processor")}
        yield caption, {"part": name, **total, "target, s": target}


def _training(_):
    for jit in FLAGS.jit:
        settings = FLAGS.width_divisor, FLAGS.image_size, jit == "on"
        parts = in_new_process(training, time.time(), *settings)
        sums = {"to the end of the first step": (["second step"], 30)}
        yield from _rows(f"train, JIT {jit}", parts, sums)


def _prediction(film):
    run, drawn = film.with_name("run"), film.with_name("annotated.mp4")
    in_new_process(write_run, run, FLAGS.width_divisor, FLAGS.image_size)
    parts = in_new_process(prediction, time.time(), run, film, drawn)
    after = ["decode", "flow", "network", "drawing"]
    sums = {"start-up": (after, 6), "to the label": (["decode", "drawing"], 8)}
    yield from _rows("predict", parts, sums)


def _live(film):
    for size in (96, 224):
        row = in_new_process(live, film, FLAGS.width_divisor, size)
        yield "predict --live", {"pixels": size, **row}


MEASURES = {
    "training": _training,
    "prediction": _prediction,
    "live": _live,
}


def _run_config(width_divisor, image_size, **training):
    from stfnet import ClipConfig, ModelConfig
    from stfnet.config import TrainingConfig
    from stfnet.run.config import RunConfig

    clip = ClipConfig(image_size=image_size)
    model = ModelConfig(CLASSES, clip, width_divisor=width_divisor, fc6_units=4096 // width_divisor)
    classes = tuple(f"class {k}" for k in range(CLASSES))
    return RunConfig("benchmark", classes, model, TrainingConfig(**training))


def training(begun: float, width_divisor: int, image_size: int, jit: bool) -> dict[str, Any]:
    """From the start of a process to the end of the second training step, at batch 1."""
    parts = Parts(begun)
    program.start_tensorflow()
    import numpy as np
    import tensorflow as tf

    from stfnet.training import stages

    parts.end("Python and TensorFlow")
    config = _run_config(width_divisor, image_size, jit_compile=jit)
    model = stages.make_model(config)
    parts.end("network")
    steps = stages.start(0, config.training, model, tf.distribute.get_strategy())
    parts.end("optimiser")
    clip = config.model.clip
    shape = (1, clip.num_frames, image_size, image_size, 3)
    fields = (1, clip.num_frames, clip.flow_length, 2, image_size, image_size)
    batch = {
        "rgb": tf.constant(np.zeros(shape, np.uint8)),
        "fields": tf.constant(np.zeros(fields, np.uint8)),
        "label": tf.zeros(1, tf.int64),
        "weight": tf.ones(1),
    }
    steps.train.get_concrete_function(batch, tf.constant(0.0))
    parts.end("graph")
    for name in ("first step", "second step"):
        float(steps.train(batch, tf.constant(0.0))["loss"])
        parts.end(name)
    return parts.figures


def write_run(folder: Path, width_divisor: int, image_size: int) -> None:
    """A run's folder with a network of random weights."""
    program.start_tensorflow()
    from stfnet import build_stfnet, run

    config = _run_config(width_divisor, image_size)
    none = {f"v_{k}": f"{k:064x}" for k in range(3)}
    videos = run.RunVideos("group", "1", 0, 0.2, none, none, none, {}, leak=0.0, duplicates=0)
    with run.writing(folder, config, videos):
        build_stfnet(config.model).save(folder / run.BEST_FILE)


def prediction(begun: float, folder: Path, video: Path, drawn: Path) -> dict[str, Any]:
    """From the start of a process to the label of a video, and to its annotated video."""
    parts = Parts(begun)
    program.start_tensorflow()
    from stfnet.drawing import annotation
    from stfnet.inference import clip, prediction

    parts.end("Python and TensorFlow")
    model, config = prediction.load_model(folder)
    parts.end("loading")
    clip.read_clip(video, config.model.clip, "rgb")
    parts.end("decode")
    inputs = clip.read_clip(video, config.model.clip, quality="fast")
    parts.end("flow")
    prediction.for_one_clip(model)
    probabilities = prediction.predict_clip(model, inputs)
    parts.end("network")
    ranking = prediction.rank(probabilities, config.classes, 5)
    annotation.write_annotated(drawn, video, inputs, config.model.clip, ranking)
    parts.end("drawing")
    return parts.figures


def live(video: Path, width_divisor: int, image_size: int) -> dict[str, float]:
    """`predict --live` without drawing, from the first full window on."""
    program.start_tensorflow()
    from stfnet import build_stfnet
    from stfnet.inference import capture, live, prediction

    config = _run_config(width_divisor, image_size)
    model = build_stfnet(config.model)
    window = live.SlidingWindow(config, quality="fast")
    source = capture.open_capture(str(video))
    latencies: list[float] = []
    frames, since = 0, 0.0
    for captured, frame in source:
        frames += bool(since)
        if window.add(frame) and window.full:
            prediction.predict_clip(model, window.clip_inputs())
            if since:
                latencies.append(time.monotonic() - captured)
            else:
                since = time.monotonic()  # the first one traces
    rate = frames / (time.monotonic() - since)
    return {
        "frames/s": rate,
        "of the source's": rate / source.fps,
        "latency, s": statistics.median(latencies),
    }
