"""What a network's file says of the records and clips that it learned from."""

import dataclasses

import pytest

from preprocessing.errors import UserError
from stfnet.config import LearnedConfig, RecordsConfig, from_dict, to_dict


def test_the_records_say_how_other_videos_are_read(tiny_records):
    made = {**tiny_records.flow, "method": "keras", "quality": "reference"}
    found = RecordsConfig.of(dataclasses.replace(tiny_records, flow=made))
    lengths = sorted(video.num_frames for video in tiny_records.videos)
    middle = lengths[len(lengths) // 2]
    assert found == RecordsConfig("jpeg", 95, middle, "keras", "reference")


def test_it_survives_json():
    learned = LearnedConfig(("Bow", "Jump"), RecordsConfig("png", flow_quality="reference"), (1, 4))
    assert from_dict(LearnedConfig, to_dict(learned)) == learned


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": ("Bow", 3)}, "learned.classes"),
        ({"classes": ("Bow",), "tau_range": (0, 3)}, "learned.tau_range"),
        ({"classes": ("Bow",), "records": {"flow_quality": "best"}}, "records.flow_quality='best'"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        from_dict(LearnedConfig, values)
