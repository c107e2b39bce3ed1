"""Writes a page about a run that was evaluated: figures, curves, mistakes and settings.

    python -m experiments.report --workdir=RUN --records=RECORDS --output=DIR

DIR/report.html contains its pictures. Without --records it shows no example clips.
"""

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run, evaluated before.")
flags.DEFINE_string("records", None, "Folder of its records, for pictures of example clips.")
flags.DEFINE_string("ablation", None, "JSON file whose `ablation` maps streams to top-1.")
flags.DEFINE_string("output", None, "Folder for report.html.")
flags.mark_flags_as_required(["workdir", "output"])


def main(_):
    program.output_folder("output")
    program.start_tensorflow()
    from experiments import paper
    from experiments.configs.paper import get_config
    from preprocessing import records
    from stfnet import run
    from stfnet.evaluation import report

    record_set = records.load_record_set(FLAGS.records) if FLAGS.records else None
    name = run.read_config(FLAGS.workdir).name
    path = report.write_report(
        FLAGS.workdir,
        FLAGS.output,
        record_set,
        ablation=FLAGS.ablation,
        published=paper.ACCURACY.get(name),
        paper=get_config().to_dict(),
    )
    print(f"written: {path}")
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
