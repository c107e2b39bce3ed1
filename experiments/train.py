r"""Trains STFNet on prepared records.

    python -m experiments.train --config=experiments/configs/paper.py \
        --records=RECORDS --workdir=RUN

The same command resumes a run that was stopped. Any setting of the configuration can be given on
the command line, such as --config.training.batch_size=4 or --config.model.streams=rgb. With
--config.model.streams=auto, cross-validation over the training videos chooses the streams first.
--folds=all trains one run for each official split of the data set, one after the other.
"""

import contextlib
import dataclasses
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program
from preprocessing.errors import UserError
from stfnet.config import STRATEGIES

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "Configuration file, one of experiments/configs.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, logs and the best model.")
flags.DEFINE_enum(
    "strategy",
    "auto",
    STRATEGIES,
    "Devices: one, all of this machine, or of all workers in TF_CONFIG or the Slurm step.",
)
flags.DEFINE_integer(
    "logical_cpus", 1, "Divides the CPU into so many devices, to rehearse mirrored.", lower_bound=1
)
flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "memory", "disk", "features"],
    "Reads the records once and keeps them in memory, or a copy of them in --cache_dir; or "
    "computes the maps of frozen blocks of the streams once and keeps them in --cache_dir.",
)
flags.DEFINE_string(
    "cache_dir",
    None,
    "Folder of --cache=disk, by default a temporary one, or of --cache=features, by default "
    "WORKDIR/features; runs can share it.",
)
flags.DEFINE_string(
    "folds",
    None,
    "Train a run for each of these official splits, in WORKDIR/fold-NAME: all (the numbered ones), "
    "or names and patterns such as 1,3 or group*.",
)
flags.mark_flags_as_required(["config", "records", "workdir"])


def check_flags():
    """Refuses flags that have no effect with the others, and folders that cannot be written."""
    if FLAGS.strategy != "mirrored":
        program.refuse_without_effect(["logical_cpus"], "without --strategy=mirrored")
    if FLAGS.cache not in ("disk", "features"):
        program.refuse_without_effect(["cache_dir"], "without --cache=disk or --cache=features")
    elif FLAGS.cache_dir:
        program.output_folder("cache_dir")
    program.output_folder("workdir")


def main(_):
    check_flags()
    program.start_tensorflow()
    from experiments.run_config import make_run_config, run_of_fold
    from preprocessing import records, splits
    from preprocessing.records import local_copy
    from stfnet import run
    from stfnet.clips import plans
    from stfnet.frame_features import stream_maps
    from stfnet.training import strategies

    # First of all: a cluster can only be joined before TensorFlow has done anything else.
    strategy = strategies.make_strategy(FLAGS.strategy, FLAGS.logical_cpus)
    record_set = records.load_record_set(FLAGS.records, classes=run.classes_of(FLAGS.workdir))
    config = make_run_config(FLAGS.config, record_set)
    strategies.check_run(strategy, config)
    plans.check_records(record_set, config)
    if FLAGS.cache == "features":
        stream_maps.check(config, strategies.num_workers(strategy))
    workdir = Path(FLAGS.workdir)
    if not FLAGS.folds:
        runs = {workdir: config}
    elif config.protocol != "official":
        raise UserError(
            f"--folds={FLAGS.folds} names official splits, and the protocol is {config.protocol}: "
            "give --config.protocol=official too"
        )
    elif config.fold != "1":
        raise UserError(
            f"--config.fold={config.fold} has no effect with --folds={FLAGS.folds}: leave one out"
        )
    else:
        runs = {
            run_of_fold(workdir, fold): dataclasses.replace(config, fold=fold)
            for fold in splits.chosen_folds(record_set.videos, FLAGS.folds)
        }
    with contextlib.ExitStack() as stack:
        if FLAGS.cache == "disk":
            copy = local_copy.copied_to_disk(record_set, FLAGS.cache_dir)
            record_set = stack.enter_context(copy)
        for folder, one in runs.items():
            if status := train_run(one, record_set, folder, strategy):
                return status
    return 0


def train_run(config, record_set, workdir, strategy):
    """Trains one run to its end; returns the exit status."""
    from experiments.run_config import chooses_streams
    from stfnet import run
    from stfnet.training import selection, strategies
    from stfnet.training.preemption import Preempted
    from stfnet.training.train import train

    maps_folder = Path(FLAGS.cache_dir or Path(FLAGS.workdir) / run.FEATURES_FOLDER)
    settings = {
        "record_set": record_set,
        "strategy": strategy,
        "cache_in_memory": FLAGS.cache == "memory",
        "features_folder": maps_folder if FLAGS.cache == "features" else None,
    }
    try:
        if chooses_streams(FLAGS.config):
            selection.check(config, strategies.num_workers(strategy))
            config = selection.choose_streams(
                config, record_set, workdir, settings["features_folder"]
            )
        progress = train(config, workdir=workdir, **settings)
    except Preempted as stop:
        print(stop, file=sys.stderr)
        return stop.status
    if not strategies.is_chief(strategy):
        return 0
    if best := progress.best:
        print(
            f"best: stage {best['stage']} epoch {best['epoch']}, validation accuracy "
            f"{best['val_accuracy']:.3f}"
            + (" (of videos trained on)" * config.training.train_on_validation)
            + f"; kept as {workdir / run.BEST_FILE}",
            flush=True,
        )
    return 0


cli = program.entry(main)
