r"""Trains STFNet on prepared records.

    python -m experiments.train --config=experiments/configs/ucf101.py \
        --records=RECORDS --workdir=RUN

The same command goes on with a run that was stopped. Any setting of the configuration can be given
on the command line, such as --config.training.batch_size=4 or --config.model.streams=rgb.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "Configuration file, one of experiments/configs.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, logs and the best model.")
flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one", "mirrored", "multi_worker"],
    "Devices: one, all of this machine, or of all workers in TF_CONFIG or the Slurm step.",
)
flags.DEFINE_integer(
    "logical_cpus", 1, "Divides the CPU in so many devices, to rehearse mirrored.", lower_bound=1
)
flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "memory", "disk"],
    "Reads the records once and keeps them in memory, or copied in --cache_dir.",
)
flags.DEFINE_string("cache_dir", None, "Folder of --cache=disk, by default a temporary one.")
flags.mark_flags_as_required(["config", "records", "workdir"])


def check_flags():
    """Refuses flags that have no effect beside the others, and a place that cannot be written."""
    if FLAGS.strategy != "mirrored":
        program.refuse_without_effect(["logical_cpus"], "without --strategy=mirrored")
    if FLAGS.cache != "disk":
        program.refuse_without_effect(["cache_dir"], "without --cache=disk")
    elif FLAGS.cache_dir:
        program.output_folder("cache_dir")
    program.output_folder("workdir")


def main(_):
    check_flags()
    from experiments.run_config import make_run_config
    from preprocessing import records
    from stfnet import cache, evaluation, input_pipeline, strategies, training
    from stfnet.config import open_run
    from stfnet.tensorboard import TensorBoard

    # First of all: a cluster can only be joined before TensorFlow has done anything else.
    strategy = strategies.make_strategy(FLAGS.strategy, FLAGS.logical_cpus)
    chief = strategies.is_chief(strategy)
    metadata = records.load_metadata(FLAGS.records)
    config = make_run_config(FLAGS.config, metadata)
    strategies.check_run(strategy, config)
    input_pipeline.check_records(metadata, config)
    if FLAGS.cache == "disk":
        metadata = cache.copy_to_disk(metadata, FLAGS.cache_dir)
    open_run(config, FLAGS.workdir, chief)
    workdir = Path(FLAGS.workdir)
    trainer = training.Trainer(
        config,
        metadata,
        workdir,
        strategy,
        callbacks=[TensorBoard(workdir / "tensorboard", metadata, config)],
        hold=FLAGS.cache == "memory",
    )
    if chief:
        counts = {name: len(part) for name, part in trainer.parts.items()}
        print(
            f"{config.name}: {counts['train']} training, {counts['val']} validation and "
            f"{counts['test']} test videos of {len(config.classes)} classes (protocol "
            f"{config.protocol}); {trainer.model.count_params():,} parameters; "
            f"{strategy.num_replicas_in_sync} device(s)",
            flush=True,
        )
    try:
        progress = trainer.train()
    except training.Preempted as stop:
        print(stop, file=sys.stderr)
        return training.PREEMPTED
    if not chief:
        return 0
    evaluation.draw_curves(progress.history, workdir / "curves.png")
    best = progress.best
    print(
        f"best: stage {best['stage']} epoch {best['epoch']}, validation accuracy "
        f"{best['val_accuracy']:.3f}; kept as {workdir / 'best.keras'}"
    )
    return 0


def cli():
    program.start_tensorflow()  # the configuration files need it
    program.run(main)


if __name__ == "__main__":
    cli()
