"""Checkpoints: kept whole, found damaged."""

import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet.run import checkpoints


def _save(folder, step):
    checkpoints.save(folder, step, {"a": np.full((3, 2), step, np.float32)}, {"step": step})


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    for step in (1, 5, 12):
        _save(tmp_path, step)
    arrays, state = checkpoints.load_latest(tmp_path)
    assert state == {"step": 12}
    np.testing.assert_array_equal(arrays["a"], np.full((3, 2), 12))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-000000005.npz",
        "checkpoint-000000012.npz",
    ]


def test_all_but_the_newest_go_where_one_is_wanted(tmp_path):
    for step in (1, 5):
        _save(tmp_path, step)
    checkpoints.keep_newest(tmp_path, 1)
    assert [path.name for path in checkpoints.existing(tmp_path)] == ["checkpoint-000000005.npz"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "header", "method"])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, damage, caplog):
    _save(tmp_path, 1)
    _save(tmp_path, 2)
    path = tmp_path / "checkpoint-000000002.npz"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        position = content.index(np.float32(2).tobytes())
        content[position] ^= 0x10
    elif damage == "header":  # of an array, to one that is read sooner
        content = content.replace(b"(3, 2)", b"(1, 2)")
    elif damage == "method":  # of compression, to one that there is not
        content[content.index(b"PK\x01\x02") + 10] = 99
    else:
        content = b""
    path.write_bytes(content)
    _, state = checkpoints.load_latest(tmp_path)
    assert state == {"step": 1}
    assert "is damaged" in caplog.text


def test_only_checkpoints_go_with_the_next_one(tmp_path):
    for name in ("checkpoint-best.npz", "checkpoint-1.npz", "my-checkpoint-000000000.npz"):
        (tmp_path / name).touch()
    theirs = set(tmp_path.iterdir())
    for step in (1, 2, 3):
        _save(tmp_path, step)
    assert theirs < set(tmp_path.iterdir()) and len(checkpoints.existing(tmp_path)) == 2


def test_nothing_but_damaged_ones_is_an_error(tmp_path):
    _save(tmp_path, 1)
    (tmp_path / "checkpoint-000000001.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="all 1 checkpoints are damaged"):
        checkpoints.load_latest(tmp_path)


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints.load_latest(tmp_path) is None


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    _save(tmp_path, 1)
    path = tmp_path / "checkpoint-000000002.npz"
    path.symlink_to(path)  # for anybody, also for root
    for read in (
        lambda: checkpoints.check_members(path),
        lambda: checkpoints.load_latest(tmp_path),
        lambda: checkpoints.latest_state(tmp_path),
    ):
        with pytest.raises(UserError, match=r"002\.npz cannot be read \(Too many levels of symb"):
            read()
