"""Writes a page about a run that was evaluated: figures, curves, mistakes and settings.

    python -m experiments.report --workdir=RUN --records=RECORDS --output=DIR

DIR/report.html needs no other file and nothing from the net. With --records it plays the most
wrong test clips beside their flow and Grad-CAM.
"""

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run, evaluated before.")
flags.DEFINE_string("records", None, "Folder of its records, for films of test clips.")
flags.DEFINE_integer("clips", 8, "Test clips shown, the most wrong first.", lower_bound=0)
flags.DEFINE_bool("grad_cam", True, "Show Grad-CAM of the answer in them (loads the network).")
flags.DEFINE_string("ablation", None, "JSON file whose `ablation` maps streams to top-1.")
flags.DEFINE_string("output", None, "Folder for report.html.")
flags.mark_flags_as_required(["workdir", "output"])


def main(_):
    if not FLAGS.records:
        program.refuse_without_effect(["grad_cam"], "without --records")
    program.output_folder("output")
    program.start_tensorflow()
    from experiments import run_config
    from experiments.configs.paper import get_config
    from experiments.studies import paper
    from preprocessing import records
    from stfnet import run
    from stfnet.evaluation import result_files
    from stfnet.report import report

    run_config.check_one_run(FLAGS.workdir)
    record_set = (
        records.load_record_set(FLAGS.records, classes=run.classes_of(FLAGS.workdir))
        if FLAGS.records
        else None
    )
    name = result_files.read_results(FLAGS.workdir)["dataset"]
    path = report.write_report(
        FLAGS.workdir,
        FLAGS.output,
        record_set,
        ablation=FLAGS.ablation,
        published=paper.ACCURACY.get(name),
        paper=get_config().to_dict(),
        clips=FLAGS.clips,
        grad_cam=FLAGS.grad_cam,
    )
    print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


cli = program.entry(main)
