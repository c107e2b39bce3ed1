import json
import re
import shutil
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import tensorflow as tf

from preprocessing.errors import UserError
from stfnet.config import ClipConfig
from stfnet.export import layout, saved_model, tf_serving
from stfnet.inference import prediction

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "exports.md"


@pytest.fixture(scope="module")
def exported(make_run, tmp_path_factory):
    """(model, RunConfig, folder) of a network of 16 pixels, whose flow solver is soon traced."""
    model, config = prediction.load_run(
        make_run(clip=ClipConfig(num_frames=3, flow_length=4, image_size=16))
    )
    folder = tmp_path_factory.mktemp("serving") / "export"
    assert not tf_serving.export_serving(model, config, folder, fingerprint={"protocol": "group"})
    return model, config, folder


@pytest.fixture(scope="module")
def clips(exported):
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 256, (2, *tensor.shape[1:]), np.uint8)
        for name, tensor in exported[0].input.items()
    }


def _messages():
    """The official classes of the server's messages."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc
    from tensorflow_serving.config import model_server_config_pb2

    return prediction_log_pb2, prediction_service_pb2_grpc, model_server_config_pb2


def _document_program(word):
    """The client in the document that has the word, as a program."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return block


def test_a_server_finds_versions_and_configuration(exported):
    folder = exported[2]
    assert sorted(path.name for path in folder.iterdir()) == [
        "1",
        "batching.config",
        "models.config",
    ]
    loaded, config = saved_model.load_export(folder / "1")
    assert config == exported[1] and set(loaded.signatures) >= {"serving_default"}
    assert tf_serving.WARMUP_FILE in (folder / "1" / layout.SUMS_FILE).read_text()
    assert json.loads((folder / "1" / "config.json").read_text())["split_fingerprint"] == {
        "protocol": "group"
    }


def test_the_configuration_is_the_servers_text_format(exported):
    from google.protobuf import text_format

    *_, configs = _messages()
    text = (exported[2] / layout.MODELS_FILE).read_text()
    parsed = text_format.Parse(text, configs.ModelServerConfig())
    (model,) = parsed.model_config_list.config
    assert (model.name, model.base_path) == ("stfnet", "/models/stfnet")
    batching = (exported[2] / layout.BATCHING_FILE).read_text()
    largest = re.search(r"max_batch_size \{ value: (\d+) \}", batching)[1]
    # The server refuses to start where the last allowed size is not the largest.
    assert re.findall(r"allowed_batch_sizes: (\d+)", batching)[-1] == largest


def test_warm_up_requests_are_read_by_the_official_messages_and_run(exported):
    logs, *_ = _messages()
    folder = exported[2]
    signatures = tf.saved_model.load(str(folder / "1")).signatures
    records = tf.data.TFRecordDataset(str(folder / "1" / tf_serving.WARMUP_FILE))
    requests = [logs.PredictionLog.FromString(r.numpy()).predict_log.request for r in records]
    assert [request.model_spec.signature_name for request in requests] == [
        "serving_default",
        "classify_frames",
    ]
    for request in requests:
        assert request.model_spec.name == "stfnet"
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        assert all(value.dtype == np.uint8 and (value == 128).all() for value in inputs.values())
        answer = signatures[request.model_spec.signature_name](**inputs)
        assert answer["probabilities"].shape == (1, 3)


def test_every_answer_has_a_row_for_each_video(exported):
    _, config, folder = exported
    frames = np.random.default_rng(1).integers(0, 256, (2, 4, 20, 24, 3), np.uint8)
    classify = tf.saved_model.load(str(folder / "1")).signatures["classify_frames"]
    answer = {name: value.numpy() for name, value in classify(frames=frames).items()}
    assert answer["probabilities"].shape == answer["frame_numbers"].shape == (2, 3)
    assert answer["class_names"].astype(str).tolist() == [list(config.classes)] * 2


