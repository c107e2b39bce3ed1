r"""Writes Tables 1 and 2 of the paper with our results, or compares its rivals under equal terms.

    python -m experiments.compare --results=RUN,RUN --output=DIR

--results names folders with a results.json: runs, folders of several folds, fused results. Without
--output the tables are only printed. With it they are written as comparison.md, and each table as
CSV, LaTeX and PNG. What was not run is a dash, with the command that would fill it.

    python -m experiments.compare --study=rivals --config=experiments/configs/synthetic.py \
        --records=RECORDS --seeds=3 --output=DIR

trains STFNet and its rivals (docs/rivals.md) on the same records, parts, streams and epochs, each
at the learning rate that is best on validation, and writes DIR/rivals.md, .csv, .json and .png:
top-1, paired difference from STFNet with its p corrected by Holm, parameters, multiply-adds and
clips a second. The runs are below DIR/runs. The same command skips what is finished and resumes
what was stopped.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("results", [], "Folders of evaluated runs, separated by commas.")
flags.DEFINE_string("output", None, "Folder for the tables; with --study, also of the runs.")
flags.DEFINE_enum("study", None, ["rivals"], "Instead, train and compare STFNet and its rivals.")
config_flags.DEFINE_config_file("config", None, "With --study: one of experiments/configs.")
flags.DEFINE_string("records", None, "With --study: folder of the prepared records.")
flags.DEFINE_integer("seeds", 3, "With --study: trainings of each network.", lower_bound=1)
flags.DEFINE_list(
    "rivals", [], "With --study: names of rivals, separated by commas; all unless given."
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
OF_STUDY = ("config", "records", "seeds", "rivals", "rate_factors", "cache")


def check_flags():
    if not FLAGS.study:
        return program.refuse_without_effect(OF_STUDY, "without --study=rivals")
    program.refuse_without_effect(["results"], "with --study")
    for name in ("config", "records", "output"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing (--help lists the flags)")
    program.output_folder("output")


def rate_factors():
    """The numbers of --rate_factors."""
    try:
        factors = [float(text) for text in FLAGS.rate_factors]
    except ValueError:
        factors = []
    if not factors or not all(0 < factor < 1e9 for factor in factors):
        raise UserError(
            f"--rate_factors={','.join(FLAGS.rate_factors)} are not numbers above 0: give such as "
            "0.3,1,3"
        )
    return factors


def main(_):
    check_flags()
    if FLAGS.study:
        return compare_rivals(rate_factors())
    folder = program.output_folder("output") if FLAGS.output else None
    program.start_tensorflow()
    from experiments import comparison
    from stfnet.evaluation import tables

    results = [comparison.read_result(name) for name in FLAGS.results]
    if folder:
        paths = comparison.write(folder, results)
    for table in comparison.tables_of(results):
        print(tables.to_markdown(table))
    if folder:
        print(f"written: {', '.join(map(str, paths))}")
    return 0


def compare_rivals(factors):
    program.start_tensorflow()
    from experiments.ablation import runs
    from experiments.rivals import study as rivals
    from experiments.rivals import tables
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
            "the configuration chooses its streams, and rivals are compared with both: give "
            "--config.model.streams=both"
        )
    base = make_run_config(FLAGS.config, record_set)
    plans.check_records(record_set, base)
    study = rivals.make(base, FLAGS.rivals or rivals.NETWORKS)
    rivals.check(study, base, factors, FLAGS.cache)
    strategy = strategies.make_strategy()
    output = Path(FLAGS.output)
    settings = {"strategy": strategy, "cache_in_memory": FLAGS.cache == "memory"}
    if FLAGS.cache == "features":
        settings["features_folder"] = output / run.FEATURES_FOLDER
    with runs.writing(output, base, record_set):
        try:
            trained, times = rivals.run_study(
                study, base, factors, FLAGS.seeds, record_set, output, **settings
            )
        except Preempted as stop:
            print(stop, file=sys.stderr)
            return stop.status
        table, paths = tables.write(output, study, trained, times, record_set)
    print(f"\n{to_markdown(table)}\nwritten: {', '.join(map(str, paths))}\n", flush=True)
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
