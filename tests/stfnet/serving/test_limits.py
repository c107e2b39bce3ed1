import pytest

from preprocessing.errors import UserError
from stfnet.serving.limits import Limits, RefusedError


def test_a_megabyte_is_a_million_bytes():
    assert Limits(max_megabytes=3).max_bytes == 3_000_000


def test_a_refusal_has_a_status_and_a_line():
    with pytest.raises(UserError, match="too many") as caught:
        raise RefusedError(503, "too many")
    assert caught.value.status == 503
