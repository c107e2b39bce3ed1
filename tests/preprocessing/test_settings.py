"""Settings beside their ranges."""

import dataclasses

import pytest

from preprocessing.errors import UserError
from preprocessing.settings import check, setting


@dataclasses.dataclass(frozen=True)
class Oven:
    trays: int = setting(2, "[1, 4]")
    heat: float = setting(0.5, "(0, 1)")
    mode: str = setting("air", ("air", "grill"))
    label: str = ""
    light: bool = True
    times: tuple[float, ...] = setting((1.0, 2.0), "[0, 60]")

    def __post_init__(self):
        check(self, "oven.")


@pytest.mark.parametrize(
    "fine",
    [
        {"trays": 1},
        {"trays": 4},
        {"heat": 0.999},
        {"mode": "grill"},
        {"times": ()},
        {"times": (60,)},
    ],
)
def test_a_value_of_the_range_is_taken(fine):
    assert Oven(**fine)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trays": 0}, "oven.trays=0 is not a whole number in [1, 4]"),
        ({"trays": 2.0}, "oven.trays=2.0 is not a whole number in [1, 4]"),
        ({"trays": True}, "oven.trays=True is not a whole number in [1, 4]"),
        ({"trays": None}, "oven.trays=None is not a whole number in [1, 4]"),
        ({"trays": "2"}, "oven.trays='2' is not a whole number in [1, 4]"),
        ({"trays": 10**400}, f"oven.trays={10**400} is not a whole number in [1, 4]"),
        ({"heat": 0}, "oven.heat=0 is not a number in (0, 1)"),
        ({"heat": 1.0}, "oven.heat=1.0 is not a number in (0, 1)"),
        ({"heat": float("nan")}, "oven.heat=nan is not a number in (0, 1)"),
        ({"heat": float("inf")}, "oven.heat=inf is not a number in (0, 1)"),
        ({"mode": "steam"}, "oven.mode='steam' is not one of 'air', 'grill'"),
        ({"mode": None}, "oven.mode=None is not one of 'air', 'grill'"),
        ({"mode": ["air"]}, "oven.mode=['air'] is not one of 'air', 'grill'"),
        ({"label": None}, "oven.label=None is not text"),
        ({"light": 1}, "oven.light=1 is not True or False"),
        ({"times": 5.0}, "oven.times=5.0 is not a tuple such as (1.0, 2.0)"),
        ({"times": (1.0, -1.0)}, "oven.times=(1.0, -1.0): -1.0 is not a number in [0, 60]"),
        ({"times": ((1.0,),)}, "oven.times=((1.0,),): (1.0,) is not a number in [0, 60]"),
    ],
)
def test_any_other_is_named_with_what_is_needed(wrong, message):
    with pytest.raises(UserError) as refusal:
        Oven(**wrong)
    assert str(refusal.value) == message
