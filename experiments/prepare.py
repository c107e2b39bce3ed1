"""Turns videos into records: frames and TV-L1 optical flow, resized and encoded.

  python -m experiments.prepare --source=folder:VIDEOS --output=RECORDS
  python -m experiments.prepare --verify=RECORDS

Sources:
  synthetic         twelve rendered actions, written as mp4 files first
  folder:DIR        a folder of class folders with videos, or of train, val and test folders of
                    these, with an optional splits.csv (columns video and any of class, group,
                    split, start, end); a clip may be a folder of frames, with flow that
                    other tools wrote (img_, flow_x_, flow_y_; or jpegs_256, tvl1_flow/u,
                    tvl1_flow/v), which --flow=given reads
  list:FILE         videos that a list names: lines `path label`, Kinetics' table, or a table with
                    the columns video and class; list:TRAIN,TEST for two lists
  ucf101:DIR        UCF101, whole or some of it, and its official split lists
  hmdb51:DIR        HMDB51 and its official split lists
  ucf11:DIR         UCF11 (YouTube Action)
  ucf_sports:DIR    UCF Sports
  tfds:NAME         a video data set of TensorFlow Datasets, or the folder of one, written as
                    lossless mkv files first
DIR may also be a .zip or .rar file. That of UCF101, UCF11 or UCF Sports may hold the archives as
they were downloaded; other archives in any DIR are left alone.

Stopped at any moment, the same command continues. Over a folder that gained, lost, renamed or
changed videos it converts what is new and keeps the records of the others; --update lets it drop
those of videos that are gone or changed. Videos that cannot be used are listed in
RECORDS/failures.jsonl; more of them than --allow_failures make the exit status 1. Once they are
repaired, the same command adds them. RECORDS/notes.jsonl lists videos that are in the records
though something about them was repaired or is doubtful.
"""

import dataclasses
from pathlib import Path

from absl import flags

from experiments import preparation_report, program
from preprocessing import flow, records, video, worker_pool
from preprocessing.datasets import load
from preprocessing.errors import UserError
from preprocessing.flow import constants
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

FLAGS = flags.FLAGS
_USUAL = conversion.Settings()

