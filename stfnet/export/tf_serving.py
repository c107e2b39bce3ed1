"""The layout of TensorFlow Serving: versions, configuration, and requests that warm a server up."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from preprocessing import files
from preprocessing.errors import UserError
from stfnet.export import layout, saved_model
from stfnet.run.config import RunConfig

NAME = "stfnet"  # by which a client asks for the model
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# They call back into Python, which a server has not.
PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
MODELS = f"""model_config_list {{
  config {{
    name: "{NAME}"
    base_path: "/models/{NAME}"  # where the server sees this folder
    model_platform: "tensorflow"
  }}
}}
"""
BATCHING = """max_batch_size { value: 8 }  # clips; fewer where memory is short
batch_timeout_micros { value: 10000 }  # little beside the time of a clip
num_batch_threads { value: 1 }  # one for each device that computes
max_enqueued_batches { value: 16 }  # what comes then is refused at once
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: 8
"""


def export_serving(model, config: RunConfig, folder, jit_compile=False, fingerprint=None):
    """Writes a folder that a stock TensorFlow Serving serves as the model `stfnet`, and says
    whether that needs XLA.

    `1/` is a SavedModel as of `export_saved_model`, whose `classify_frames` gives the class names
    and frame numbers for each video, (B, C) and (B, T); it holds a request to each signature that
    the server runs before it takes others. Beside it are `models.config` and `batching.config`.
    Where the folder has versions already, the export is the next one beside them, and nothing else
    is touched. It appears when everything in it is written.

    Raises:
        UserError: the folder holds something else than exports, or the network has an operation
            that the stock server has not.
    """
    folder = Path(folder)
    if there := versions(folder):
        _check_versions(folder, there)
        with files.writing_folder(folder / str(max(there) + 1)) as version:
            return _write_version(model, config, version, jit_compile, fingerprint)
    with layout.writing(folder) as temporary:
        version = temporary / layout.VERSION
        xla = _write_version(model, config, version, jit_compile, fingerprint)
        (temporary / layout.MODELS_FILE).write_text(MODELS)
        (temporary / layout.BATCHING_FILE).write_text(BATCHING)
        return xla


def versions(folder):
    """The versions in a folder that `export_serving` made, as rising numbers."""
    names = [path.parent.name for path in folder.glob(f"*/{layout.SAVED_MODEL}")]
    return sorted(int(name) for name in names if name.isdecimal())


def _check_versions(folder, numbers):
    """Checks that a folder holds versions and their configuration alone."""
    known = {*map(str, numbers), layout.MODELS_FILE, layout.BATCHING_FILE}
    strange = sorted(path.name for path in folder.glob("*") if path.name not in known)
    for version in map(str, numbers):
        strange += [f"{version}/{name}" for name in layout.strange_in_version(folder / version)]
    if strange:
        raise UserError(
            f"{folder} holds {strange[0]}, which no export has: give another --output, or move "
            "that away"
        )


def _write_version(model, config, version, jit_compile, fingerprint):
    """Writes the folder of a version; whether the server needs XLA."""
    saved_model.write_saved_model(model, config, version, jit_compile, by_video=True)
    if missing := missing_ops(version):
        raise UserError(
            f"the network has operations that a stock server has not ({', '.join(missing)}): "
            "give --format=saved_model, and serve it with a program that has them"
        )
    warmup = version / WARMUP_FILE
    warmup.parent.mkdir()
    with saved_model.naming_full_disk(version), tf.io.TFRecordWriter(str(warmup)) as writer:
        for signature, inputs in warmup_inputs(model, config).items():
            writer.write(prediction_log(signature, inputs))
    layout.write_facts(version, config, fingerprint)
    return needs_xla(version)


def missing_ops(folder):
    """Operations in a SavedModel's signatures that plain TensorFlow has not, or has from Python,
    sorted.
    """
    graph, nodes = _graph(folder)
    own = {function.signature.name for function in graph.library.function}
    used = {node.op for node in nodes} - own
    return sorted(name for name in used if name in PYTHON_OPS or not hasattr(tf.raw_ops, name))


def needs_xla(folder):
    """Whether a SavedModel has functions that XLA must compile."""
    graph, nodes = _graph(folder)
    marked = [*nodes, *graph.library.function]
    return any("_XlaMustCompile" in one.attr and one.attr["_XlaMustCompile"].b for one in marked)


def warmup_inputs(model, config: RunConfig):
    """A request to each signature, of one grey clip and one grey video: signature -> name ->
    tf.TensorProto.

    They are uint8, of a clip (1, T, H, W, channels) and of `frames` (1, max(T, 2), H, W, 3), and
    hold one byte each, which TensorFlow repeats.
    """
    clip = config.model.clip
    shapes = {name: (1, *tensor.shape[1:]) for name, tensor in model.input.items()}
    frames = (1, max(clip.num_frames, 2), clip.image_size, clip.image_size, 3)

    def grey(shape):
        return tf.make_tensor_proto(128, tf.uint8, shape)

    return {
        "serving_default": {name: grey(shape) for name, shape in shapes.items()},
        "classify_frames": {"frames": grey(frames)},
    }


def prediction_log(signature, inputs):
    """A request as TensorFlow Serving reads it from its warm-up file, a
    tensorflow.serving.PredictionLog.

    The package with the classes of its messages, tensorflow-serving-api, would install a second
    TensorFlow beside tensorflow-cpu. Fields have the numbers of its prediction_log.proto,
    predict.proto and model.proto.
    """
    model = _field(1, NAME.encode()) + _field(3, signature.encode())
    request = _field(1, model)
    for name, tensor in inputs.items():
        request += _field(2, _field(1, name.encode()) + _field(2, tensor.SerializeToString()))
    return _field(6, _field(1, request))


def _field(number, content):
    """A field of a Protocol Buffers message: number and kind, length in 7 bits a byte, content."""
    length, bits = [], len(content)
    while bits > 127:
        length.append(bits & 127 | 128)
        bits >>= 7
    return bytes([number << 3 | 2, *length, bits]) + content


def _graph(folder):
    """The graph of a SavedModel, and its nodes with those of its functions."""
    content = (Path(folder) / layout.SAVED_MODEL).read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    return graph, [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
