"""Settings of clips: what they refuse."""

import pytest

from preprocessing.errors import UserError
from stfnet.config import ClipConfig

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipConfig(num_frames=0), "clip.num_frames=0"),
        (lambda: ClipConfig(short_video="wrap"), "'pad_last', 'loop', 'error'"),
        (lambda: ClipConfig(flow_bound=NAN), "clip.flow_bound=nan"),
        (lambda: ClipConfig(image_size=10**9), "clip.image_size=1000000000"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)
