import shutil

import keras
import numpy as np
import pytest

from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner
from stfnet import build_stfnet, run
from stfnet.config import ClipConfig
from stfnet.evaluation import evaluate, result_files
from stfnet.inference import prediction

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


def test_a_run_comes_back_and_classifies(tiny_run, moving_square):
    model, config = prediction.load_run(tiny_run)
    assert config.model.clip == CLIP
    probabilities, clip = prediction.predict_video(model, config, moving_square)
    expected = np.asarray(model({"rgb": clip["rgb"][None], "flow": clip["flow"][None]}))[0]
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    ranking = prediction.rank(probabilities, config.classes, 2)
    assert ranking[0] == (config.classes[expected.argmax()], pytest.approx(expected.max()))
    assert len(ranking) == 2


def test_damaged_weights_are_found_before_any_video(tiny_run):
    model, config = prediction.load_run(tiny_run)
    prediction.warm_up(model, config)
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(UserError, match="its weights are damaged"):
        prediction.warm_up(model, config)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_predictions_are_those_of_the_evaluation(image_format, write_squares, make_run, tmp_path):
    """Every test video of a run, read from its file and from its record."""
    write_squares(tmp_path / "videos", range(1, 9))
    catalogue = class_folders.load(tmp_path / "videos")
    settings = conversion.Settings(image_size=32, image_format=image_format, jpeg_quality=50)
    runner = local_runner(workers=2, time_limit=60)
    prepare.prepare(catalogue, tmp_path / "records", settings, runner)
    record_set = records.load_record_set(tmp_path / "records")
    folder = make_run("small_data", record_set, map_norm=True)
    evaluate.evaluate_run(folder, record_set)

    rows = result_files.read_predictions(folder)
    network, config = prediction.load_run(folder)
    paths = {one.id: one.path for one in catalogue.videos}
    assert len(rows) >= 3
    for row in rows:
        found, _ = prediction.predict_video(network, config, paths[row["video"]])
        written = [float(row[f"p:{name}"]) for name in config.classes]
        np.testing.assert_allclose(found, written, atol=1e-5)


def _drawn():
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(4)
    layer.build((None, 4))
    return layer.kernel.numpy().ravel().tolist()


def test_weights_are_those_of_the_file_and_later_layers_are_drawn_as_ever(tiny_run):
    before = _drawn()
    model, _ = prediction.load_run(tiny_run)
    expected = keras.saving.load_model(tiny_run / run.BEST_FILE).get_weights()
    for weights, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weights, value)
    assert _drawn() == before != [0] * 16


def test_no_weight_is_drawn_that_the_file_replaces(tiny_run, monkeypatch):
    def draw(self, shape, dtype=None, **_):
        raise AssertionError(f"drew {shape}")

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", draw)
    prediction.load_run(tiny_run)
    with pytest.raises(AssertionError, match="drew"):
        keras.saving.load_model(tiny_run / run.BEST_FILE)


def test_folders_that_are_no_run_are_refused(tmp_path, tiny_run):
    with pytest.raises(UserError, match="nowhere does not exist"):
        prediction.load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        prediction.load_run(tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    whole = (folder / "best.keras").read_bytes()
    (folder / "best.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"best\.keras does not load"):
        prediction.load_run(folder)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (folder / "best.keras").write_bytes(damaged)
    with pytest.raises(UserError, match=r"checksum of model\.weights\.h5 is wrong"):
        prediction.load_run(folder)
    (folder / "best.keras").unlink()
    with pytest.raises(UserError, match=r"best\.keras is missing"):
        prediction.load_run(folder)


@pytest.mark.parametrize(("policy", "eagerly"), [("float32", True), ("mixed_bfloat16", False)])
def test_one_clip_is_computed_without_a_graph_where_both_agree(tiny_run, policy, eagerly):
    _, config = prediction.load_run(tiny_run)
    keras.config.set_dtype_policy(policy)
    try:
        model = build_stfnet(config.model)
    finally:
        keras.config.set_dtype_policy("float32")
    rng, size = np.random.default_rng(0), (3, 32, 32)
    clip = {"rgb": (*size, 3), "flow": (*size, 8)}
    clip = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in clip.items()}
    prediction.for_one_clip(model)
    assert model.run_eagerly == eagerly
    expected = np.asarray(model({name: array[None] for name, array in clip.items()}))[0]
    tolerance = 1e-5 if eagerly else 2e-2
    np.testing.assert_allclose(prediction.predict_clip(model, clip), expected, atol=tolerance)
