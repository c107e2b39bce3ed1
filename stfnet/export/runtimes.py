"""The clip network for ONNX Runtime and LiteRT, each compared with Keras before it is written."""

import dataclasses
import importlib.util
import logging
import os
import statistics
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from preprocessing import files, worker_pool
from preprocessing.errors import UserError
from stfnet.export import layout, saved_model
from stfnet.networks.model import in_float32
from stfnet.run.config import RunConfig

ALLOWED_DIFFERENCE = 1e-5  # of a probability, where nothing was quantised
LARGEST_FILE = 2**31 - 1  # bytes, of Protocol Buffers and FlatBuffers alike
OPSET = 17  # of ONNX: read by ONNX Runtime 1.12 of 2022 and later
# What each format is made and checked with: packages as they are imported.
NEEDED = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How a file compares with the network in Keras, on the same clips and machine."""

    file: str  # its name, or `Keras`
    size: int  # bytes; of Keras, those of its weights
    seconds: float  # median of a clip
    difference: float = 0.0  # the largest of a probability
    same: int = 0  # clips with the same label
    clips: int = 0  # how many were compared


class OnnxNetwork:
    """The content of an ONNX file in ONNX Runtime, called as a Keras network."""

    def __init__(self, content):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(content, options, providers)

    def predict_on_batch(self, inputs):
        """Class probabilities float32 (B, C) of uint8 `rgb` and `flow`, as the network has them."""
        return self._session.run(["probabilities"], inputs)[0]


class LiteRTNetwork:
    """The content of a LiteRT file in its interpreter, called as a Keras network."""

    def __init__(self, content):
        from ai_edge_litert.interpreter import Interpreter

        with worker_pool.silenced_stderr():
            self._interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
            self._run = self._interpreter.get_signature_runner()

    def predict_on_batch(self, inputs):
        """Class probabilities float32 (B, C) of uint8 `rgb` and `flow`, as the network has them."""
        with worker_pool.silenced_stderr():
            return self._run(**inputs)["probabilities"]


def check_installed(name):
    """Raises a UserError unless what the format `onnx` or `litert` needs is installed."""
    for package in NEEDED[name]:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"--format={name} needs {package}, which is not installed: "
                f"pip install 'stfnet[{name}]'"
            )


def noise(config: RunConfig, count):
    """Random bytes in place of clips, for a machine without records.

    uint8 `rgb` (count, T, H, W, 3) and `flow` (count, T, H, W, 2L), as far as the network reads
    them.
    """
    rng = np.random.default_rng(0)
    clip = config.model.clip
    shape = (count, clip.num_frames, clip.image_size, clip.image_size)
    return {
        name: rng.integers(0, 256, (*shape, channels), np.uint8)
        for name, channels in config.model.input_channels.items()
    }


def export(name, model, config: RunConfig, folder, clips, fingerprint=None):
    """Writes the network for the format `onnx` or `litert`, compared with Keras in its runtime.

    `onnx` is `network.onnx`; `litert` is `network.tflite` and `network_quantised.tflite`, which has
    weights of 8 bits (dynamic range). All take and return what `saved_model.clip_function` does.
    Beside them stand config.json, classes.txt, the first clip with Keras' probabilities in
    example.npz, the figures in agreement.json, and SHA256SUMS. The folder appears when everything
    in it is written.

    A network of half precision is compared, and written, as one in float32 with its weights. The
    clips are uint8 `rgb` (N, T, H, W, 3) and `flow` (N, T, H, W, 2L), as far as it reads them.
    Returns the Agreement of Keras, and of each file.

    Raises:
        UserError: the folder holds something else than an export, the network is too large or has
            an operation that does not convert, or a file that is not quantised differs from Keras
            by more than ALLOWED_DIFFERENCE.
    """
    convert, runtime = {"onnx": (_to_onnx, OnnxNetwork), "litert": (_to_litert, LiteRTNetwork)}[
        name
    ]
    network = in_float32(model)
    size = 4 * network.count_params()
    if size > LARGEST_FILE:
        raise UserError(
            f"the network has {size / 1e9:.1f} GB of weights and its file can have 2.1 GB: "
            "give --format=saved_model"
        )
    with layout.writing(folder) as temporary:
        expected, seconds = _answers(network, clips)
        rows = [Agreement("Keras", size, seconds, 0.0, len(expected), len(expected))]
        for file_name, content in _converting(convert, network).items():
            loaded = _converting(runtime, content)
            rows.append(_compare(file_name, content, loaded, clips, expected))
            with files.writing(temporary / file_name) as file:
                file.write(content)
        example = {name: clip[:1] for name, clip in clips.items()}
        with files.writing(temporary / layout.EXAMPLE_FILE) as file:
            np.savez_compressed(file, **example, probabilities=expected[:1])
        agreement = [dataclasses.asdict(row) for row in rows]
        files.write_json(temporary / layout.AGREEMENT_FILE, agreement)
        layout.write_facts(temporary, config, fingerprint)
    return rows


def _converting(convert, argument):
    """What `convert(argument)` returns; any error is one that the user can go round."""
    try:
        return convert(argument)
    except OSError:  # a full disk, which says nothing about the network
        raise
    except Exception as error:  # converters and runtimes raise what they like
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"the network does not convert ({reason}): give --format=saved_model"
        ) from error


def _to_onnx(network):
    """The weights are arguments of the function that is converted and become constants afterwards,
    since tf2onnx copies constants until a network of 755 MB takes more than 22 GB.
    """
    import onnx
    import tf2onnx

    _, specs = saved_model.clip_function(network)
    trained = len(network.trainable_variables)
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    weights = {f"weight_{k}": variable.numpy() for k, variable in enumerate(variables)}

    def classify(*tensors):
        clips, values = tensors[: len(specs)], tensors[len(specs) :]
        batch = dict(zip(specs, clips, strict=True))
        probabilities, _ = network.stateless_call(values[:trained], values[trained:], batch)
        return {"probabilities": probabilities}

    signature = [*specs.values()]
    signature += [tf.TensorSpec(w.shape, w.dtype, name) for name, w in weights.items()]
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what fails is raised below
    with worker_pool.silenced_stderr():
        function = tf.function(classify, input_signature=signature, autograph=False)
        onnx_model, _ = tf2onnx.convert.from_function(function, signature, opset=OPSET)
    graph = onnx_model.graph
    clips = [value for value in graph.input if value.name not in weights]
    read = _names_read(graph)
    kept = [one for one in graph.initializer if one.name in read]
    kept += [onnx.numpy_helper.from_array(w, name) for name, w in weights.items() if name in read]
    del graph.input[:], graph.initializer[:]
    graph.input.extend(clips)
    graph.initializer.extend(kept)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(onnx_model)
    return {layout.ONNX_FILE: onnx_model.SerializeToString()}


def _names_read(graph):
    """Names that the nodes of an ONNX graph read, with those of the graphs inside them."""
    names = set()
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                names |= _names_read(inner) | {value.name for value in inner.output}
    return names


def _refusing(clips, shape):
    """Clips that pass if they have a shape (None, ...), in operations that LiteRT has.

    It knows no assertions and gives every reshape what it asks for. A split alone compares a side
    with the sizes of its parts; one row more makes two parts of any side.
    """
    for axis, size in enumerate(shape[1:], 1):
        one_more = tf.concat([clips, tf.gather(clips, [0], axis=axis)], axis)
        clips, _ = tf.split(one_more, [size, 1], axis)
    return clips


def _to_litert(network):
    optimizations = {layout.LITERT_FILE: [], layout.QUANTISED_FILE: [tf.lite.Optimize.DEFAULT]}
    archive = keras.export.ExportArchive()
    archive.track(network)
    classify, specs = saved_model.clip_function(network)

    def refuse_or_classify(clips):
        return classify({name: _refusing(clips[name], spec.shape) for name, spec in specs.items()})

    archive.add_endpoint("serving_default", refuse_or_classify, input_signature=[specs])
    with tempfile.TemporaryDirectory(prefix="stfnet-export-") as folder:
        with saved_model.naming_full_disk(folder):
            archive.write_out(folder, verbose=False)
        contents = {}
        for name in optimizations:
            with worker_pool.silenced_stderr():
                converter = tf.lite.TFLiteConverter.from_saved_model(
                    folder, signature_keys=["serving_default"]
                )
                # LiteRT's own operations alone: every build of it has them.
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
                converter.optimizations = optimizations[name]
                contents[name] = converter.convert()
        return contents


def _answers(network, clips):
    """Probabilities float32 (N, C) of clips, given one at a time, and the median seconds of one."""
    answers, seconds = [], []
    singles = [
        {name: clip[k : k + 1] for name, clip in clips.items()}
        for k in range(len(next(iter(clips.values()))))
    ]
    network.predict_on_batch(singles[0])  # compiles and fills caches
    for single in singles:
        begun = time.perf_counter()
        answers.append(np.asarray(network.predict_on_batch(single)))
        seconds.append(time.perf_counter() - begun)
    return np.concatenate(answers), statistics.median(seconds)


def _compare(name, content, network, clips, expected):
    """An Agreement; raises a UserError where the answers differ and must not."""
    answers, seconds = _answers(network, clips)
    difference = float(np.abs(answers - expected).max())
    # Nor where it is NaN.
    if name != layout.QUANTISED_FILE and not difference <= ALLOWED_DIFFERENCE:
        raise UserError(
            f"{name} differs from Keras by up to {difference:.2g} in a probability of "
            f"{len(expected)} clips, where {ALLOWED_DIFFERENCE:g} is allowed: "
            "give --format=saved_model"
        )
    same = int((answers.argmax(1) == expected.argmax(1)).sum())
    return Agreement(name, len(content), seconds, difference, same, len(expected))
