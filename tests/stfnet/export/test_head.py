"""Heads of networks whose streams keep ImageNet's weights, and the networks that ship."""

import dataclasses
import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import run, weights
from stfnet.evaluation import evaluate, result_files, timing
from stfnet.export import head, layout
from stfnet.inference import prediction

ROOT = Path(__file__).parents[3]
SIZES = {"head.npz", "config.json", "classes.txt", "SHA256SUMS", "README.md"}


@pytest.fixture(scope="module")
def original(frozen_run):
    return prediction.load_run(frozen_run)


@pytest.fixture(scope="module")
def loaded(squares_head, notop):
    return prediction.load_model(f"{squares_head}:{notop}")


def test_its_probabilities_are_the_runs(original, loaded, frozen_run, tiny_records, moving_square):
    model, config = original
    of_head, config_of_head = loaded
    clips = timing.stored_test_clips(frozen_run, tiny_records, config, 6)
    want, found = (np.asarray(one.predict_on_batch(clips)) for one in (model, of_head))
    assert want.shape == (6, 3) and np.ptp(want, 0).min() > 0.1
    np.testing.assert_allclose(found, want, atol=1e-3)
    want, _ = prediction.predict_video(model, config, moving_square)
    found, clip = prediction.predict_video(of_head, config_of_head, moving_square)
    np.testing.assert_allclose(found, want, atol=1e-3)
    assert clip["num_frames"] == 11


def test_its_figures_are_the_runs(loaded, frozen_run, tiny_records, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(frozen_run, copy)
    loaded[0].save(copy / run.BEST_FILE)
    found = evaluate.evaluate_run(copy, tiny_records).results
    want = result_files.read_results(frozen_run)
    for name in ("top1", "top5", "mean_class_accuracy", "macro_f1", "mean_roc_auc"):
        assert found[name] == pytest.approx(want[name], abs=1e-3), name
    for one in (found, want):
        one["error"] = one["calibration"]["expected_calibration_error"]
    assert found["error"] == pytest.approx(want["error"], abs=1e-3)
    assert found["network_sha256"] != want["network_sha256"]


def test_it_holds_what_follows_the_streams_in_half_precision(original, squares_head):
    model, _ = original
    assert {path.name for path in squares_head.iterdir()} == SIZES
    with np.load(squares_head / "head.npz") as file:
        arrays = dict(file)
    streams = sum(layer.count_params() for layer in model.layers if layer.name.endswith("_stream"))
    assert sum(array.size for array in arrays.values()) == model.count_params() - streams
    statistics = {name for name in arrays if name.rpartition("/")[2].startswith("moving_")}
    assert len(statistics) == 6  # of both maps and of the linear path
    single = {name for name, array in arrays.items() if array.dtype == np.float32}
    assert statistics <= single
    assert all(np.abs(arrays[name]).max() < 2**-14 for name in single - statistics)  # too small
    size = sum(path.stat().st_size for path in squares_head.iterdir())
    assert size < 2.1 * sum(array.size for array in arrays.values()) + 20_000


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0.0, 0.0], "float16"),
        ([65504.0, -1.0], "float16"),
        ([1e5, 1.0], "float32"),  # infinite in half precision
        ([2e-6, -1e-6], "float32"),  # below its precision
        ([np.nan, 1.0], "float32"),
    ],
)
def test_what_half_precision_does_not_hold_stays_single(values, dtype):
    stored = head._stored(keras.Variable(np.float32(values)))
    assert stored.dtype == dtype
    np.testing.assert_allclose(stored, np.float32(values), rtol=2**-11)


def test_nothing_of_it_names_a_folder_of_the_machine(squares_head, notop, frozen_run):
    config = json.loads((squares_head / "config.json").read_text())
    assert config["training"]["weights"] == "notop.h5"
    assert config["split_fingerprint"]["starting_weights"] == "notop.h5"
    for path in squares_head.iterdir():
        for folder in (notop.parent, frozen_run):
            assert str(folder).encode() not in path.read_bytes(), path


