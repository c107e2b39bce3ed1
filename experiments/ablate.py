r"""Ablation: trains and evaluates a network for each value of a setting, over several seeds.

    python -m experiments.ablate --list
    python -m experiments.ablate --config=experiments/configs/synthetic.py --records=RECORDS \
        --study=streams --study=branches --seeds=3 --output=DIR

Every other setting is the configuration's. Writes for each study DIR/STUDY.md (means, intervals
over seeds, paired intervals of the difference from the paper's value over test groups), STUDY.csv
(every run), STUDY.json and STUDY.png; the runs are below DIR/runs. The same command skips what is
finished and resumes what was stopped; more studies and seeds share the runs that are there.

The table is a report and no means of choosing: its figures are of the test part. Choose a setting
by the column `validation`, and then report its test figure once.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program
from experiments.ablation import studies
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "Configuration file, one of experiments/configs.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("output", None, "Folder of the ablation: tables, pictures and runs.")
flags.DEFINE_multi_enum(
    "study",
    [],
    [*studies.STUDIES, studies.ALL],
    "Study to run, given once or several times; all: every one that fits the configuration.",
)
flags.DEFINE_integer("seeds", 3, "Trainings of each value.", lower_bound=1)
flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "memory", "features"],
    "As of experiments.train: keeps the records in memory, or the maps of frozen blocks of the "
    "streams in --cache_dir.",
)
flags.DEFINE_string(
    "cache_dir",
    None,
    "Folder of --cache=features, by default OUTPUT/features; experiments.train can share it.",
)
flags.DEFINE_bool("list", False, "Instead, print the studies: values and what the paper says.")


def check_flags():
    if FLAGS.list:
        names = ("config", "records", "output", "study", "seeds", "cache", "cache_dir")
        return program.refuse_without_effect(names, "with --list")
    for name in ("config", "records", "output", "study"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing (--help lists the flags, --list the studies)")
    if FLAGS.cache != "features":
        program.refuse_without_effect(["cache_dir"], "without --cache=features")
    elif FLAGS.cache_dir:
        program.output_folder("cache_dir")
    program.output_folder("output")


def main(_):
    check_flags()
    if FLAGS.list:
        print(studies.described())
        return 0
    program.start_tensorflow()
    from experiments.ablation import runs, tables
    from experiments.run_config import chooses_streams, make_run_config
    from preprocessing import records
    from stfnet import run
    from stfnet.clips import plans
    from stfnet.evaluation.tables import to_markdown
    from stfnet.training import strategies
    from stfnet.training.preemption import Preempted

    record_set = records.load_record_set(FLAGS.records)
    if chooses_streams(FLAGS.config):
        raise UserError(
            "the configuration chooses its streams, and an ablation compares fixed settings: give "
            "--config.model.streams=both, rgb or flow"
        )
    base = make_run_config(FLAGS.config, record_set)
    plans.check_records(record_set, base)
    chosen, left_out = studies.chosen(FLAGS.study, base)
    for variants in chosen.values():
        for variant in variants.values():
            plans.check_records(record_set, variant.config)
        runs.check(variants, FLAGS.cache)
    for line in left_out:
        print(line, flush=True)
    strategy = strategies.make_strategy()  # after `check`: it would wait for other workers
    output = Path(FLAGS.output)
    maps_folder = Path(FLAGS.cache_dir or output / run.FEATURES_FOLDER)
    with runs.writing(output, base, record_set):
        for name, variants in chosen.items():
            try:
                outcomes = runs.run_study(
                    variants,
                    FLAGS.seeds,
                    record_set,
                    output,
                    strategy=strategy,
                    cache_in_memory=FLAGS.cache == "memory",
                    features_folder=maps_folder if FLAGS.cache == "features" else None,
                )
            except Preempted as stop:
                print(stop, file=sys.stderr)
                return stop.status
            table, paths = tables.write(output, studies.STUDIES[name], outcomes, record_set)
            print(f"\n{to_markdown(table)}\nwritten: {', '.join(map(str, paths))}\n", flush=True)
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
