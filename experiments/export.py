"""Writes the best network of a run as a SavedModel.

    python -m experiments.export --workdir=RUN --output=DIR

TensorFlow alone loads it, with two signatures: serving_default takes uint8 rgb (B, T, H, W, 3) and
flow (B, T, H, W, 2L); classify_frames takes whole videos, uint8 RGB frames (B, N, H, W, 3) of any
N >= 2, H and W, and does all else itself. Both return probabilities; DIR/classes.txt names them.
"""

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Folder of the run.")
flags.DEFINE_string("output", None, "Folder for the SavedModel.")
flags.DEFINE_bool(
    "jit_compile",
    False,
    "Let XLA compile the flow solver of classify_frames: its first call takes longer, others less.",
)
flags.mark_flags_as_required(["workdir", "output"])


def main(_):
    output = program.output_folder("output")
    program.start_tensorflow()
    from stfnet import run
    from stfnet.inference import export, prediction

    model, config = prediction.load_run(FLAGS.workdir)
    certificate = run.read_videos(FLAGS.workdir).certificate()
    if config.model.streams == "rgb":
        program.refuse_without_effect(["jit_compile"], "on a network that reads no flow")
    export.export_saved_model(model, config, output, FLAGS.jit_compile, certificate)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"written: {output} ({size / 1e6:.1f} MB, {len(config.classes)} classes)")
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
