"""What an evaluation prints."""

import types
from pathlib import Path

import numpy as np

from stfnet.evaluation import breakdown, metrics, printing
from stfnet.evaluation.clips_per_video import ONE_CLIP, Views

PROBABILITIES = np.array([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]], np.float32)
LABELS = np.array([0, 1, 1])


def _results(views=ONE_CLIP, **more):
    videos = [types.SimpleNamespace(id=f"clip{k}", group=f"g{k}") for k in range(3)]
    return {
        "dataset": "tiny",
        "protocol": "group",
        "fold": "1",
        "split": "test",
        "num_test": 3,
        "num_classes": 2,
        "top1": 2 / 3,
        "top5": 1.0,
        "mean_class_accuracy": 0.75,
        "chance": 0.5,
        "majority": 1 / 3,
        "leak": 0.0,
        "views": views.to_json(),
        **breakdown.breakdown(PROBABILITIES, LABELS, ("Bow", "Wave"), videos),
        **more,
    }


def test_the_figures_are_printed_with_interval_and_mistakes():
    lines = printing.evaluation(_results(), [Path("run/results.json")])
    text = "\n".join(lines)
    assert "tiny, protocol group, fold 1, test part: 3 videos of 2 classes" in text
    macro = metrics.macro_f1(np.array([[1, 0], [1, 1]]))
    headline = "top-1 0.667   top-2 1.000 (all classes)   mean class accuracy 0.750   macro F1"
    assert f"{headline} {macro:.3f}" in text
    assert "95% intervals (bootstrap over 3 videos): top-1 0.000 to 1.000" in text
    assert "rough: few groups" in text
    assert "confused: Wave for Bow 1 times, the reverse 0 times" in text
    assert "wrong: clip1 is Wave (0.400), predicted Bow (0.600)" in text
    assert lines[-1] == "written: run/results.json"
    assert "mirror" not in text and "clips a video" not in text
    assert not any("\n" in line for line in lines)


def test_a_leak_that_cannot_be_known_is_called_unknown():
    assert any(
        line.endswith("with a sibling in training: 0.0 %") for line in printing.summary(_results())
    )
    lines = printing.summary(_results(ungrouped=3))
    assert any(
        line.endswith("in training: unknown: every video is its own group") for line in lines
    )
    some = printing.leak(_results(ungrouped=1, leak=1 / 3))
    assert some == "33.3 % or more: 1 of 3 test videos are of no known group"


def test_top_5_is_of_five_classes_where_there_are_more():
    assert any(
        "top-5 0.500   mean" in x for x in printing.summary(_results(num_classes=6, top5=0.5))
    )
    assert any("top-5 1.000 (all classes)" in x for x in printing.summary(_results(num_classes=5)))


def test_a_class_that_was_never_trained_is_named():
    assert not any("no training video" in line for line in printing.summary(_results()))
    lines = printing.summary(_results(untrained_classes=["Wave"]))
    assert "  no training video, so the network cannot know it: Wave" in lines


def test_classes_are_in_order_of_their_accuracy():
    rows = [line.split() for line in printing.per_class(_results())]
    assert [row[0] for row in rows] == ["class", "Wave", "Bow"]
    assert rows[1][1:] == ["2", "0.500", "0.667", "1.000", "1.000"]


def test_mirrors_are_warned_of():
    text = "\n".join(printing.summary(_results(Views(4, True))))
    assert "mean over 4 clips a video and their mirror images" in text
    assert "warning: a mirror turns an action with a side into another one; no pairs" in text
    text = "\n".join(printing.summary(_results(Views(1, True, (("Bow", "Wave"),)))))
    assert "only these count as pairs: Bow and Wave" in text
    assert "warning" not in "\n".join(printing.summary(_results(Views(4))))


def test_what_was_fused_is_named():
    fused = [{"run": "a", "weight": 1.5, "top1": 0.5}]
    assert "  fused: a, weight 1.5, top-1 0.500" in printing.summary(_results(fused=fused))


def test_times_are_printed_with_the_device():
    figures = {"videos": 5, "num_frames": 17, "flow_length": 4, "image_size": 224}
    figures |= {"device": "a card", "with_flow_stored": 0.77, "with_flow_computed": None}
    lines = printing.timing(figures)
    assert "T = 17, L = 4, 224 pixels; a card" in lines[0]
    assert lines[1:] == ["  flow made beforehand 0.770 s"]
    assert printing.timing({**figures, "with_flow_computed": 2.0})[2].split()[-2:] == ["2.000", "s"]


def test_the_mean_of_folds_is_one_line():
    mean = {
        "folds": {"1": {}, "2": {}},
        "top1": 0.5,
        "top1_deviation": 0.1,
        "top5": 0.75,
        "num_classes": 9,
    }
    line = printing.mean_of_folds({**mean, "mean_class_accuracy": 0.25})
    assert line.startswith("mean of 2 folds: top-1 0.500 (standard deviation 0.100)")
