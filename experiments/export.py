"""Writes the best network of a run for other programs.

    python -m experiments.export --workdir=RUN --output=DIR [--format=FORMAT]

saved_model: TensorFlow alone loads it, with two signatures: serving_default takes uint8 rgb
(B, T, H, W, 3) and flow (B, T, H, W, 2L); classify_frames takes whole videos, uint8 RGB frames
(B, N, H, W, 3) of any N >= 2, H and W, and does all else itself.
serving: the same as TensorFlow Serving wants it, with its configuration and warm-up requests; in a
folder that has versions of it, the next version beside them.
onnx, litert: the network of serving_default for ONNX Runtime, and for LiteRT in float and with
weights of 8 bits. Each file is compared with Keras before DIR appears.
head: for this project's programs, of a run that was evaluated and whose streams kept ImageNet's
weights: what follows the streams, in half precision, with a card.

All return probabilities; classes.txt names them. How each is used: docs/guide/elsewhere.md.
"""

import tempfile

from absl import flags

from experiments import program

FORMATS = ("saved_model", "serving", "onnx", "litert", "head")

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run.")
flags.DEFINE_string("output", None, "Folder to write.")
flags.DEFINE_enum("format", "saved_model", FORMATS, "Who will run the network.")
flags.DEFINE_bool(
    "jit_compile",
    False,
    "Let XLA compile the flow solver of classify_frames: its first call takes longer, others less.",
)
flags.DEFINE_string(
    "records",
    None,
    "With onnx and litert, records of the run: the files are compared with Keras on clips of its "
    "test videos, and not on random bytes.",
)
flags.DEFINE_integer(
    "clips", 8, "With onnx and litert, on how many clips the files are compared.", lower_bound=1
)
flags.mark_flags_as_required(["workdir", "output"])


def main(_):
    output = program.output_folder("output")
    compared = FLAGS.format in ("onnx", "litert")
    without_effect = ["jit_compile"] if compared or FLAGS.format == "head" else []
    without_effect += [] if compared else ["records", "clips"]
    program.refuse_without_effect(without_effect, f"with --format={FLAGS.format}")
    program.start_tensorflow()
    from stfnet import run
    from stfnet.evaluation import result_files
    from stfnet.export import head, runtimes, saved_model, tf_serving
    from stfnet.inference import prediction
    from stfnet.inference.clip import selection

    if compared:
        runtimes.check_installed(FLAGS.format)
    model, config = prediction.load_run(FLAGS.workdir)
    fingerprint = run.read_videos(FLAGS.workdir).fingerprint()
    if config.model.streams == "rgb":
        program.refuse_without_effect(["jit_compile"], "on a network that reads no flow")
    if FLAGS.format != "head":
        check_room(4 * model.count_params(), output)
    if compared:
        clips = _clips(config)
        _print_agreement(runtimes.export(FLAGS.format, model, config, output, clips, fingerprint))
    elif FLAGS.format == "serving":
        if tf_serving.export_serving(model, config, output, FLAGS.jit_compile, fingerprint):
            print("the flow solver needs XLA: give the server --xla_cpu_compilation_enabled=true")
        output /= str(tf_serving.versions(output)[-1])
    elif FLAGS.format == "head":
        head.check_streams(config)
        results = result_files.read_results(FLAGS.workdir)
        head.export_head(model, config, output, results, fingerprint)
    else:
        saved_model.export_saved_model(model, config, output, FLAGS.jit_compile, fingerprint)
    if FLAGS.format in ("saved_model", "serving") and selection(config.model.clip).takes_some:
        clip = config.model.clip
        print(
            "classify_frames reads every frame that it is given: give those that the network was"
            f" trained on (fps={clip.fps:g}, repeats={clip.repeats})"
        )
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    classes = program.counted(len(config.classes), "class", "classes")
    print(f"written: {output} ({size / 1e6:.1f} MB, {classes})")
    return 0


def check_room(weights, output):
    """Checks that there is room for files with so many bytes of weights, before the work."""
    from stfnet.export import layout

    if FLAGS.format == "litert":  # the SavedModel that is converted, then floats and bytes
        layout.check_room(tempfile.gettempdir(), weights, "let TMPDIR name a folder elsewhere")
        weights *= 1.25
    layout.check_room(output, weights)


def _clips(config):
    from preprocessing import records
    from stfnet import run
    from stfnet.evaluation import timing
    from stfnet.export import runtimes

    if not FLAGS.records:
        print("compared on random bytes: --records=DIR compares on clips of the test videos")
        return runtimes.noise(config, FLAGS.clips)
    record_set = records.load_record_set(FLAGS.records, classes=run.classes_of(FLAGS.workdir))
    return timing.stored_test_clips(FLAGS.workdir, record_set, config, FLAGS.clips)


def _print_agreement(rows):
    print(f"{'':26} {'MB':>8} {'ms a clip':>10} {'largest difference':>19}   same label")
    for row in rows:
        print(
            f"{row.file:26} {row.size / 1e6:8.1f} {row.seconds * 1e3:10.1f} "
            f"{row.difference:19.1e}   {row.same} of {row.clips}"
        )


cli = program.entry(main)
