"""What programs do with a run does not depend on its network: predict, export, explain."""

import dataclasses

import numpy as np
import pytest

from stfnet import ClipConfig, run
from stfnet.explanation import explain
from stfnet.export import saved_model
from stfnet.inference import prediction

# 48 pixels: more than one cell behind the last pooling, which soft attention chooses from.
CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=48)


@pytest.mark.parametrize(
    "network", [pytest.param("two_stream", marks=pytest.mark.slow), "soft_attention", "c3d"]
)
def test_a_run_predicts_and_its_export_agrees(make_run, moving_square, tmp_path, network):
    # Where there is flow, of 16 pixels, so that its solver has one scale to be traced.
    clip = dataclasses.replace(CLIP, image_size=16) if network == "two_stream" else CLIP
    workdir = make_run(network=network, rgb_input="unit", clip=clip)
    model, config = prediction.load_run(workdir)
    assert config.model.network == network
    probabilities, clip = prediction.predict_video(model, config, moving_square)
    assert probabilities.shape == (3,) and probabilities.sum() == pytest.approx(1, rel=1e-5)
    fingerprint = run.read_videos(workdir).fingerprint()
    saved_model.export_saved_model(model, config, tmp_path / "export", fingerprint=fingerprint)
    exported, of_export = prediction.load_model(tmp_path / "export")
    assert of_export == config
    np.testing.assert_allclose(prediction.predict_clip(exported, clip), probabilities, atol=1e-5)


def test_a_run_is_explained_with_pictures(make_run, moving_square, tmp_path):
    workdir = make_run(network="tsn", streams="rgb", rgb_input="unit", clip=CLIP)
    model, config = explain.load_network(workdir)
    explanation, shown = explain.explain_video(model, config, moving_square)
    paths = explain.write_explanation(tmp_path, moving_square, explanation, shown, {})
    assert all(path.stat().st_size > 100 for path in paths)
    rows = explain.frame_rows(explanation, shown)
    assert len(rows) == 3 and {"maps_left_out", "maps_gradient"} < set(rows[0])
