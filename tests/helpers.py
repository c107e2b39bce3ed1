"""What tests of several rooms call."""

import csv
import dataclasses
import time


def wait_until(condition, seconds=60, pause=0.05):
    """Asks a function again and again until its answer is true; returns the answer."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(pause)
    return answer


def read_csv(path):
    """The rows of a CSV file as dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_config(model, record_set=None, training=None, **changes):
    """The configuration of a run on three classes, those of a record set if it is given.

    Further arguments are settings of training, in place of those of `training`.
    """
    from stfnet.config import TrainingConfig
    from stfnet.run.config import RunConfig

    classes = record_set.classes if record_set else ("Left", "Right", "Still")
    training = dataclasses.replace(training or TrainingConfig(), **changes)
    return RunConfig(record_set.name if record_set else "squares", classes, model, training)


def small_network(network="stfnet", **changes):
    """The configuration of a network that is built in a second, on 3 frames of 32 x 32."""
    from stfnet import ClipConfig, networks

    settings = {
        "num_classes": 5,
        "clip": ClipConfig(num_frames=3, flow_length=2, image_size=32),
        "lstm_units": 6,
        "fc6_units": 7,
        "width_divisor": 32,
    }
    return networks.read({**networks.switched(settings, network), **changes})
