"""Runs that an earlier version trained: `tests/data/old_runs/`, and what they answered there."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from stfnet import run
from stfnet.inference import prediction

OLD = Path(__file__).parents[2] / "data" / "old_runs"
NAMES = sorted(path.parent.name for path in OLD.glob("*/config.json"))


@pytest.fixture(scope="module")
def answers():
    with np.load(OLD / "answers.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_loads_and_answers_as_it_did(answers, tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(OLD / name, folder)
    model, config = prediction.load_run(folder)
    clips = {stream: answers[stream] for stream in model.input}
    np.testing.assert_allclose(model(clips), answers[f"answer_{name}"], atol=1e-5)
    assert model.config == config.model
    loaded = keras.saving.load_model(folder / run.BEST_FILE)
    np.testing.assert_allclose(loaded(clips), answers[f"answer_{name}"], atol=1e-5)
