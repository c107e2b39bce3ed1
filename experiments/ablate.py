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

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program
from experiments.studies import ablation
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "Configuration file, one of experiments/configs.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("output", None, "Folder of the ablation: tables, pictures and runs.")
flags.DEFINE_multi_enum(
    "study",
    [],
    [*ablation.STUDIES, ablation.ALL],
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
        print(ablation.described())
        return 0
    program.start_tensorflow()
    from experiments.studies.study_program import run_studies

    return run_studies(
        FLAGS.config,
        FLAGS.records,
        Path(FLAGS.output),
        lambda base: ablation.chosen(FLAGS.study, base),
        FLAGS.seeds,
        FLAGS.cache,
        maps_folder=Path(FLAGS.cache_dir) if FLAGS.cache_dir else None,
    )


cli = program.entry(main)
