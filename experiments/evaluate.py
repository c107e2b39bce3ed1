"""Evaluates a trained run on videos that it has not seen, and compares it with the paper.

    python -m experiments.evaluate --workdir=RUN --records=RECORDS
    python -m experiments.evaluate --workdir=RUN --records=RECORDS --folds=all

Evaluates the test part that was drawn when the run started, and writes results.json,
predictions.csv and confusion.png into the run's folder (with the name of another part or protocol
in the file names). --split=unseen evaluates videos that the records have gained since. With --folds
it evaluates the runs of `experiments.train --folds` and writes their mean to WORKDIR/results.json.
"""

from pathlib import Path

from absl import flags

from experiments import program
from preprocessing import splits
from preprocessing.captions import one_line
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_enum(
    "protocol",
    None,
    splits.PROTOCOLS,
    "Test on the test part of another protocol, if the run was trained on none of it.",
)
flags.DEFINE_string("fold", None, "Test on another official split, likewise.")
flags.DEFINE_string(
    "folds", None, "Evaluate the run of each of these official splits, as in experiments.train."
)
flags.DEFINE_enum(
    "split",
    "test",
    ["train", "val", "test", "unseen"],
    "Which part of the run to evaluate; unseen: the videos that the run does not know.",
)
flags.DEFINE_bool(
    "nearest_neighbour",
    False,
    "Also give the top-1 of taking the class of the most similar scene (reads all frames).",
)
flags.DEFINE_bool(
    "baselines", False, "--nearest_neighbour, and a linear model on VGG-16's features of the clips."
)
flags.DEFINE_string(
    "baseline_weights",
    None,
    "VGG-16's for that linear model: an .h5 file or imagenet; by default those of the run's start.",
)
flags.mark_flags_as_required(["workdir", "records"])


def main(_):
    if not FLAGS.baselines:
        program.refuse_without_effect(["baseline_weights"], "without --baselines")
    program.start_tensorflow()
    from experiments import paper
    from experiments.run_config import folders_of_folds
    from preprocessing import files, records
    from stfnet.evaluation import metrics, result_files

    record_set = records.load_record_set(FLAGS.records)
    workdir = Path(FLAGS.workdir)
    if not FLAGS.folds:
        print(paper.comparison(evaluate(workdir, record_set)), end="")
        return 0
    if FLAGS.protocol or FLAGS.fold:
        raise UserError("--folds names the splits: leave --protocol and --fold out")
    folders = folders_of_folds(workdir, splits.chosen_folds(record_set.videos, FLAGS.folds))
    results = {fold: evaluate(folder, record_set) for fold, folder in folders.items()}
    mean = metrics.average_folds(results)
    suffix = result_files.suffix_of(next(iter(results.values())))
    path = result_files.paths_in(workdir, suffix).results
    files.write_json(path, mean)
    print(
        f"mean of {len(folders)} folds: top-1 {mean['top1']:.3f} (standard deviation "
        f"{mean['top1_deviation']:.3f})   top-5 {mean['top5']:.3f}   mean class accuracy "
        f"{mean['mean_class_accuracy']:.3f}"
    )
    print(paper.comparison(mean), end="")
    print(f"written: {path}")
    return 0


def evaluate(workdir, record_set):
    """Evaluates one run, prints its results, and returns them."""
    from stfnet.evaluation import evaluate as evaluation
    from stfnet.evaluation import linear_model

    done = evaluation.evaluate_run(
        workdir,
        record_set,
        FLAGS.split,
        FLAGS.protocol,
        FLAGS.fold,
        FLAGS.nearest_neighbour or FLAGS.baselines,
        FLAGS.baselines,
        FLAGS.baseline_weights,
    )
    results = done.results
    if not results["finished"]:
        print(f"{workdir} is still being trained, or was stopped: its best network so far")
    for note in done.notes:
        print(note)
    print(
        f"{results['dataset']}, protocol {results['protocol']}, fold {results['fold']}, "
        f"{results['split']} part: {results['num_test']} videos of {results['num_classes']} classes"
        f"\n  top-1 {results['top1']:.3f}   top-5 {results['top5']:.3f}   mean class accuracy "
        f"{results['mean_class_accuracy']:.3f}\n"
        f"  chance {results['chance']:.3f}   majority class {results['majority']:.3f}   of these "
        f"clips with a sibling in training {results['leak']:.1%}"
    )
    if "nearest_neighbour" in results:
        print(f"  nearest neighbour on the median frame {results['nearest_neighbour']:.3f}")
    if "linear_model" in results:
        print(f"  {linear_model.summary(results['linear_model'])}")
    per_class = sorted(results["per_class"].items(), key=lambda item: item[1])
    rows = [(one_line(name, 40), accuracy) for name, accuracy in per_class]
    width = max(len(name) for name, _ in rows)
    for name, accuracy in rows:
        print(f"  {name:{width}s} {accuracy:6.3f}")
    print(f"written: {', '.join(map(str, done.paths))}", flush=True)
    return results


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
