"""Converted networks, run by the runtimes that they are for."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import STFNet, build_stfnet, networks
from stfnet.config import TrainingConfig, to_dict
from stfnet.export import layout, runtimes
from stfnet.inference import prediction

FILES = {
    "onnx": {layout.ONNX_FILE},
    "litert": {layout.LITERT_FILE, layout.QUANTISED_FILE},
}
BESIDE = {"agreement.json", "classes.txt", "config.json", "example.npz", "SHA256SUMS"}


@pytest.fixture(scope="module", params=["onnx", pytest.param("litert", marks=pytest.mark.slow)])
def name(request):
    """A format whose packages are installed."""
    for package in runtimes.NEEDED[request.param]:
        pytest.importorskip(package, reason=f"the extra [{request.param}] is not installed")
    return request.param


@pytest.fixture(scope="module")
def tiny(tiny_run):
    """(network, RunConfig, clips) of the tiny run."""
    model, config = prediction.load_run(tiny_run)
    return model, config, runtimes.noise(config, 3)


@pytest.fixture(scope="module")
def exported(name, tiny, tmp_path_factory):
    """(folder, list of Agreement) of an export that was written over an older one."""
    folder = tmp_path_factory.mktemp("runtimes") / "export"
    folder.mkdir()
    for marker in ("saved_model.pb", "batching.config"):  # the second is of another format
        (folder / marker).touch()
    return folder, runtimes.export(name, *tiny[:2], folder, tiny[2], {"protocol": "group"})


def _run(name, folder, inputs, *chosen):
    """File name -> probabilities, from the runtime and the file alone; of all files if none."""
    answers = {}
    for file in chosen or sorted(FILES[name]):
        if name == "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(str(folder / file))
            answers[file] = session.run(None, inputs)[0]
        else:
            from ai_edge_litert.interpreter import Interpreter

            runner = Interpreter(str(folder / file)).get_signature_runner()
            answers[file] = runner(**inputs)["probabilities"]
    return answers


def test_a_runtime_gives_the_probabilities_of_keras(name, tiny, exported):
    model, _, clips = tiny
    folder, rows = exported
    expected = model.predict_on_batch(clips)  # in one batch; any size is taken
    for file, answer in _run(name, folder, clips).items():
        quantised = file == layout.QUANTISED_FILE
        np.testing.assert_allclose(answer, expected, atol=0.05 if quantised else 1e-5)

    assert [row.file for row in rows] == ["Keras", *sorted(FILES[name])]
    for row in rows[1:]:
        assert row.size == (folder / row.file).stat().st_size and row.seconds > 0
        assert row.clips == 3 and 0 <= row.same <= 3
    assert rows[1].same == 3 and rows[1].difference <= 1e-5
    if name == "litert":
        assert rows[2].size < 0.7 * rows[1].size and rows[2].difference > 0


@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        (("rgb", "flow"), (6, 5, 32, 32)),  # the bytes of ten clips
        (("rgb", "flow"), (1, 3, 64, 64)),  # of four
        (("rgb", "flow"), (1, 12, 16, 16)),  # of one
        (("rgb",), (3, 1, 32, 32)),
        (("flow",), (3, 1, 32, 32)),
    ],
)
def test_a_file_refuses_clips_of_another_shape(name, exported, wrong, shape):
    count = shape[0] if len(wrong) == 2 else 1
    right = {"rgb": (count, 3, 32, 32, 3), "flow": (count, 3, 32, 32, 8)}
    shapes = {key: (*shape, value[-1]) if key in wrong else value for key, value in right.items()}
    inputs = {key: np.zeros(value, np.uint8) for key, value in shapes.items()}
    says = {"onnx": r"Got invalid dimensions for input.*\s.*Expected: ", "litert": "SPLIT_V"}[name]
    for file in FILES[name]:
        with pytest.raises(Exception, match=says):
            _run(name, exported[0], inputs, file)


@pytest.mark.slow
def test_a_litert_file_of_one_frame_refuses_two(tiny, tmp_path):
    pytest.importorskip("ai_edge_litert")
    clip = dataclasses.replace(tiny[1].model.clip, num_frames=1)
    config = dataclasses.replace(tiny[1], model=dataclasses.replace(tiny[1].model, clip=clip))
    clips = runtimes.noise(config, 1)
    runtimes.export("litert", build_stfnet(config.model), config, tmp_path / "export", clips)
    assert _run("litert", tmp_path / "export", clips)
    twice = {key: np.repeat(value, 2, axis=1) for key, value in clips.items()}
    with pytest.raises(RuntimeError, match="SPLIT_V"):
        _run("litert", tmp_path / "export", twice)


def test_what_a_user_needs_stands_beside_the_network(name, exported):
    folder, _ = exported
    assert {path.name for path in folder.iterdir()} == FILES[name] | BESIDE
    assert list(folder.parent.iterdir()) == [folder]
    assert (folder / "classes.txt").read_text().split() == ["Bow", "Jump", "Wave"]
    settings = json.loads((folder / "config.json").read_text())
    assert settings["model"]["clip"]["image_size"] == 32
    assert settings["split_fingerprint"] == {"protocol": "group"}
    figures = json.loads((folder / "agreement.json").read_text())
    assert {row["file"] for row in figures} == FILES[name] | {"Keras"}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, _, file = line.partition("  ")
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest


def test_the_example_tells_whether_a_runtime_works(name, exported):
    folder, _ = exported
    example = dict(np.load(folder / "example.npz"))
    expected = example.pop("probabilities")
    answer = _run(name, folder, example)[min(FILES[name])]
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_no_program_of_this_project_takes_it_for_a_run(exported):
    with pytest.raises(UserError, match="is an export for another runtime: give the run"):
        prediction.load_model(exported[0])


@pytest.mark.parametrize("name", ["onnx"], indirect=True)
def test_no_weight_passes_through_tf2onnx(name, tiny, exported):
    # It copies constants until the paper's network takes more memory than a machine has.
    import onnx

    initializers = onnx.load(exported[0] / layout.ONNX_FILE).graph.initializer
    sizes = {one.name: one.ByteSize() for one in initializers}
    weights = sum(size for name, size in sizes.items() if name.startswith("weight_"))
    assert weights >= 4 * tiny[0].count_params()
    assert sum(sizes.values()) - weights < weights / 50


@pytest.mark.parametrize("name", ["onnx"], indirect=True)
@pytest.mark.parametrize("network", ["stfnet", "lrcn"])
def test_every_initializer_of_an_onnx_file_is_read(name, network, tiny, tmp_path):
    import onnx

    model = networks.read(networks.switched(to_dict(tiny[1].model), network))
    config = dataclasses.replace(tiny[1], model=model)
    runtimes.export("onnx", build_stfnet(model), config, tmp_path / "export", tiny[2])
    graph = onnx.load(tmp_path / "export" / layout.ONNX_FILE).graph
    read = {name for node in graph.node for name in node.input}
    assert {one.name for one in graph.initializer} <= read


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"streams": "flow", "normalize": "all", "flow_input": "pixels"},
        {"streams": "rgb", "normalize": "none", "rgb_input": "unit", "branches": "conv"},
        {
            "fusion": "sum",
            "map_norm": True,
            "map_levels": (3, 5),
            "linear_parts": 3,
            "linear_root": True,
        },
        {
            "stream_dropout": 0.5,
            "map_dropout": 0.5,
            "merge": "product",
            "lstm_statistics": "batch",
            "conv_pool": True,
        },
    ],
    ids=lambda settings: "-".join(settings),
)
def test_every_kind_of_network_converts(name, settings, tiny, tmp_path):
    values = networks.switched(to_dict(tiny[1].model), "small_data")
    if "linear_parts" not in settings:
        values["clip"] = values["clip"] | {"num_frames": 2}  # fewer steps of the LSTMs to convert
    model = networks.read(values | settings)
    config = dataclasses.replace(tiny[1], model=model, training=TrainingConfig(batch_size=4))
    clips = runtimes.noise(config, 2)
    rows = runtimes.export(name, build_stfnet(model), config, tmp_path / "export", clips)
    assert rows[1].difference <= 1e-5


@pytest.mark.slow
def test_half_precision_is_exported_in_float32(name, tiny, tmp_path):
    _, config, clips = tiny
    model = STFNet(config.model, dtype="mixed_bfloat16")
    rows = runtimes.export(name, model, config, tmp_path / "export", clips)
    assert rows[1].difference <= 1e-5
    half = model.predict_on_batch(clips)
    answer = _run(name, tmp_path / "export", clips)[min(FILES[name])]
    np.testing.assert_allclose(answer, half, atol=0.02)


def test_an_operation_that_does_not_convert_is_one_line(name, tiny, tmp_path):
    _, config, clips = tiny
    rgb = keras.Input(clips["rgb"].shape[1:], dtype="uint8", name="rgb")
    means = keras.ops.mean(keras.ops.cast(rgb, "float32"), axis=(1, 2, 3))
    model = keras.Model({"rgb": rgb}, keras.layers.Softmax()(keras.ops.erfinv(means / 256)))
    clips = {"rgb": clips["rgb"]}
    with pytest.raises(UserError, match=r"does not convert \(.*\): give --format=saved_mod") as one:
        runtimes.export(name, model, config, tmp_path / "export", clips)
    assert "\n" not in str(one.value)
    assert not list(tmp_path.iterdir())


def test_a_network_larger_than_a_file_can_be_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "LARGEST_FILE", 1000)
    with pytest.raises(UserError, match=r"GB of weights and its file can have 2.1 GB: give"):
        runtimes.export("onnx", *tiny[:2], tmp_path / "export", tiny[2])


def test_a_file_that_disagrees_is_not_written(name, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "_to_onnx", lambda network: {layout.ONNX_FILE: b""})
    monkeypatch.setattr(runtimes, "_to_litert", lambda network: {layout.LITERT_FILE: b""})

    class Wrong:
        def __init__(self, content):
            pass

        def predict_on_batch(self, inputs):
            return tiny[0].predict_on_batch(inputs) + 2e-5

    for runtime in ("OnnxNetwork", "LiteRTNetwork"):
        monkeypatch.setattr(runtimes, runtime, Wrong)
    with pytest.raises(UserError, match=r"network\.\w+ differs from Keras by up to 2e-05 in a pro"):
        runtimes.export(name, *tiny[:2], tmp_path / "export", tiny[2])
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(runtimes.NEEDED, "onnx", ("no_such_package",))
    with pytest.raises(UserError, match=r"onnx needs no_such_package, .*install 'stfnet\[onnx\]'"):
        runtimes.check_installed("onnx")