def test_the_card_has_the_figures_of_the_run(squares_head, frozen_run):
    results = result_files.read_results(frozen_run)
    card = (squares_head / "README.md").read_text()
    low, high = results["intervals"]["top1"]
    assert f"| {results['top1']:.3f} (95% interval {low:.3f} to {high:.3f}, bootstrap over" in card
    assert f"squares: {results['num_train']} videos for training and " in card
    assert "| protocol | group, fold 1;" in card and "--model=squares --video=FILE" in card
    assert all(name in card for name in results["per_class"])


def test_the_card_of_a_collection_has_its_terms(original, squares_head, frozen_run, tmp_path):
    model, config = original
    config = dataclasses.replace(config, name="ucf101 (3 of 101 classes, 24 of 13320 clips)")
    results = result_files.read_results(frozen_run)
    head.export_head(model, config, tmp_path / "new", results, {})
    assert "no licence: for research |" in (tmp_path / "new" / "README.md").read_text()


def test_other_weights_and_damage_are_one_line(squares_head, notop, tmp_path):
    other = tmp_path / "other.h5"
    shutil.copy(notop, other)
    with h5py.File(other, "a") as file:
        file["block5_conv3"]["block5_conv3_b_1:0"][7] += 1
    with pytest.raises(UserError, match=r"other\.h5 holds other weights than those that .*squares"):
        prediction.load_model(f"{squares_head}:{other}")
    with pytest.raises(UserError, match=r"absent\.h5 is missing"):
        prediction.load_model(f"{squares_head}:absent.h5")
    for name in SIZES - {"README.md", "SHA256SUMS"}:
        copy = tmp_path / name
        shutil.copytree(squares_head, copy)
        whole = bytearray((copy / name).read_bytes())
        whole[len(whole) // 2] ^= 1
        (copy / name).write_bytes(whole)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            prediction.load_model(f"{copy}:{notop}")


def test_variables_of_another_network_are_refused(squares_head, notop, tmp_path):
    shutil.copytree(squares_head, tmp_path / "old")
    np.savez(tmp_path / "old" / "head.npz", **{"fc9/kernel": np.zeros(3)})
    (tmp_path / "old" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"head\.npz has other variables"):
        prediction.load_model(f"{tmp_path / 'old'}:{notop}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": ""}, "training.weights is empty, not imagenet"),
        ({"weights": "run/best.keras"}, "training.weights is run/best.keras, not imagenet"),
        ({"frozen_blocks": (4,)}, r"training.frozen_blocks is \(4,\), not \(5,\)"),
        ({"temporal_conv1": "random"}, "training.temporal_conv1 is random, not cross_modality"),
    ],
)
def test_a_run_whose_streams_have_other_weights_is_refused(original, tmp_path, changed, message):
    model, config = original
    if not changed.get("weights", "x"):
        changed = {**changed, "temporal_conv1": "random"}
    training = dataclasses.replace(config.training, **changed)
    with pytest.raises(UserError, match=message) as refused:
        head.export_head(
            model, dataclasses.replace(config, training=training), tmp_path / "new", {}, {}
        )
    assert "\n" not in str(refused.value) and not (tmp_path / "new").exists()


def test_results_of_an_earlier_version_without_intervals_are_refused(original, tmp_path):
    with pytest.raises(UserError, match="results lack an interval: evaluate the run again"):
        head.export_head(*original, tmp_path / "new", {"top1": 0.5}, {})
    assert not (tmp_path / "new").exists()


def test_no_weight_is_drawn_that_a_file_replaces(squares_head, notop, monkeypatch):
    def draw(self, shape, dtype=None, **_):
        raise AssertionError(f"drew {shape}")

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", draw)
    prediction.load_model(f"{squares_head}:{notop}")


