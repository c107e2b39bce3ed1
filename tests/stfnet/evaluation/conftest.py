"""The folder of a run after an evaluation."""

import shutil

import numpy as np
import pytest

from stfnet import run
from stfnet.config import ClipConfig, ModelConfig, RunConfig, TrainingConfig
from stfnet.evaluation import plots, result_files
from stfnet.evaluation.details import details


@pytest.fixture(scope="session")
def make_evaluated(tiny_records):
    """Function of a folder and records that leaves a run there as an evaluation does.

    Every video of the test part is taken for a move to the right, the later the surer.
    """

    def make(folder, record_set=tiny_records):
        model = ModelConfig(3, ClipConfig(num_frames=3, flow_length=4, image_size=32), lstm_units=7)
        config = RunConfig("squares", record_set.classes, model, TrainingConfig())
        videos = run.draw_videos(record_set, config)
        with run.writing(folder, config, videos):
            pass
        positions = run.locate(videos, record_set).test
        tested = [record_set.videos[k] for k in positions]
        labels = np.array([video.label for video in tested])
        right = tiny_records.classes.index("Right")
        probabilities = np.zeros((len(tested), 3), np.float32)
        probabilities[:, right] = np.linspace(0.5, 0.9, len(tested))
        probabilities[:, (right + 1) % 3] = 0.9 * (1 - probabilities[:, right])
        probabilities[:, (right + 2) % 3] = 0.1 * (1 - probabilities[:, right])
        confusion = np.zeros((3, 3), int)
        np.add.at(confusion, (labels, right), 1)
        results = {
            **{"dataset": "squares", "protocol": "group", "fold": "1", "split": "test"},
            **{"streams": "both", "top1": 1 / 3, "top5": 1.0, "mean_class_accuracy": 1 / 3},
            **{"chance": 1 / 3, "majority": 0.25, "leak": 0.0, "num_classes": 3},
            **{"num_test": len(tested), "num_train": len(videos.train)},
            "validated_on": "groups held back from training",
            "certificate": videos.certificate(),
            **{"unseen": ["v_new"], "lost": [], "changed": []},
            "per_class": {name: float(k == right) for k, name in enumerate(record_set.classes)},
            "confusion": confusion.tolist(),
            **details(probabilities, labels, record_set.classes, tested),
        }
        result_files.write(folder, results, probabilities, positions, record_set)
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        history = [dict.fromkeys(names, 1 / k) | {"stage": 1} for k in (1, 2, 3)]
        plots.draw_curves(history, folder / run.CURVES_FILE)
        return folder

    return make


@pytest.fixture(scope="session")
def _evaluated(make_evaluated, tmp_path_factory):
    return make_evaluated(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture
def evaluated(_evaluated, tmp_path):
    """Folder of a run as `make_evaluated` leaves it."""
    return shutil.copytree(_evaluated, tmp_path / "run")
