import json

import cv2
import numpy as np
import pytest
from helpers import read_csv

from preprocessing.errors import UserError
from stfnet import ClipConfig, sampling
from stfnet.explanation import explain, pictures
from stfnet.inference import prediction
from stfnet.inference.clip import read_clip
from stfnet.networks.model import in_float32


@pytest.fixture(scope="module")
def explained(tiny_run, moving_square):
    model, config = explain.load_network(tiny_run)
    return model, config, *explain.explain_video(model, config, moving_square)


def test_the_answer_that_is_explained_is_the_one_that_is_predicted(explained, moving_square):
    model, config, explanation, clip = explained
    probabilities, clip_inputs = prediction.predict_video(model, config, moving_square)
    np.testing.assert_allclose(explanation.probabilities, probabilities, atol=1e-5)
    assert explanation.target == probabilities.argmax()
    np.testing.assert_array_equal(clip.frames, clip_inputs["rgb"])
    assert clip.numbers == (0, 3, 6) and clip.num_frames == 11 and clip.fps == 20
    assert clip.aspect == pytest.approx(64 / 48)
    assert clip.fields.shape == clip.frames.shape


def test_every_file_can_be_read(explained, moving_square, tmp_path):
    _, _, explanation, clip = explained
    about = {"video": "square.mp4"}
    written = explain.write_explanation(
        tmp_path / "new" / "output", moving_square, explanation, clip, about
    )
    assert sorted(path.name for path in written) == sorted(
        path.name for path in (tmp_path / "new" / "output").iterdir()
    )
    by_name = {path.name: path for path in written}
    drawn = {
        "explanation.png": pictures.draw_clip(explanation, clip),
        "feature_maps.png": pictures.draw_feature_maps(explanation, clip),
    }
    for name, picture in drawn.items():
        shown = cv2.cvtColor(cv2.imread(str(by_name[name])), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(shown, picture)
    film = cv2.VideoCapture(str(by_name["explanation.mp4"]))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 11
    rows = read_csv(by_name["frame_importance.csv"])
    assert [row["frame_number"] for row in rows] == ["0", "3", "6"]
    assert [float(row["seconds"]) for row in rows] == [0, 0.15, 0.3]
    for branch, importance in explanation.importance.items():
        for measure in ("left_out", "gradient"):
            values = [float(row[f"{branch}_{measure}"]) for row in rows]
            np.testing.assert_allclose(values, getattr(importance, measure), rtol=1e-6)
    summary = json.loads(by_name["explanation.json"].read_text())
    assert summary["video"] == "square.mp4"
    assert summary["class"] == max(summary["probabilities"], key=summary["probabilities"].get)
    assert [list(map(str, row.values())) for row in summary["frames"]] == [
        list(row.values()) for row in rows
    ]


@pytest.mark.parametrize("streams", ["rgb", "flow"])
def test_frames_are_shown_to_the_reader_of_a_network_that_sees_only_flow(
    make_run, moving_square, streams
):
    clip = ClipConfig(num_frames=2, flow_length=3, image_size=16, resize="crop")
    model, config = explain.load_network(make_run(clip=clip, streams=streams))
    explanation, shown = explain.explain_video(model, config, moving_square, target=1)
    clip_inputs = read_clip(moving_square, clip, "both")
    np.testing.assert_array_equal(shown.frames, clip_inputs["rgb"])
    assert explanation.target == 1 and list(explanation.feature_maps) == [streams]
    assert shown.aspect == 1 and not shown.whole
    assert (shown.fields is None) == (streams == "rgb")
    if shown.fields is not None:
        colored = explain.color_fields(clip_inputs, clip)
        stacks = sampling.flow_indices(np.array([0, 5]), 11, 3)
        assert 5 in stacks[1] and 0 in stacks[0]
        np.testing.assert_array_equal(shown.fields, [colored[0], colored[5]])


def test_half_precision_is_left_when_a_network_is_loaded(half_network):
    model, _ = explain.load_network(half_network)
    assert in_float32(model) is model  # no explanation copies it


def test_a_class_is_found_by_its_name(explained):
    config = explained[1]
    assert explain.class_position(config, None) is None
    assert explain.class_position(config, "Jump") == 1
    with pytest.raises(UserError, match="no class 'Run'; it has Bow, Jump, Wave"):
        explain.class_position(config, "Run")


def test_an_export_is_refused_with_what_to_name_instead(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"is an export, .* name the folder of the run"):
        explain.load_network(tmp_path)
    (tmp_path / "saved_model.pb").rename(tmp_path / "network.onnx")
    with pytest.raises(UserError, match=r"is an export, .* name the folder of the run"):
        explain.load_network(tmp_path)


def test_a_head_is_explained(squares_head, notop, moving_square):
    model, config = explain.load_network(f"{squares_head}:{notop}")
    explanation, _ = explain.explain_video(model, config, moving_square)
    probabilities, _ = prediction.predict_video(model, config, moving_square)
    np.testing.assert_allclose(explanation.probabilities, probabilities, atol=1e-5)
