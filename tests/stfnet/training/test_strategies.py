"""What the environment says of the workers (whole clusters: experiments/test_train_distributed)."""

import hashlib
import json
import subprocess
import types
from pathlib import Path

import pytest
import tensorflow as tf

from preprocessing.errors import UserError
from stfnet.config import TrainingConfig
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig
from stfnet.training import strategies
from stfnet.training.schedule import Progress

TWO = {"worker": ["a:1", "b:1"]}


def _tf_config(cluster, task, message):
    """TF_CONFIG of a cluster and of a (type, index), with what is said of it."""
    kind, index = task
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}), message


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_cluster_one_device_trains():
    strategy = strategies.make_strategy("auto")
    assert strategy.num_replicas_in_sync == 1
    assert strategies.named_workers() == 1
    assert strategies.num_workers(strategy) == 1
    assert strategies.is_chief(strategy)


@pytest.mark.parametrize(
    ("cluster", "chief"),
    [
        ({"chief": ["c:1"], "worker": ["a:1", "b:1"]}, ("chief", 0)),
        ({"worker": ["a:1", "b:1"]}, ("worker", 0)),
    ],
)
def test_a_cluster_has_one_chief(cluster, chief):
    class Strategy:  # what is_chief reads of one; a real one would wait for the others
        pass

    chiefs = []
    for kind, tasks in cluster.items():
        for index in range(len(tasks)):
            Strategy.cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec(cluster), task_type=kind, task_id=index
            )
            assert strategies.num_workers(Strategy) == sum(map(len, cluster.values()))
            if strategies.is_chief(Strategy):
                chiefs.append((kind, index))
    assert chiefs == [chief]


def test_mirrored_takes_every_logical_device():
    strategy = strategies.make_strategy("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU"))


def test_workers_are_counted_from_tf_config_or_the_slurm_step(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    assert strategies.named_workers() == 3
    task = {"type": "worker", "index": 1}
    cluster = {"chief": ["c:1"], **TWO}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert strategies.named_workers() == 3
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO, "task": task}))
    assert strategies.named_workers() == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG cannot be read"),
        ("[]", "TF_CONFIG cannot be read"),
        ('{"cluster": {}}', "TF_CONFIG cannot be read"),
        _tf_config({}, ("worker", 0), "TF_CONFIG cannot be read"),
        _tf_config([], ("worker", 0), "TF_CONFIG cannot be read"),
        _tf_config({"worker": "a:1"}, ("worker", 0), "TF_CONFIG cannot be read"),
        _tf_config({"worker": {"0": "a:1"}}, ("worker", 0), "TF_CONFIG cannot be read"),
        _tf_config({"worker": [1, 2]}, ("worker", 0), "TF_CONFIG cannot be read"),
        _tf_config(TWO, ("worker", "0"), "TF_CONFIG cannot be read"),
        _tf_config(TWO, ("worker", True), "TF_CONFIG cannot be read"),
        _tf_config(TWO, (["worker"], 0), "TF_CONFIG cannot be read"),
        _tf_config(TWO, ("worker", -1), "not one of its own"),
        _tf_config(TWO, ("evaluator", 0), "not one of its own"),
        _tf_config({"worker": []} | {"chief": ["c:1"]}, ("worker", 0), "not one of its own"),
        _tf_config({"chief": ["c:1", "d:1"], **TWO}, ("chief", 0), "has one chief"),
        _tf_config({"worker": ["a", "b:1"]}, ("worker", 0), "'a' is not the address of a worker"),
        _tf_config({"worker": ["a:x", "b:1"]}, ("worker", 0), "'a:x' is not the address"),
        _tf_config({"worker": ["a:0", "b:1"]}, ("worker", 0), "'a:0' is not the address"),
        _tf_config({"worker": [":1", "b:1"]}, ("worker", 0), "':1' is not the address"),
        _tf_config({"worker": ["http://a:1"]}, ("worker", 0), "'http://a:1' is not the address"),
        _tf_config({"worker": ["a:1", "a:1"]}, ("worker", 0), "a:1 is named twice"),
        (
            json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 2}}),
            "not one of its own",
        ),
        _tf_config({"ps": ["p:1"]}, ("ps", 0), "without 'ps'"),
    ],
)
def test_a_tf_config_that_does_not_read_is_named(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message):
        strategies.make_strategy("multi_worker")


STEP = {
    "SLURM_PROCID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SLURM_STEP_NUM_TASKS", "two", "SLURM_STEP_NUM_TASKS=two is not a number of tasks"),
        ("SLURM_STEP_NUM_TASKS", "", "SLURM_STEP_NUM_TASKS= is not a number of tasks"),
        ("SLURM_STEP_NUM_TASKS", "0", "SLURM_STEP_NUM_TASKS=0 is not a number of tasks"),
        ("SLURM_STEP_NUM_TASKS", "3", "Requested 3 tasks but only 2"),
        ("SLURM_PROCID", "x", "needs workers: .*invalid literal for int"),
        ("SLURM_PROCID", "2", "SLURM_PROCID=2 is no task of the step"),
        ("SLURM_PROCID", "-1", "SLURM_PROCID=-1 is no task of the step"),
        ("SLURM_STEP_NODELIST", "node[1-", "Invalid hostlist format"),
        ("SLURM_STEP_NODELIST", "", "needs workers"),
        ("SLURM_STEP_TASKS_PER_NODE", "many", "Invalid tasks-per-node list"),
        ("SLURM_STEP_TASKS_PER_NODE", None, "SLURM_STEP_TASKS_PER_NODE not found"),
    ],
)
def test_a_slurm_step_that_does_not_read_is_named(monkeypatch, name, value, message):
    for other, usual in STEP.items():
        monkeypatch.setenv(other, usual)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        strategies.make_strategy("multi_worker")


