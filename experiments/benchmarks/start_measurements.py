"""What `experiments.benchmark start` measures, each in a process made for it."""

import functools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from experiments.benchmarks import timing

CLASSES, BATCH, FEATURES = 101, 8, 4096


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(begun, *arguments)` in a new interpreter; `begun` is the time before it started."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, time.time(), *arguments).result()


class Parts:
    """Seconds of the parts of a work that follow each other: wall time and processor time.

    Args:
        begun: `time.time()` at which the first part began, in a process that began then too.

    Attributes:
        figures: name of a part -> dict of `seconds` and `processor`.
    """

    def __init__(self, begun: float):
        self.figures: dict[str, dict[str, float]] = {}
        self._wall, self._processor = begun, 0.0

    def end(self, name: str) -> None:
        """The part so far has this name, and the next begins."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        wall, processor = time.time(), used.ru_utime + used.ru_stime
        self.figures[name] = {
            "seconds": round(wall - self._wall, 2),
            "processor": round(processor - self._processor, 2),
        }
        self._wall, self._processor = wall, processor


def _model_config(width_divisor, image_size, num_frames=17):
    from stfnet import ClipConfig, ModelConfig

    clip = ClipConfig(num_frames=num_frames, image_size=image_size)
    return ModelConfig(CLASSES, clip, width_divisor=width_divisor, fc6_units=4096 // width_divisor)


def _run_config(model, **training):
    from stfnet.config import RunConfig, TrainingConfig

    classes = tuple(f"class {k}" for k in range(CLASSES))
    return RunConfig("benchmark", classes, model, TrainingConfig(**training))


def training(begun: float, width_divisor: int, image_size: int, jit: bool) -> dict[str, Any]:
    """From the start of a process to the end of the first training step, at batch 1.

    Returns:
        Parts.figures: `start` (Python, TensorFlow), `network`, `optimiser`, `graph` (tracing),
        `first step` (with JIT: compilation) and `second step`.
    """
    parts = Parts(begun)
    from experiments import program

    program.start_tensorflow()
    import numpy as np
    import tensorflow as tf

    from stfnet.training import stages

    parts.end("start")
    config = _run_config(_model_config(width_divisor, image_size), jit_compile=jit)
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


def write_run(begun: float, folder: Path, width_divisor: int, image_size: int) -> None:
    """A run's folder with a network of random weights."""
    from experiments import program

    program.start_tensorflow()
    from stfnet import build_stfnet, run

    config = _run_config(_model_config(width_divisor, image_size))
    none = {f"v_{k}": f"{k:064x}" for k in range(3)}
    videos = run.RunVideos("group", "1", 0, 0.2, none, none, none, {}, leak=0.0, duplicates=0)
    with run.writing(folder, config, videos):
        build_stfnet(config.model).save(folder / run.BEST_FILE)


def prediction(begun: float, folder: Path, video: Path, drawn: Path) -> dict[str, Any]:
    """From the start of a process to the label of a video, and to its annotated video.

    Returns:
        Parts.figures: `start`, `load` (the run's network), `decode`, `flow` (with decoding again),
        `network` and `drawing`. The label is there before the drawing.
    """
    parts = Parts(begun)
    from experiments import program

    program.start_tensorflow()
    from stfnet.drawing import annotation
    from stfnet.inference import clip, prediction

    parts.end("start")
    model, config = prediction.load_model(folder)
    parts.end("load")
    clip.read_clip(video, config.model.clip, "rgb")
    parts.end("decode")
    inputs = clip.read_clip(video, config.model.clip)
    parts.end("flow")
    probabilities = prediction.predict_clip(model, inputs)
    parts.end("network")
    ranking = prediction.rank(probabilities, config.classes, 5)
    annotation.write_annotated(drawn, video, inputs, config.model.clip, ranking)
    parts.end("drawing")
    return parts.figures


def live(begun: float, video: Path, width_divisor: int, image_size: int) -> dict[str, float]:
    """`predict --live` without drawing: from the first full window on.

    Returns:
        dict: `source_fps`, `frames_per_second` and `latency`, the median of the seconds from a
        window's newest frame to its label.
    """
    from experiments import program

    program.start_tensorflow()
    from stfnet import build_stfnet
    from stfnet.inference import capture, live, prediction

    config = _run_config(_model_config(width_divisor, image_size))
    model = build_stfnet(config.model)
    window = live.window_of(config, live.usual_interval(config), "fast")
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
    return {
        "source_fps": source.fps,
        "frames_per_second": round(frames / (time.monotonic() - since), 2),
        "latency": round(statistics.median(latencies), 3),
    }


def recurrence(begun: float, scanned: bool, xla: bool, repeats: int) -> dict[str, Any]:
    """The three LSTMs alone: a graph of every step, or `keras.ops.scan` over the steps.

    Returns:
        dict: `nodes` of the graph of a training step, processor seconds of `tracing` and of the
        `first` call, and processor milliseconds of a `step` (median); `failed` where XLA does not
        compile it.
    """
    from experiments import program

    program.start_tensorflow()
    import keras
    import tensorflow as tf

    from stfnet.layers.layer_norm_lstm import LayerNormLSTM

    lstm = functools.partial(scanned_lstm() if scanned else LayerNormLSTM, CLASSES)
    inputs = [keras.Input((17, FEATURES)) for _ in range(2)]
    merged = keras.layers.Add()([lstm(return_sequences=True)(x) for x in inputs])
    model = keras.Model(inputs, lstm()(merged))
    batch = [tf.random.normal((BATCH, 17, FEATURES)) for _ in range(2)]

    @tf.function(jit_compile=xla)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(batch, training=True) ** 2)
        return [tf.reduce_sum(g) for g in tape.gradient(loss, model.trainable_variables)]

    tracing = timing.seconds(step.get_concrete_function, time.process_time)
    graph = step.get_concrete_function().graph.as_graph_def()
    nodes = len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    def run():
        step()[0].numpy()

    try:
        first = timing.seconds(run, time.process_time)
    except tf.errors.InvalidArgumentError as error:
        return {"failed": str(error).splitlines()[0]}
    times = timing.in_turns({"step": run}, repeats, time.process_time)["step"]
    return {
        "nodes": nodes,
        "tracing": round(tracing, 2),
        "first": round(first, 2),
        "step": round(1e3 * statistics.median(times), 1),
    }


def scanned_lstm():
    """`LayerNormLSTM` as a scan."""
    from keras import ops

    from stfnet.layers.layer_norm_lstm import LayerNormLSTM

    class ScannedLSTM(LayerNormLSTM):
        def call(self, sequences, training=False):
            projections = ops.swapaxes(self.cell.project(sequences), 0, 1)  # t b 4u
            zeros = ops.zeros_like(projections[0, :, : self.cell.units])

            def step(state, projection):
                h, c = self.cell.step(projection, state[0], state[1], training=training)
                return (h, c), (h, c)  # on TensorFlow, scan wants outputs like the state

            (last, _), (hidden, _) = ops.scan(step, (zeros, zeros), projections)
            return ops.swapaxes(hidden, 0, 1) if self.return_sequences else last

    return ScannedLSTM
