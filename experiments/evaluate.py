"""Evaluates a trained run on videos that it has not seen, and compares it with the paper.

    python -m experiments.evaluate --workdir=RUN --records=RECORDS
    python -m experiments.evaluate --workdir=RUN --records=RECORDS --folds=all

Evaluates the test part that was drawn when the run started, and writes results.json,
predictions.csv and pictures into the run's folder, or into --output (with the name of another
part, protocol or number of clips in the file names). --split=unseen evaluates videos that the
records have gained since. With --folds it evaluates the runs of `experiments.train --folds` and
writes their mean to results.json beside them.

--num_clips=K --flip averages over several clips of a video and their mirror images. --fuse fuses
the predictions of runs into the folder --workdir. --timing writes timing.json.
"""

from pathlib import Path

from absl import flags

from experiments import program
from preprocessing import splits
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run; with --fuse, for the fused results.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("output", None, "Folder for the results, in place of that of the run.")
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
flags.DEFINE_integer("num_clips", 1, "Clips a video to average over.", lower_bound=1)
flags.DEFINE_bool("flip", False, "Also average over the mirror image of each clip.")
flags.DEFINE_list(
    "mirror_pairs", [], "Classes that a mirror turns into each other: left:right,open_l:open_r."
)
flags.DEFINE_list("fuse", [], "Instead, fuse these evaluated runs: RUN1,RUN2:WEIGHT.")
flags.DEFINE_bool("timing", False, "Instead, time the prediction of one video.")
flags.DEFINE_bool(
    "baselines", False, "--nearest_neighbour, and a linear model on VGG-16's features of the clips."
)
flags.DEFINE_string(
    "baseline_weights",
    None,
    "VGG-16's for that linear model: an .h5 file or imagenet; by default those of the run's start.",
)
flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "features"],
    "Computes the maps of the streams' frozen blocks once and keeps them in --cache_dir: with"
    " records of a grid those that training kept. --baselines reads them too.",
)
flags.DEFINE_string(
    "cache_dir", None, "Folder of --cache=features, by default WORKDIR/features; runs can share it."
)
flags.mark_flags_as_required(["workdir", "records"])


def main(_):
    check_flags()
    program.start_tensorflow()
    from experiments.run_config import folders_of_folds, run_of_fold
    from experiments.studies import paper
    from preprocessing import files, records
    from stfnet import run
    from stfnet.evaluation import fusion, metrics, printing, result_files

    workdir = Path(FLAGS.workdir)
    fused = [source.folder for source in fusion.parse_sources(FLAGS.fuse)] if FLAGS.fuse else []
    classes = run.classes_of(workdir, *fused)
    record_set = records.load_record_set(FLAGS.records, classes=classes)
    if FLAGS.timing:
        return time_prediction(workdir, record_set)
    if not FLAGS.folds:
        if FLAGS.fuse:
            results = fuse(workdir, record_set)
        else:
            results = evaluate(workdir, record_set, FLAGS.output)
        print(paper.comparison(results), end="")
        return 0
    folders = folders_of_folds(workdir, splits.chosen_folds(record_set.videos, FLAGS.folds))
    target = result_files.folder_for(workdir, FLAGS.output)
    results = {
        fold: evaluate(
            folder, record_set, run_of_fold(FLAGS.output, fold) if FLAGS.output else None
        )
        for fold, folder in folders.items()
    }
    mean = metrics.average_folds(results)
    suffix = result_files.suffix_of(next(iter(results.values())))
    path = result_files.paths_in(target, suffix).results
    files.write_json(path, mean)
    print(printing.mean_of_folds(mean))
    print(paper.comparison(mean), end="")
    print(f"written: {path}")
    return 0


def check_flags():
    if FLAGS.folds and (FLAGS.protocol or FLAGS.fold):
        raise UserError("--folds names the splits: leave --protocol and --fold out")
    own = ["split", "protocol", "fold", "folds", "nearest_neighbour", "baselines", "mirror_pairs"]
    own += ["cache", "cache_dir"]
    if FLAGS.cache != "features":
        program.refuse_without_effect(["cache_dir"], "without --cache=features")
    elif FLAGS.cache_dir:
        program.output_folder("cache_dir")
    if (FLAGS.num_clips > 1 or FLAGS.flip) and not FLAGS.baselines:
        program.refuse_without_effect(["cache", "cache_dir"], "with --num_clips or --flip")
    if not FLAGS.baselines:
        program.refuse_without_effect(["baseline_weights"], "without --baselines")
    if FLAGS.output:
        program.output_folder("output")
    if FLAGS.fuse:
        program.refuse_without_effect([*own, "timing", "output"], "with --fuse")
        program.output_folder("workdir")
    elif FLAGS.timing:
        program.refuse_without_effect([*own, "num_clips", "flip"], "with --timing")
    elif not FLAGS.flip:
        program.refuse_without_effect(["mirror_pairs"], "without --flip")


def chosen_views():
    from stfnet.evaluation import clips_per_video

    return clips_per_video.Views(
        FLAGS.num_clips, FLAGS.flip, clips_per_video.parse_mirror_pairs(FLAGS.mirror_pairs)
    )


def evaluate(workdir, record_set, output):
    """Evaluates one run, prints its results, and returns them."""
    from stfnet.evaluation import evaluate as evaluation
    from stfnet.evaluation import printing

    done = evaluation.evaluate_run(
        workdir,
        record_set,
        split=FLAGS.split,
        protocol=FLAGS.protocol,
        fold=FLAGS.fold,
        nearest_neighbour=FLAGS.nearest_neighbour or FLAGS.baselines,
        views=chosen_views(),
        linear=FLAGS.baselines,
        linear_weights=FLAGS.baseline_weights,
        features_folder=maps_folder() if FLAGS.cache == "features" else None,
        output=output,
    )
    if not done.results["finished"]:
        print(f"{workdir} is still being trained, or was stopped: its best network so far")
    print(*done.notes, *printing.evaluation(done.results, done.paths), sep="\n", flush=True)
    return done.results


def maps_folder():
    """The folder of --cache=features, checked before the work: that of a run may be read-only."""
    from stfnet import run

    FLAGS.cache_dir = FLAGS.cache_dir or str(Path(FLAGS.workdir) / run.FEATURES_FOLDER)
    return program.output_folder("cache_dir")


def fuse(workdir, record_set):
    """Fuses runs, prints the results, and returns them."""
    from stfnet.evaluation import fusion, printing

    sources = fusion.parse_sources(FLAGS.fuse)
    results, paths = fusion.fuse(sources, record_set, workdir, chosen_views())
    print(*printing.evaluation(results, paths), sep="\n")
    return results


def time_prediction(workdir, record_set):
    from stfnet.evaluation import printing, timing

    figures, path = timing.time_run(workdir, record_set, FLAGS.output)
    print(*printing.timing(figures), sep="\n")
    if record_set.clip["frame_grid"]:
        print("  flow computed        not timed: the records lack the frames that it is between")
    print(f"written: {path}")
    return 0


cli = program.entry(main)
