"""Evaluates a trained run on videos it has not seen and compares it with the paper.

    python -m experiments.evaluate --workdir=RUN --records=RECORDS

Writes results.json, predictions.csv and confusion.png into the run's folder. The protocol is the
run's own unless another is named; videos that the run was trained on are refused.
"""

from pathlib import Path

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run.")
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_enum("protocol", None, ["official", "group", "paper"], "How train and test divide.")
flags.DEFINE_integer("fold", None, "Which official split.", lower_bound=1)
flags.DEFINE_enum("split", "test", ["train", "val", "test"], "Which part to evaluate.")
flags.DEFINE_bool(
    "nearest_neighbour",
    False,
    "Also tell what the class of the most similar scene gives (reads all frames).",
)
flags.mark_flags_as_required(["workdir", "records"])


def main(_):
    program.start_tensorflow()
    from experiments import paper
    from preprocessing import files, records
    from preprocessing.captions import one_line
    from stfnet import baselines, evaluation, input_pipeline
    from stfnet.prediction import load_run

    metadata = records.load_metadata(FLAGS.records)
    model, config = load_run(FLAGS.workdir)
    results, probabilities, positions = evaluation.evaluate(
        model, metadata, config, FLAGS.protocol, FLAGS.fold, FLAGS.split
    )
    workdir = Path(FLAGS.workdir)
    evaluation.write_results(workdir, results, probabilities, positions, metadata)
    if FLAGS.nearest_neighbour:  # after the results, since it reads every frame
        known = input_pipeline.split_videos(metadata, config)["train"]
        results["nearest_neighbour"] = baselines.nearest_neighbour(metadata, known, positions)
        files.write_json(workdir / "results.json", results)
    print(
        f"{results['dataset']}, protocol {results['protocol']}, {results['split']} part: "
        f"{results['num_test']} videos of {results['num_classes']} classes\n"
        f"  top-1 {results['top1']:.3f}   top-5 {results['top5']:.3f}   mean class accuracy "
        f"{results['mean_class_accuracy']:.3f}\n"
        f"  chance {results['chance']:.3f}   majority class {results['majority']:.3f}   test clips "
        f"with a sibling in training {results['leak']:.1%}"
    )
    if FLAGS.nearest_neighbour:
        print(f"  nearest neighbour on the median frame {results['nearest_neighbour']:.3f}")
    per_class = sorted(results["per_class"].items(), key=lambda item: item[1])
    rows = [(one_line(name, 40), accuracy) for name, accuracy in per_class]
    width = max(len(name) for name, _ in rows)
    for name, accuracy in rows:
        print(f"  {name:{width}s} {accuracy:6.3f}")
    print(paper.comparison(results), end="")
    print(f"written: {workdir}/results.json, predictions.csv, confusion.png")


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