def test_a_stock_server_has_every_operation(exported, tmp_path):
    folder = exported[2] / "1"
    assert tf_serving.missing_ops(folder) == [] and not tf_serving.needs_xla(folder)

    module = tf.Module()
    module.call = tf.function(
        lambda x: tf.py_function(lambda y: y + 1, [x], tf.float32),
        input_signature=[tf.TensorSpec((), tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "python"))
    assert tf_serving.missing_ops(tmp_path / "python") == ["EagerPyFunc"]

    # A custom operation is one that plain TensorFlow does not know.
    content = (folder / "saved_model.pb").read_bytes()
    (tmp_path / "custom").mkdir()
    path = tmp_path / "custom" / "saved_model.pb"
    path.write_bytes(content.replace(b"MaxPool", b"MaxFool"))
    assert tf_serving.missing_ops(tmp_path / "custom") == ["MaxFool"]


def test_xla_is_said(exported, tmp_path):
    model, config, _ = exported
    assert tf_serving.export_serving(model, config, tmp_path / "export", jit_compile=True)
    assert tf_serving.missing_ops(tmp_path / "export" / "1") == []


def test_the_documents_grpc_client_gets_the_networks_answer(exported, clips):
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    _, services, _ = _messages()
    from tensorflow_serving.apis import predict_pb2

    model, _, folder = exported
    signatures = tf.saved_model.load(str(folder / "1")).signatures

    class Server(services.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "stfnet"
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            answer = signatures[request.model_spec.signature_name](**inputs)
            outputs = {name: tf.make_tensor_proto(value) for name, value in answer.items()}
            return predict_pb2.PredictResponse(outputs=outputs)

    limits = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(1), options=limits)
    services.add_PredictionServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        program = _document_program("import grpc").replace("8500", str(port))
        names = dict(clips)
        exec(program, names)
    finally:
        server.stop(None)
    np.testing.assert_allclose(names["probabilities"], model.predict_on_batch(clips), atol=1e-5)


def test_the_documents_rest_client_gets_the_networks_answer(exported, clips):
    _, config, folder = exported
    signatures = tf.saved_model.load(str(folder / "1")).signatures

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/stfnet:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inputs = {name: np.array(value, np.uint8) for name, value in body["inputs"].items()}
            answer = signatures[body.get("signature_name", "serving_default")](**inputs)
            outputs = {
                name: value.numpy().astype(str).tolist()
                if value.dtype == tf.string
                else value.numpy().tolist()
                for name, value in answer.items()
            }
            content = json.dumps({"outputs": outputs}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    frames = np.random.default_rng(1).integers(0, 256, (1, 4, 20, 24, 3), np.uint8)
    with HTTPServer(("localhost", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            program = _document_program("urllib").replace("8501", str(server.server_port))
            names = {"frames": frames}
            exec(program, names)
        finally:
            server.shutdown()
    expected = signatures["classify_frames"](frames=frames)["probabilities"].numpy()
    best = config.classes[int(expected[0].argmax())]
    assert names["name"] == best and names["probability"] == pytest.approx(expected.max(), abs=1e-5)


def test_another_export_is_the_next_version_beside_the_others(exported, tmp_path):
    model, config, folder = exported
    there = shutil.copytree(folder, tmp_path / "export")
    (there / "1").rename(there / "7")
    (there / "models.config").write_text("changed by its owner")
    tree = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    tf_serving.export_serving(model, config, there)
    assert sorted(path.name for path in there.iterdir()) == [
        "7",
        "8",
        "batching.config",
        "models.config",
    ]
    assert {path: path.read_bytes() for path in tree} == tree
    assert saved_model.load_export(there / "8")[1] == config


@pytest.mark.parametrize("name", ["notes.txt", "8/thesis.tex", "old/saved_model.pb"])
def test_a_folder_of_versions_with_other_files_is_left_alone(exported, tmp_path, name):
    model, config, folder = exported
    there = shutil.copytree(folder, tmp_path / "export")
    (there / name).parent.mkdir(exist_ok=True)
    (there / name).write_text("mine")
    before = sorted(there.rglob("*"))
    with pytest.raises(UserError, match=f"holds {name.split('/')[0]}.*which no export has"):
        tf_serving.export_serving(model, config, there)
    assert sorted(there.rglob("*")) == before


def test_a_version_that_fails_leaves_the_others(exported, tmp_path, monkeypatch):
    model, config, folder = exported
    there = shutil.copytree(folder, tmp_path / "export")
    before = sorted(there.rglob("*"))
    monkeypatch.setattr(tf_serving, "missing_ops", lambda _: ["Mine"])
    with pytest.raises(UserError, match=r"a stock server has not \(Mine\): give --format"):
        tf_serving.export_serving(model, config, there)
    assert sorted(there.rglob("*")) == before
