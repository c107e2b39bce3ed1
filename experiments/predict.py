"""Names the action in videos, or what happens on a camera as it happens.

    python -m experiments.predict --model=RUN --video=FILE --output=DIR
    python -m experiments.predict --model=RUN --video=FOLDER --output=DIR
    python -m experiments.predict --model=RUN --video=LONG --timeline --output=DIR
    python -m experiments.predict --model=RUN --live=0

--model is the folder of a run or of an export, a .keras file, or ucf101-13, a network that ships.
Prints the most probable classes and writes prediction.json and annotated.mp4 (or annotated.webm) to
the output folder.

Of many videos it writes predictions.csv alone: file, class, probability, and those of all classes.
--video then names a folder with videos, a text file with a path a line, or a pattern in quotes, or
is given several times. Status 1 says that videos could not be read; a line names each.

--timeline is for long videos: clips slide over it, and timeline.csv, timeline.srt (subtitles) and
timeline.png say which class is the most probable from when to when.

--live takes the number of a camera, the address of a video in the network, or a file, and prints
the label of the last seconds again and again, with frames a second and latency, until its end or
Ctrl-C; with --output it also writes the annotated video, up to the stop.
"""

import functools
import signal
import sys

from absl import flags

from experiments import program
from preprocessing import flow
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, program.MODEL)
flags.DEFINE_multi_string(
    "video", None, "Video file or folder of images; of many, a folder, a list, a pattern, or each."
)
flags.DEFINE_string("live", None, "Camera number, address of a video in the network, or file.")
flags.DEFINE_string("output", None, "Folder for prediction.json and the annotated video.")
flags.DEFINE_integer("top", 5, "Classes to list.", lower_bound=1)
flags.DEFINE_enum("video_format", "mp4", ["mp4", "webm"], "Container of the annotated video.")
flags.DEFINE_enum(
    "flow_quality",
    None,
    list(flow.QUALITIES),
    "OpenCV's own TV-L1, or the same steps compiled, about ten times as fast; by default that of"
    " the records that the network learned from, and of --live fast.",
)
flags.DEFINE_integer(
    "interval",
    0,
    "Frames from one sampled frame to the next, of --timeline and --live; 0: the median of the"
    " training clips.",
    lower_bound=0,
)
flags.DEFINE_boolean(
    "timeline", False, "Slide clips over a long --video: which action from when to when."
)
flags.DEFINE_integer(
    "stride",
    0,
    "Frames from one clip of --timeline to the next, rounded to a multiple of --interval; 0: half a"
    " clip.",
    lower_bound=0,
)
flags.mark_flags_as_required(["model"])


def main(_):
    from stfnet.inference import batch

    videos = [name for name in FLAGS.video or () if name]
    if bool(videos) == bool(FLAGS.live):
        raise UserError("one of --video=FILE and --live=CAMERA is needed")
    if FLAGS.timeline and not videos:
        raise UserError("--timeline needs --video=FILE")
    if videos and not FLAGS.output:
        raise UserError("--output is missing: the folder for what is predicted")
    if FLAGS.output:
        program.output_folder("output")
    if not FLAGS.timeline:
        program.refuse_without_effect(["stride"], "without --timeline")
    paths, many = batch.find(videos)
    if FLAGS.timeline:
        program.refuse_without_effect(["top", "video_format"], "with --timeline")
        if many:
            raise UserError(
                "--timeline is of one video: --video names several, or a folder or list"
            )
    elif videos:
        if many:
            program.refuse_without_effect(["top", "video_format"], "with many videos")
        else:
            program.keep_video(annotated_file(), videos[0])
        program.refuse_without_effect(["interval"], "with --video and without --timeline")
    else:
        program.refuse_without_effect(["top"], "with --live, which prints the best label")
        if not FLAGS.output:
            program.refuse_without_effect(["video_format"], "with --live without --output")
    program.start_keras()
    from stfnet.inference import prediction

    model, config = prediction.load_model(FLAGS.model)
    if config.model.streams == "rgb":
        program.refuse_without_effect(["flow_quality"], "on a network that reads no flow")
    if FLAGS.live:
        return watch(model, config)
    if many:
        return predict_many(model, config, paths)
    return (follow if FLAGS.timeline else predict)(model, config, videos[0])


def show(line, error=False):
    """Prints a line at once, also into a file."""
    print(f"error: {line}" if error else line, flush=True, file=sys.stderr if error else None)


def annotated_file():
    """Path of the annotated video in the output folder, which its first frame makes."""
    return program.output_folder("output") / f"annotated.{FLAGS.video_format}"


def predict_many(model, config, paths):
    from stfnet.inference import batch

    output = program.output_folder("output")
    unread = batch.predict(
        model, config, paths, output, FLAGS.flow_quality, show, functools.partial(show, error=True)
    )
    print(f"written: {output / batch.CSV_FILE} ({len(paths) - unread} of {len(paths)} videos)")
    return 1 if unread else 0


def predict(model, config, path):
    from stfnet.drawing import annotation
    from stfnet.inference import prediction

    prediction.for_one_clip(model)
    probabilities, clip = prediction.predict_video(model, config, path, FLAGS.flow_quality)
    for note in clip["notes"]:
        show(f"note: {note}")
    ranking = prediction.rank(probabilities, config.classes, FLAGS.top)
    width = max(len(name) for name, _ in ranking)
    for name, probability in ranking:
        show(f"{name:<{width}}  {probability:6.1%}")
    annotated = annotated_file()
    result = annotated.with_name("prediction.json")
    result.parent.mkdir(parents=True, exist_ok=True)
    prediction.write_result(result, path, FLAGS.model, config.name, ranking, clip)
    annotation.write_annotated(annotated, path, clip, config.model.clip, ranking)
    print(f"written: {result}, {annotated}")
    return 0


def follow(model, config, path):
    from stfnet.drawing import plots
    from stfnet.inference import timeline

    times = timeline.recognise(
        model, config, path, FLAGS.interval, FLAGS.stride, FLAGS.flow_quality, show
    )
    paths = timeline.write(program.output_folder("output"), times)
    picture = paths[0].with_suffix(".png")
    plots.draw_timeline(times.classes, times.edges, times.probabilities, times.rows(), picture)
    print(f"written: {', '.join(map(str, (*paths, picture)))}")
    return 0


def watch(model, config):
    from stfnet.inference import capture, live
    from stfnet.inference.clip import selection

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # keeps the video, as Ctrl-C does
    source = capture.open_capture(FLAGS.live, selection(config.model.clip))
    annotated = annotated_file() if FLAGS.output else None
    quality = FLAGS.flow_quality or "fast"  # keeps up with a camera
    live.watch(model, config, source, annotated, FLAGS.interval, quality, show)
    if annotated:
        print(f"written: {annotated}")
    return 0


cli = program.entry(main)