flags.DEFINE_string("source", None, "what to prepare, see above")
flags.DEFINE_string("output", None, "folder for the records")
flags.DEFINE_string(
    "verify", None, "read this record set back, and say what is damaged, instead of preparing one"
)
flags.DEFINE_enum(
    "runner",
    "local",
    ("local", "beam"),
    "this machine's cores, or an Apache Beam pipeline whose workers share OUTPUT and the videos",
)
flags.DEFINE_string(
    "beam_options",
    "",
    "Beam's own options in one string, such as '--runner=FlinkRunner --flink_master=host:8081'"
    " (default: its direct runner)",
)
flags.DEFINE_integer(
    "workers", None, "processes (default: one for each core)", lower_bound=1, upper_bound=1024
)
flags.DEFINE_integer(
    "image_size", _USUAL.image_size, "side of the stored frames and flow fields in pixels"
)
flags.DEFINE_enum(
    "resize",
    _USUAL.resize,
    video.RESIZE_MODES,
    "straight to the square; short side then centre; or the window (three fifths of the short "
    "side) in which the video moves most",
)
flags.DEFINE_float(
    "fps",
    _USUAL.fps,
    "frames a second that are taken, by their times, of videos with more (default: all)",
)
flags.DEFINE_enum(
    "repeats",
    _USUAL.repeats,
    video.REPEATS,
    "what becomes of frames that repeat the one before while those around them move",
)
flags.DEFINE_enum(
    "image_format", _USUAL.image_format, records.IMAGE_FORMATS, "encoding of frames and flow"
)
flags.DEFINE_integer("jpeg_quality", _USUAL.jpeg_quality, "1 to 100")
flags.DEFINE_float(
    "flow_bound",
    _USUAL.flow_bound,
    "displacement in pixels at the ends of the 8 bits that a flow value gets; with --flow=given"
    " also that of the pictures that are read",
)
flags.DEFINE_enum(
    "flow",
    "computed",
    ["computed", constants.GIVEN],
    "computed from the frames, or read from the pictures of flow that lie beside them",
)
flags.DEFINE_enum(
    "flow_method",
    _USUAL.flow_method,
    flow.METHODS,
    "TV-L1 on the CPU, or on the accelerator, which pays where it is a GPU: one H100 is worth 16 to"
    " 40 CPU cores of --flow_quality=fast",
)
flags.DEFINE_integer(
    "flow_batch",
    None,
    "of --flow_method=keras: pairs of frames that the device solves at once (default: "
    + ", ".join(f"{pairs} on a {name}" for name, pairs in constants.BATCHES.items())
    + "; with --runner=beam always 32)",
    lower_bound=1,
)
flags.DEFINE_enum(
    "flow_quality",
    _USUAL.flow_quality,
    flow.QUALITIES,
    "OpenCV's own TV-L1 to the bit, or the same steps compiled: about ten times as fast, 99 % of"
    " the stored values within one level",
)
flags.DEFINE_integer(
    "frame_grid",
    _USUAL.frame_grid,
    "store so many frames of each video, spread evenly over it, and flow around these alone: for"
    " configurations with the same training.frame_grid (default: everything, for all of them)",
)
flags.DEFINE_integer(
    "flow_length",
    _USUAL.flow_length,
    "of --frame_grid: flow fields a frame, the largest model.clip.flow_length that can be trained",
)
flags.DEFINE_list(
    "classes", [], "names of the classes to take, separated by commas (default: all of the source)"
)
flags.DEFINE_integer(
    "limit_per_class", None, "take this many videos of each class only", lower_bound=1
)
flags.DEFINE_bool(
    "update",
    False,
    "drop the records of videos that are gone or changed since OUTPUT was made; without it they"
    " are named, and nothing is done",
)
flags.DEFINE_integer(
    "allow_failures", 0, "videos that may fail before the exit status is 1", lower_bound=0
)
flags.DEFINE_float(
    "time_limit", 300, "seconds without a frame after which a video is given up", lower_bound=1
)
flags.DEFINE_string(
    "videos", None, "synthetic and tfds: folder for the videos (default: OUTPUT-videos)"
)
flags.DEFINE_integer("seed", 0, "synthetic: what is drawn", lower_bound=0)
flags.DEFINE_integer(
    "synthetic_groups", 12, "synthetic: groups (figure, background, camera)", lower_bound=2
)
flags.DEFINE_integer("synthetic_clips", 2, "synthetic: clips of a group and class", lower_bound=1)


def main(argv):
    del argv
    preparation_report.check_flags(__name__)
    workers = FLAGS.workers or worker_pool.cores()
    if FLAGS.verify:
        return preparation_report.verify(Path(FLAGS.verify), workers, FLAGS.time_limit)
    names = [field.name for field in dataclasses.fields(_USUAL)]
    values = {name: FLAGS[name].value for name in names}
    if FLAGS.flow == constants.GIVEN:
        values["flow_method"] = constants.GIVEN
    settings = conversion.Settings(**values)
    output = Path(FLAGS.output)
    videos = Path(FLAGS.videos or f"{output}-videos")
    source = load.load(
        FLAGS.source,
        videos,
        FLAGS.seed,
        FLAGS.synthetic_groups,
        FLAGS.synthetic_clips,
        workers,
    )
    chosen = load.choose_classes(source.catalogue, FLAGS.classes)
    catalogue = load.limit_per_class(chosen, FLAGS.limit_per_class)
    preparation_report.show_source(source, catalogue, output)
    preparation_report.show_flow(catalogue, settings)
    progress = preparation_report.Progress(settings, FLAGS.runner, workers, FLAGS.time_limit)
    with progress:
        prepared = prepare.prepare(
            catalogue, output, settings, _runner(workers, progress), FLAGS.update, progress.announce
        )
    preparation_report.show_prepared(prepared, FLAGS.allow_failures)


def _runner(workers: int, progress: preparation_report.Progress) -> prepare.Runner:
    if FLAGS.runner == "local":
        return local_runner(
            workers, FLAGS.time_limit, progress.update, FLAGS.flow_batch, progress.measured
        )
    try:
        from preprocessing.preparation.beam import beam_runner
    except ImportError as error:
        raise UserError(
            f"--runner=beam needs Apache Beam ({error}): pip install 'stfnet[beam]'"
        ) from error
    return beam_runner(FLAGS.beam_options, FLAGS.time_limit, progress.update)


cli = program.entry(main)