@pytest.mark.parametrize("number", ["x", "", "-1", "01", "1.5"])
def test_the_launcher_names_a_number_that_is_none(number):
    launcher = Path(strategies.__file__).parents[2] / "experiments" / "launch" / "workers.sh"
    command = ["bash", launcher, number, "a:1,b:1", "config.py", "records", "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    line = f"error: NUMBER {number} is not a whole number: give this machine's place among a:1,b:1"
    assert (done.returncode, done.stderr) == (1, f"{line}, from 0\n")


@pytest.mark.parametrize("port", ["http", "", "0", "70000"])
def test_a_port_that_is_none_is_named(monkeypatch, port):
    monkeypatch.setenv("STFNET_PORT", port)
    with pytest.raises(UserError, match=f"STFNET_PORT={port} is not a port"):
        strategies.make_strategy("multi_worker")


def test_workers_without_a_cluster_are_refused():
    with pytest.raises(UserError, match="needs workers: set TF_CONFIG"):
        strategies.make_strategy("multi_worker")


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({}, {"batch_size": 4, "jit_compile": True}, "jit_compile=True trains on one device only"),
        ({}, {"batch_size": 3}, "cannot be shared by 2 device"),
        ({"lstm_statistics": "batch"}, {"batch_size": 2}, "needs two clips or more"),
    ],
)
def test_settings_that_two_devices_cannot_train_are_refused(model, training, message):
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    config = RunConfig("tiny", ("a",), ModelConfig(1, **model), TrainingConfig(**training))
    with pytest.raises(UserError, match=message):
        strategies.check_run(two, config)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UserError, match="--strategy=tpu is not one of auto, one"):
        strategies.make_strategy("tpu")


def test_workers_agree_where_all_say_the_same(monkeypatch):
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    for other, agreed in (("same", True), ("another", False)):
        theirs = float(int.from_bytes(hashlib.sha256(other.encode()).digest()[:2]))
        sums = iter([theirs, 0.0])
        monkeypatch.setattr(strategies, "total", lambda _, value, sums=sums: value + next(sums))
        assert strategies.all_agree(two, "same") == agreed
    sums = iter([float(int.from_bytes(hashlib.sha256(b"same").digest()[:2])), 1.0])
    monkeypatch.setattr(strategies, "total", lambda _, value: value + next(sums))
    assert not strategies.all_agree(two, "same")  # a third one's doubt reaches all


def test_a_lost_worker_is_one_line_where_there_are_several():
    cluster = tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec(TWO))
    two = types.SimpleNamespace(cluster_resolver=cluster)
    lost = tf.errors.UnavailableError(None, None, "Connection reset by peer\nAdditional GRPC error")
    progress = Progress()
    with (
        pytest.raises(UserError, match=r"lost at step 7: .* \(Connection reset by peer\)$"),
        strategies.naming_lost_workers(two, progress),
    ):
        progress.step = 7
        raise lost
    with (
        pytest.raises(tf.errors.UnavailableError),
        strategies.naming_lost_workers(tf.distribute.get_strategy(), progress),
    ):
        raise lost


def test_a_folder_and_records_that_one_process_has_are_shared(monkeypatch, tmp_path):
    one = tf.distribute.get_strategy()
    record_set = types.SimpleNamespace(videos=(), folder="records")
    strategies.check_shared_folder(one, tmp_path, None, record_set)
    monkeypatch.setattr(strategies, "all_agree", lambda strategy, text: False)
    with pytest.raises(UserError, match=r"do not share .*: their checkpoints differ"):
        strategies.check_shared_folder(one, tmp_path, None, record_set)
    monkeypatch.setattr(strategies, "all_agree", lambda strategy, text: "checkpoint" not in text)
    strategies.check_shared_folder(one, tmp_path, None, record_set)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-000000001.npz").touch()
    with pytest.raises(UserError, match="do not share"):
        strategies.check_shared_folder(one, tmp_path, None, record_set)


def test_batches_copied_ahead_are_the_same_in_the_same_order():
    dataset = tf.data.Dataset.from_tensor_slices({"a": tf.range(7), "b": tf.range(7.0)}).batch(2)
    copied = strategies.copied_ahead(dataset, "/CPU:0")
    assert [batch["a"].numpy().tolist() for batch in copied] == [[0, 1], [2, 3], [4, 5], [6]]
    assert [batch["b"].numpy().tolist() for batch in copied] == [[0, 1], [2, 3], [4, 5], [6]]
    assert all(batch["a"].device.endswith("CPU:0") for batch in copied)
