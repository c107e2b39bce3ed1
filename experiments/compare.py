r"""Writes Tables 1 and 2 of the paper with our results, or trains and compares its baselines.

    python -m experiments.compare --results=RUN,RUN --output=DIR

--results names folders with a results.json: runs, folders of several folds, fused results. Without
--output the tables are only printed. With it they are written as comparison.md, and each table as
CSV, LaTeX and PNG. What was not run is a dash, with the command that would fill it.

    python -m experiments.compare --study=baselines --config=experiments/configs/synthetic.py \
        --records=RECORDS --seeds=3 --output=DIR

trains STFNet and its baselines, networks of other papers (docs/reference/baselines.md), on the same
records, parts, streams and epochs, each at the learning rate that is best on validation, and writes
DIR/baselines.md, .csv, .json and .png: top-1, paired difference from STFNet with its p corrected by
Holm, parameters, multiply-adds and clips a second. The runs are below DIR/runs. The same command
skips what is finished and resumes what was stopped.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("results", [], "Folders of evaluated runs, separated by commas.")
flags.DEFINE_string("output", None, "Folder for the tables; with --study, also of the runs.")
flags.DEFINE_enum(
    "study", None, ["baselines"], "Instead, train and compare STFNet and its baselines."
)
config_flags.DEFINE_config_file("config", None, "With --study: one of experiments/configs.")
flags.DEFINE_string("records", None, "With --study: folder of the prepared records.")
flags.DEFINE_integer("seeds", 3, "With --study: trainings of each network.", lower_bound=1)
flags.DEFINE_list(
    "baselines", [], "With --study: names of networks, separated by commas; all unless given."
)
flags.DEFINE_list(
    "rate_factors",
    ["0.3", "1", "3"],
    "With --study: factors of the configuration's learning rates that are tried on validation, and "
    "further ones beyond, where the best is the outermost. One alone is taken without a search.",
)
flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "memory", "features"],
    "With --study, as of experiments.train: keeps the records in memory, or the maps of frozen "
    "blocks of the streams in OUTPUT/features.",
)
OF_STUDY = ("config", "records", "seeds", "baselines", "rate_factors", "cache")


def check_flags():
    if not FLAGS.study:
        return program.refuse_without_effect(OF_STUDY, "without --study=baselines")
    program.refuse_without_effect(["results"], "with --study")
    for name in ("config", "records", "output"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing (--help lists the flags)")
    program.output_folder("output")


def main(_):
    check_flags()
    if FLAGS.study:
        program.start_tensorflow()
        return compare_baselines()
    folder = program.output_folder("output") if FLAGS.output else None
    program.start_tensorflow()
    from experiments.studies import paper_tables
    from stfnet.evaluation import table_formats

    results = [paper_tables.read_result(name) for name in FLAGS.results]
    if folder:
        paths = paper_tables.write(folder, results)
    for table in paper_tables.tables_of(results):
        print(table_formats.to_markdown(table))
    if folder:
        print(f"written: {', '.join(map(str, paths))}")
    return 0


def compare_baselines():
    from experiments.studies import baselines
    from experiments.studies.study_program import run_studies

    return run_studies(
        FLAGS.config,
        FLAGS.records,
        Path(FLAGS.output),
        lambda base: [baselines.make(base, FLAGS.baselines or baselines.NETWORKS)],
        FLAGS.seeds,
        FLAGS.cache,
        factors=baselines.rate_factors(FLAGS.rate_factors),
    )


cli = program.entry(main)
