"""Checkpoints: kept whole, found damaged, their arrays named by the variables' paths."""

import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet
from stfnet.config import TrainingConfig
from stfnet.run import checkpoints
from stfnet.training.schedule import make_optimizer


def _save(folder, step):
    checkpoints.save(folder, step, {"a": np.full((3, 2), step, np.float32)}, {"step": step})


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    assert checkpoints.load_latest(tmp_path) is None
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


SMALL = ModelConfig(
    3,
    ClipConfig(num_frames=2, flow_length=2, image_size=16),
    width_divisor=64,
    fc6_units=4,
    lstm_units=4,
    lstm_statistics="batch",
)


def _make(seed=0, **training):
    """A network and its built optimiser, every variable at a random value."""
    keras.utils.set_random_seed(seed)
    model = build_stfnet(SMALL)
    optimizer = make_optimizer(TrainingConfig(**training), 1e-3)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    for variable in [*model.variables, *optimizer.variables]:
        drawn = rng.integers(1, 1000, variable.shape)
        variable.assign(drawn.astype(keras.backend.standardize_dtype(variable.dtype)))
    return model, optimizer


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"optimizer": "sgd", "ema": 0.5},
        {"optimizer": "adamw", "ema": 0.5, "precision": "mixed_float16"},
    ],
)
def test_names_are_the_same_whatever_was_made_before_in_the_process(training):
    """Keras numbers what it makes, `adam_1`, and a process that resumes has made other things."""
    first, second = _make(1, **training), _make(2, **training)
    paths = [[v.path for v in optimizer.variables] for _, optimizer in (first, second)]
    assert paths[0] != paths[1]  # so they could not be the names
    names = list(checkpoints.named_variables(*first))
    assert names == list(checkpoints.named_variables(*second))
    assert len(set(names)) == len(names) == len(first[0].variables) + len(first[1].variables)
    assert "model/rgb_stream/block1_conv1/kernel" in names
    assert "model/lstm_conv/cell/gate_normalization/moving_mean" in names
    optimizer = {"sgd": "sgd", "adamw": "adam_w"}.get(training.get("optimizer"), "adam")
    assert f"optimizer/{optimizer}/rgb_stream_block1_conv1_kernel_momentum" in names
    # One for each dropout layer, which have no names of their own.
    generators = [name for name in names if "seed_generator" in name]
    assert generators == [
        f"model/seed_generator/seed_generator_state{suffix}" for suffix in ("", "#1", "#2", "#3")
    ]


@pytest.mark.parametrize("positional", [False, True])
def test_values_come_back_in_another_network(positional):
    saved, loaded = _make(1, ema=0.5), _make(2, ema=0.5)
    arrays = checkpoints.to_arrays(*saved)
    if positional:  # as checkpoints of earlier versions are
        everything = [*saved[0].variables, *saved[1].variables]
        arrays = {f"{k:04d}": variable.value.numpy() for k, variable in enumerate(everything)}
    checkpoints.assign(arrays, *loaded)
    for ours, theirs in zip(saved, loaded, strict=True):
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one.value.numpy(), other.value.numpy())


def test_an_array_is_found_by_its_name_and_not_by_its_place():
    saved, loaded = _make(1), _make(2)
    arrays = checkpoints.to_arrays(*saved)
    checkpoints.assign(dict(reversed(arrays.items())), *loaded)
    np.testing.assert_array_equal(
        loaded[0].get_layer("logits").kernel, arrays["model/logits/kernel"]
    )


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_assigned():
    saved, loaded = _make(1), _make(2)
    arrays = checkpoints.to_arrays(*saved)
    before = checkpoints.to_arrays(*loaded)
    del arrays["model/fusion/kernel"]
    with pytest.raises(UserError, match=r"no array model/fusion/kernel \(1 are missing"):
        checkpoints.assign(arrays, *loaded)
    after = checkpoints.to_arrays(*loaded)
    assert all((after[name] == before[name]).all() for name in before)
