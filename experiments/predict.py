"""Names the action in a video, or what happens on a camera as it happens.

    python -m experiments.predict --model=RUN --video=FILE --output=DIR
    python -m experiments.predict --model=RUN --live=0

--model is the folder of a run or of an export. Prints the most probable classes and writes
prediction.json and annotated.mp4 (or annotated.webm, which browsers play) to the output folder.

--live takes the number of a camera, the address of a video in the network, or a file, and prints
the label of the last seconds again and again, with frames a second and latency, until its end or
Ctrl-C; with --output it also writes the annotated video, up to the stop.
"""

import signal

from absl import flags

from experiments import program
from preprocessing import flow
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "Folder of a run (--workdir of experiments.train) or an export.")
flags.DEFINE_string("video", None, "Video file, or folder of images.")
flags.DEFINE_string("live", None, "Camera number, address of a video in the network, or file.")
flags.DEFINE_string("output", None, "Folder for prediction.json and the annotated video.")
flags.DEFINE_integer("top", 5, "Classes to list.", lower_bound=1)
flags.DEFINE_enum("video_format", "mp4", ["mp4", "webm"], "Container of the annotated video.")
flags.DEFINE_enum(
    "flow_quality",
    None,
    list(flow.QUALITIES),
    "OpenCV's TV-L1 (of --video by default) or the same compiled, faster (of --live by default).",
)
flags.DEFINE_integer(
    "interval",
    0,
    "Frames between the sampled frames of --live; 0: the middle of those trained with.",
    lower_bound=0,
)
flags.mark_flags_as_required(["model"])


def main(_):
    if bool(FLAGS.video) == bool(FLAGS.live):
        raise UserError("one of --video=FILE and --live=CAMERA is needed")
    if FLAGS.video and not FLAGS.output:
        raise UserError("--output is missing: the folder for prediction.json and annotated video")
    if FLAGS.output:
        program.output_folder("output")
    if FLAGS.video:
        program.refuse_without_effect(["interval"], "with --video")
    else:
        program.refuse_without_effect(["top"], "with --live, which prints the best label")
        if not FLAGS.output:
            program.refuse_without_effect(["video_format"], "with --live without --output")
    program.start_tensorflow()
    from stfnet.inference import prediction

    model, config = prediction.load_model(FLAGS.model)
    if config.model.streams == "rgb":
        program.refuse_without_effect(["flow_quality"], "on a network that reads no flow")
    return watch(model, config) if FLAGS.live else predict(model, config)


def annotated_file():
    """Path of the annotated video in the output folder, which its first frame makes."""
    return program.output_folder("output") / f"annotated.{FLAGS.video_format}"


def predict(model, config):
    from preprocessing import files
    from stfnet.inference import annotation, prediction

    probabilities, clip = prediction.predict_video(
        model, config, FLAGS.video, FLAGS.flow_quality or "reference"
    )
    ranking = prediction.rank(probabilities, config.classes, FLAGS.top)
    width = max(len(name) for name, _ in ranking)
    for name, probability in ranking:
        print(f"{name:<{width}}  {probability:6.1%}")
    annotated = annotated_file()
    annotation.write_annotated(annotated, FLAGS.video, clip, config.model.clip, ranking)
    result = {
        "video": str(FLAGS.video),
        "model": str(FLAGS.model),
        "dataset": config.name,
        "top": [{"class": name, "probability": value} for name, value in ranking],
        "num_frames": clip["num_frames"],
        "frame_numbers": clip["frame_numbers"].tolist(),
        "fps": clip["fps"],
    }
    path = annotated.with_name("prediction.json")
    files.write_json(path, result)
    print(f"written: {path}, {annotated}")
    return 0


def watch(model, config):
    from stfnet.inference import capture, live

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # keeps the video, as Ctrl-C does
    source = capture.open_capture(FLAGS.live)
    annotated = annotated_file() if FLAGS.output else None
    live.watch(
        model,
        config,
        source,
        annotated,
        FLAGS.interval,
        FLAGS.flow_quality or "fast",
        show=lambda line: print(line, flush=True),
    )
    if annotated:
        print(f"written: {annotated}")
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
