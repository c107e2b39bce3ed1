"""Which devices train: one, all of this machine, or those of several machines."""

import contextlib
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import run
from stfnet.clips.plans import ClipPlan
from stfnet.config import STRATEGIES
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig, check_together
from stfnet.training.schedule import Progress

BATCHES_ON_DEVICE = 2  # that wait there for a step
FIRST_PORT = 8888  # of a Slurm step; STFNET_PORT names another

# What a collective operation of TensorFlow raises when a peer is gone.
_LOST_WORKER = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


def make_strategy(name: str = "auto", logical_cpus: int = 1) -> tf.distribute.Strategy:
    """Makes the tf.distribute strategy of a run; call it before any other TensorFlow operation.

    `one` is the first GPU, else the CPU; `mirrored` all GPUs of this machine, else all its logical
    CPUs, into which the CPU can be divided to rehearse; `multi_worker` all workers that
    `TF_CONFIG`, or without it the Slurm step, names. `auto` takes `multi_worker` where there are
    two workers or more, `mirrored` where this machine has two GPUs or more, `one` otherwise.

    Raises:
        UserError: `multi_worker` without a cluster, or one whose description is not valid.
    """
    if name not in STRATEGIES:
        raise UserError(f"--strategy={name} is not one of {', '.join(STRATEGIES)}")
    if logical_cpus > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration() for _ in range(logical_cpus)],
        )
    if name == "auto":
        name = "multi_worker" if named_workers() > 1 else "mirrored" if _gpus() > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        kind = "GPU" if _gpus() else "CPU"
        names = [device.name for device in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy([name.removeprefix("/device:") for name in names])
    resolver = _resolver()
    print(f"waiting for the {named_workers()} workers of the cluster", flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def check_run(strategy: tf.distribute.Strategy, config: RunConfig) -> None:
    """Checks a run's configuration against the devices that train it.

    Raises:
        UserError: the batch cannot be divided among the devices, or XLA cannot compile for them.
    """
    devices, training = strategy.num_replicas_in_sync, config.training
    check_together(config.model, training, devices)
    if devices > 1 and training.jit_compile:
        # XLA's step would need every replica's variables, and cannot hold those of other devices.
        raise UserError(
            f"training.jit_compile=True trains on one device only, and there are {devices}: set "
            "jit_compile=False or --strategy=one"
        )


def named_workers() -> int:
    """Workers that the environment names: `TF_CONFIG`'s, else the Slurm step's, else 1.

    Raises:
        UserError: what names them is not valid.
    """
    if "TF_CONFIG" in os.environ:
        return sum(len(tasks) for tasks in _cluster_of_tf_config().values())
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if not (tasks.isdecimal() and int(tasks)):
        raise UserError(
            f"SLURM_STEP_NUM_TASKS={tasks} is not a number of tasks: start them with srun, or "
            "unset it"
        )
    return int(tasks)


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    resolver = getattr(strategy, "cluster_resolver", None)
    return len(_addresses(resolver)) if resolver else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files of the run.

    It does if it trains alone or is the cluster's `chief`; in a cluster without one, worker 0 does.
    """
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return not resolver.task_id


def total(strategy: tf.distribute.Strategy, value: float) -> float:
    """Sum of a number over all devices; it waits until every worker has called it."""
    if strategy.num_replicas_in_sync == 1:
        return value
    return float(_adder(strategy)(tf.constant(value)))


@functools.lru_cache(maxsize=1)  # traced once, and not at every call
def _adder(strategy):
    @tf.function(autograph=False)
    def add(value):
        values = strategy.run(tf.identity, args=(value,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    return add


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Waits until every worker has called it."""
    total(strategy, 0.0)


def all_agree(strategy: tf.distribute.Strategy, text: str) -> bool:
    """Whether all workers call it with the same text; every worker gets the same answer."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:2])  # sums stay exact
    differs = total(strategy, float(number)) != number * strategy.num_replicas_in_sync
    return not total(strategy, float(differs))


def must_agree(strategy: tf.distribute.Strategy, value: object, otherwise: str) -> None:
    """Ends the run, on every worker, where their values differ: `the workers {otherwise}`."""
    if not all_agree(strategy, repr(value)):
        raise UserError(f"the workers {otherwise}")


def check_shared_folder(
    strategy: tf.distribute.Strategy, workdir: Path, videos: run.RunVideos, record_set: RecordSet
) -> None:
    """Ends the run, on every worker, where one does not see the files that the chief has written by
    now, and its records.

    Raises:
        UserError: a worker has another folder, older checkpoints or other records.
    """
    wait_for_all(strategy)  # the chief has written them
    missing = not is_chief(strategy) and not run.holds(workdir, videos)
    if total(strategy, float(missing)):
        raise UserError(
            f"the workers do not share {workdir}: every worker needs the chief's folder "
            "under this name (shared storage), and the same records"
        )
    newest = [path.name for path in checkpoints.existing(workdir / run.CHECKPOINTS_FOLDER)]
    must_agree(strategy, newest, f"do not share {workdir}: their checkpoints differ")
    # The run's own list of videos is not enough: records may have changed since it started.
    recorded = [(v.id, v.label, v.num_frames, v.source_sha256) for v in record_set.videos]
    must_agree(strategy, recorded, f"do not have the same records as {record_set.folder}")


def batches(
    strategy: tf.distribute.Strategy,
    plan: ClipPlan,
    size: int,
    read: Callable[[ClipPlan, int], tf.data.Dataset],
) -> Iterable:
    """This worker's clips of a plan, as one batch a replica; each worker iterates over as many.

    `size` is the clips a batch over all replicas, and `read` a function of a part of the plan and
    the clips a batch of its dataset. Batches are copied to a GPU while it computes.
    """
    if not len(plan):
        return ()

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers, worker = context.num_input_pipelines, context.input_pipeline_id
        rows = np.arange(len(plan)).reshape(-1, workers, size // workers)[:, worker].ravel()
        return read(plan[rows], size // strategy.num_replicas_in_sync)

    dataset = strategy.distribute_datasets_from_function(make)
    if isinstance(dataset, tf.data.Dataset) and _gpus():  # of one device: all others do it
        dataset = copied_ahead(dataset, "/GPU:0")
    # Not to the end of the iterator, at which several workers would have to agree.
    return itertools.islice(dataset, len(plan) // size)


def copied_ahead(dataset: tf.data.Dataset, device: str) -> tf.data.Dataset:
    """The same batches, copied to a device before they are asked for."""
    return dataset.apply(tf.data.experimental.prefetch_to_device(device, BATCHES_ON_DEVICE))


@contextlib.contextmanager
def naming_lost_workers(strategy: tf.distribute.Strategy, progress: Progress) -> Iterator[None]:
    """Turns what TensorFlow raises in the block when a worker is gone into one line."""
    try:
        yield
    except _LOST_WORKER as error:
        if num_workers(strategy) == 1:
            raise
        raise UserError(
            f"a worker was lost at step {progress.step}: look for the reason in its output, start "
            "all workers again with the same command, and the run resumes from its last "
            f"checkpoint ({str(error).splitlines()[0]})"
        ) from error


def _addresses(resolver):
    return [place for tasks in resolver.cluster_spec().as_dict().values() for place in tasks]


def _gpus():
    return len(tf.config.list_physical_devices("GPU"))


def _cluster_of_tf_config():
    """The cluster in TF_CONFIG, job -> addresses, with every part of TF_CONFIG checked."""
    text = os.environ["TF_CONFIG"]
    try:
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        places = [place for tasks in cluster.values() for place in tasks]
        readable = all(isinstance(tasks, list) for tasks in cluster.values())
        readable &= all(isinstance(place, str) for place in (kind, *places))
        readable &= type(index) is int and len(places) > 0
    except (ValueError, KeyError, TypeError, AttributeError):
        readable = False
    if not readable:
        raise UserError(
            'TF_CONFIG cannot be read: it must be JSON like {"cluster": {"worker": ["host1:2222", '
            f'"host2:2222"]}}, "task": {{"type": "worker", "index": 0}}}}, not {text}'
        )
    other_jobs = sorted(set(cluster) - {"chief", "worker"})
    if other_jobs:
        raise UserError(
            f"TF_CONFIG: a cluster of chief and workers is needed, without {other_jobs[0]!r}"
        )
    if len(cluster.get("chief", "c")) != 1:
        raise UserError(f"TF_CONFIG: a cluster has one chief, or none is named: {text}")
    if not 0 <= index < len(cluster.get(kind, ())):
        raise UserError(f"TF_CONFIG: its task is not one of its own cluster: {text}")
    for place in places:
        host, _, port = place.rpartition(":")
        if not (host and "/" not in host and _is_port(port)):
            raise UserError(
                f"TF_CONFIG: {place!r} is not the address of a worker: give host:port, such as "
                "host1:2222"
            )
        if places.count(place) > 1:
            raise UserError(f"TF_CONFIG: {place} is named twice: each worker needs its own port")
    return cluster


def _is_port(text):
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536


def _resolver():
    if "TF_CONFIG" in os.environ:
        _cluster_of_tf_config()
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    port = os.environ.get("STFNET_PORT", str(FIRST_PORT))
    if not _is_port(port):
        raise UserError(f"STFNET_PORT={port} is not a port: give a whole number from 1 to 65535")
    try:
        # Used for the addresses only: which GPUs a task has is Slurm's own choice.
        slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=int(port),
            gpus_per_node=named_workers(),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        cluster = slurm.cluster_spec()
        if slurm.task_id is None:
            raise ValueError(f"SLURM_PROCID={os.environ['SLURM_PROCID']} is no task of the step")
    except (RuntimeError, ValueError) as error:
        raise UserError(
            "--strategy=multi_worker needs workers: set TF_CONFIG on each, or start them with "
            f"srun ({error})"
        ) from error
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=slurm.task_type,
        task_id=slurm.task_id,
        num_accelerators={"GPU": _gpus()},
        rpc_layer="grpc",
    )