def test_a_folder_comes_before_a_network_that_ships(squares_head, tmp_path, monkeypatch):
    monkeypatch.setattr(head, "NETWORKS", squares_head.parent)
    monkeypatch.chdir(tmp_path)
    assert head.shipped() == ["squares"]
    assert head.find("squares") == (squares_head, "imagenet")
    assert head.find("squares:a.h5") == (squares_head, "a.h5")
    assert head.find(squares_head) == (squares_head, "imagenet")
    assert head.find("circles") is head.find("circles:a.h5") is head.find("../squares") is None
    with pytest.raises(UserError, match=r"circles does not exist; .* ships \(squares\)"):
        prediction.load_model("circles")
    shutil.copytree(squares_head, tmp_path / "squares")
    assert head.find("squares:a.h5") == (Path("squares"), "a.h5")
    shutil.copytree(squares_head, tmp_path / "a:b")
    assert head.find("a:b") == (Path("a:b"), "imagenet")
    shutil.rmtree(tmp_path / "squares")
    (tmp_path / "squares").mkdir()  # of whatever else
    assert head.find("squares") is None


def test_without_network_the_file_that_keras_keeps_is_taken(
    squares_head, notop, loaded, tmp_path, monkeypatch
):
    (tmp_path / "models").mkdir()
    shutil.copy(notop, tmp_path / "models")
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(weights, "_URL", "http://127.0.0.1:9/")  # where nobody listens
    md5 = hashlib.md5(notop.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "_NOTOP", (notop.name, md5))
    model, _ = prediction.load_model(squares_head)
    assert head.streams_norms(model) == head.streams_norms(loaded[0])


def test_without_network_the_line_names_address_file_and_place(squares_head, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/vgg16/"  # nobody listens any more
    monkeypatch.setattr(weights, "_URL", url)
    monkeypatch.setattr(weights, "_NOTOP", ("absent.h5", "0" * 32))
    with pytest.raises(UserError) as refused:
        prediction.load_model(squares_head)
    line = str(refused.value)
    place = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / "absent.h5"
    assert "\n" not in line and f"could not download {url}absent.h5 (" in line
    assert f"put it at {place}, or give its path" in line
    assert line.endswith("(--model=NAME:FILE.h5)")


def test_an_export_of_another_format_replaces_it_and_others_do_not(squares_head, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(squares_head, copy)
    with layout.writing(copy) as temporary:
        (temporary / layout.CONFIG_FILE).write_text("{}")
    assert [path.name for path in copy.iterdir()] == ["config.json"]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("Mine.")
    refused = pytest.raises(UserError, match="holds something else than an export")
    with refused, layout.writing(tmp_path / "docs"):
        pass


def _imagenet():
    """The file of VGG-16's ImageNet weights on this machine, or None."""
    places = [
        os.environ.get("STFNET_VGG16"),
        Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / weights._NOTOP[0],
        ROOT.parent / "shared" / "data" / "vgg16" / "vgg16_imagenet_notop.h5",
    ]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def test_the_files_of_the_networks_that_ship_are_whole():
    assert head.shipped()
    for name in head.shipped():
        layout.check_sums(head.NETWORKS / name, layout.HEAD_FILE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ucf101-13"])
def test_a_network_that_ships_classifies(name, moving_square, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name not in head.shipped():
        pytest.skip(f"stfnet/networks/{name} is not there")
    if not (file := _imagenet()):
        pytest.skip("no file of VGG-16's ImageNet weights: STFNET_VGG16 names one")
    folder = head.NETWORKS / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4e6
    assert f"| `{name}` |" in (ROOT / "docs" / "guide" / "start.md").read_text()
    assert "research" in (folder / "README.md").read_text()
    model, config = prediction.load_model(f"{name}:{file}")
    probabilities, _ = prediction.predict_video(model, config, moving_square)
    assert probabilities.shape == (13,) and probabilities.sum() == pytest.approx(1, abs=1e-5)
    real = ROOT.parent / "shared" / "data" / "clips" / "v_Basketball_g01_c01.avi"
    if real.is_file():
        probabilities, _ = prediction.predict_video(model, config, real)
        best = prediction.rank(probabilities, config.classes, 3)
        assert "Basketball" in {name for name, _ in best}
