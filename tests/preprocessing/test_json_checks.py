import json

import pytest

from preprocessing import json_checks


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (json_checks.whole, [0, 7, (1 << 63) - 1], [-1, 1.0, True, "1", None, 1 << 63]),
        (json_checks.number, [0, 0.5, 1e300], [-0.1, True, "1", None, "NaN", "Infinity"]),
        (json_checks.text, ["", "a"], [0, None, ["a"]]),
        (json_checks.digest, ["", "0123456789abcdef" * 4], ["beef", "A" * 64, "0" * 65, 0, None]),
        (json_checks.items, [[], [1, "a"]], ["", {}, None]),
        (json_checks.texts, [[], ["a", ""]], ["a", ["a", 1], {}, None]),
        (json_checks.texts_by_name, [{}, {"a": "b"}], [[], {"a": 1}, "a", None]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_check_takes_what_json_may_hold_and_names_what_is_needed(check, right, wrong):
    for value in right:
        assert check(json.loads(json.dumps(value))) is None
    for value in wrong:
        # NaN and infinity have no quotes in the JSON that Python writes.
        value = float(value) if value in ("NaN", "Infinity") else value
        assert check(json.loads(json.dumps(value))).startswith(("a ", "an ", "64 "))


def test_an_object_may_have_other_keys_and_names_the_first_that_is_wrong():
    check = json_checks.having(id=json_checks.text, size=json_checks.having(x=json_checks.whole))
    assert check({"id": "a", "size": {"x": 1, "y": None}, "more": 2}) is None
    assert check([]) == "an object"
    assert check({"id": "a"}) == "one whose 'size' is a value"
    assert check({"id": 1, "size": {"x": 1}}) == "one whose 'id' is a text"
    assert check({"id": "a", "size": {"x": -1}}) == (
        "one whose 'size' is one whose 'x' is a whole number of at least 0"
    )


def test_known_keys_pass_and_the_copy_is_another_object():
    values = {"name": "a", "sha256": ""}
    known = {"name": json_checks.text}, {"sha256": json_checks.digest}
    copy = json_checks.checked("it", values, *known)
    assert copy == values and copy is not values
    assert json_checks.checked("it", {"name": "a"}, *known) == {"name": "a"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1], r"^entry 3 is \[1\], needed is an object$"),
        ({}, "^entry 3 has no key 'name'$"),
        ({"name": "a", "colour": 1}, '^entry 3 has a key "colour" that this program does not know'),
        ({"name": 1}, "^entry 3 has 'name' = 1, needed is a text$"),
        ({"name": "a", "sha256": "b"}, "'sha256' = \"b\", needed is 64 hexadecimal digits"),
    ],
)
def test_the_first_wrong_key_is_named_with_its_value(values, message):
    known = {"name": json_checks.text}, {"sha256": json_checks.digest}
    with pytest.raises(ValueError, match=message):
        json_checks.checked("entry 3", values, *known)


def test_a_long_value_is_shortened():
    assert json_checks.shown({"a": None}) == '{"a": null}'
    assert json_checks.shown("x" * 58) == '"' + "x" * 58 + '"'
    assert json_checks.shown("x" * 500) == '"' + "x" * 56 + "..."
