"""Turns videos into records: frames and TV-L1 optical flow, resized and encoded.

  python -m experiments.prepare --source=folder:VIDEOS --output=RECORDS
  python -m experiments.prepare --verify=RECORDS

Sources:
  synthetic         twelve rendered actions, written as mp4 files first
  folder:DIR        a folder of class folders with videos, with an optional splits.csv
                    (columns video and any of class, group, split)
  ucf101:DIR        UCF101 and its official split lists
  ucf11:DIR         UCF11 (YouTube Action)
  ucf_sports:DIR    UCF Sports
  tfds:NAME         a video data set of TensorFlow Datasets
DIR may also be a .zip or .rar file. Of the published collections it may hold the archives as they
were downloaded; other archives in it are left alone.

Stopped at any moment, the same command goes on where it was. Videos that cannot be used are listed
in RECORDS/failures.jsonl; more of them than --allow_failures make the exit status 1. Once they are
repaired, the same command adds them. RECORDS/notes.jsonl lists videos that are in the records and
doubtful, such as those that show fewer frames than they declare.
"""

import contextlib
import os
from pathlib import Path

from absl import flags

from experiments import preparation_report, program
from preprocessing import flow, records, splits, video
from preprocessing.datasets import load
from preprocessing.errors import UserError
from preprocessing.flow.service import server
from preprocessing.preparation import conversion, estimate, prepare
from preprocessing.preparation.local import local_runner
from preprocessing.records import verification

_SOURCE = flags.DEFINE_string("source", None, "what to prepare, see above")
_OUTPUT = flags.DEFINE_string("output", None, "folder for the records")
_VERIFY = flags.DEFINE_string(
    "verify", None, "read this record set back, and say what is damaged, instead of preparing one"
)
_RUNNER = flags.DEFINE_enum(
    "runner",
    "local",
    ("local", "beam"),
    "this machine's cores, or an Apache Beam pipeline whose workers share OUTPUT and the videos",
)
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options",
    "",
    "Beam's own options in one string, such as '--runner=FlinkRunner --flink_master=host:8081'"
    " (default: its direct runner)",
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "processes (default: one for each core)", lower_bound=1, upper_bound=1024
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 224, "side of the stored frames and flow fields in pixels"
)
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 17, "frames T that a clip samples", lower_bound=1)
_FLOW_LENGTH = flags.DEFINE_integer(
    "flow_length", 4, "flow fields L stacked around each sampled frame", lower_bound=1
)
_RESIZE = flags.DEFINE_enum(
    "resize", "stretch", video.RESIZE_MODES, "straight to the square, or short side then centre"
)
_IMAGE_FORMAT = flags.DEFINE_enum(
    "image_format", "jpeg", conversion.IMAGE_FORMATS, "encoding of frames and flow"
)
_JPEG_QUALITY = flags.DEFINE_integer("jpeg_quality", 95, "1 to 100")
_FLOW_BOUND = flags.DEFINE_float(
    "flow_bound", 20.0, "displacement in pixels at the ends of the 8 bits that a flow value gets"
)
_FLOW_METHOD = flags.DEFINE_enum(
    "flow_method", "opencv", flow.METHODS, "TV-L1 on the CPU, or on the accelerator"
)
_FLOW_BATCH = flags.DEFINE_integer(
    "flow_batch",
    None,
    "of --flow_method=keras: pairs of frames that the device solves at once (default: "
    + ", ".join(f"{pairs} on a {name}" for name, pairs in server.BATCHES.items())
    + "; with --runner=beam always 32)",
    lower_bound=1,
)
_FLOW_QUALITY = flags.DEFINE_enum(
    "flow_quality",
    "reference",
    flow.QUALITIES,
    "OpenCV's own TV-L1, or the same steps compiled: about ten times as fast, 99 % of the stored"
    " values within one level",
)
_LIMIT = flags.DEFINE_integer(
    "limit_per_class", None, "take this many videos of each class only", lower_bound=1
)
_ALLOWED = flags.DEFINE_integer(
    "allow_failures", 0, "videos that may fail before the exit status is 1", lower_bound=0
)
_TIME_LIMIT = flags.DEFINE_float(
    "time_limit", 300, "seconds without a frame after which a video is given up", lower_bound=1
)
_VIDEOS = flags.DEFINE_string(
    "videos", None, "synthetic and tfds: folder for the videos (default: OUTPUT-videos)"
)
_SEED = flags.DEFINE_integer("seed", 0, "synthetic: what is drawn", lower_bound=0)
_GROUPS = flags.DEFINE_integer(
    "synthetic_groups", 12, "synthetic: groups (figure, background, camera)", lower_bound=2
)
_CLIPS = flags.DEFINE_integer(
    "synthetic_clips", 2, "synthetic: clips of a group and class", lower_bound=1
)


def main(argv):
    del argv
    check_flags()
    workers = _WORKERS.value or len(os.sched_getaffinity(0))
    if _VERIFY.value:
        record_set = records.load_record_set(Path(_VERIFY.value))
        with preparation_report.progress_bar(" videos", len(record_set.videos)) as bar:
            faults = verification.verify(record_set, workers, _TIME_LIMIT.value, bar.update)
        return preparation_report.show_faults(record_set, faults)
    settings = conversion.Settings(
        image_size=_IMAGE_SIZE.value,
        resize=_RESIZE.value,
        image_format=_IMAGE_FORMAT.value,
        jpeg_quality=_JPEG_QUALITY.value,
        flow_bound=_FLOW_BOUND.value,
        flow_method=_FLOW_METHOD.value,
        flow_quality=_FLOW_QUALITY.value,
    )
    output = Path(_OUTPUT.value)
    source = load.load(
        _SOURCE.value,
        videos_folder=Path(_VIDEOS.value or f"{output}-videos"),
        seed=_SEED.value,
        groups=_GROUPS.value,
        clips_per_group=_CLIPS.value,
        workers=workers,
    )
    catalogue = source.catalogue
    print(f"{catalogue.name}: {len(catalogue.videos)} videos of {len(catalogue.classes)} classes")
    print(*catalogue.left_out, sep="\n", end="\n" if catalogue.left_out else "")
    preparation_report.show_differences(source.differences, output)
    if _LIMIT.value:
        catalogue = load.limit_per_class(catalogue, _LIMIT.value)
    print(*splits.table(splits.divisions(catalogue.videos)), sep="\n")

    device = []
    with contextlib.ExitStack() as bars:
        bar = None

        def announce(videos):
            nonlocal bar
            forecast = estimate.survey(videos, settings, workers, _TIME_LIMIT.value)
            print(*estimate.table(forecast), sep="\n", flush=True)
            if _RUNNER.value == "beam":
                print(
                    "the hours are this machine's: Beam's workers have a number and speed of theirs"
                )
            bar = bars.enter_context(preparation_report.progress_bar(" pairs", forecast.pairs))

        prepared = prepare.prepare(
            catalogue,
            output,
            settings,
            {"num_frames": _NUM_FRAMES.value, "flow_length": _FLOW_LENGTH.value},
            _runner(workers, lambda pairs: bar.update(pairs), device.append),
            announce,
        )
    print(*device, sep="\n", end="\n" if device else "")
    preparation_report.show_prepared(prepared, _ALLOWED.value)


def check_flags():
    """Refuses flags that are missing or that have no effect beside the others.

    Raises:
        UserError: names the flag.
    """
    if _VERIFY.value:
        used = {"verify", "workers", "time_limit"}
        own = [flag.name for flag in flags.FLAGS.get_flags_for_module(__name__)]
        return program.refuse_without_effect([n for n in own if n not in used], "with --verify")
    for flag in (_SOURCE, _OUTPUT):
        if not flag.value:
            raise UserError(f"--{flag.name} is missing (--help lists the flags)")
    program.output_folder("output")
    kind = _SOURCE.value.partition(":")[0]
    for name, condition, ineffective in (
        ("runner", _RUNNER.value == "local", ["beam_options"]),
        ("runner", _RUNNER.value == "beam", ["workers", "flow_batch"]),
        ("flow_method", _FLOW_METHOD.value == "opencv", ["flow_batch"]),
        ("flow_method", _FLOW_METHOD.value == "keras", ["flow_quality"]),
        ("image_format", _IMAGE_FORMAT.value == "png", ["jpeg_quality"]),
        ("source", kind != "synthetic", ["seed", "synthetic_groups", "synthetic_clips"]),
        ("source", kind not in ("synthetic", "tfds"), ["videos"]),
    ):
        if condition:
            where = f"with --{name}={flags.FLAGS[name].value}"
            program.refuse_without_effect(ineffective, where)
    if _VIDEOS.value:
        program.output_folder("videos")


def _runner(workers, progress, measured) -> prepare.Runner:
    if _RUNNER.value == "local":
        return local_runner(workers, _TIME_LIMIT.value, progress, _FLOW_BATCH.value, measured)
    try:
        from preprocessing.preparation import beam
    except ImportError as error:
        raise UserError(
            f"--runner=beam needs Apache Beam ({error}): pip install 'stfnet[beam]'"
        ) from error
    return beam.beam_runner(_BEAM_OPTIONS.value, _TIME_LIMIT.value, progress)


def cli():
    """Entry point of `stfnet-prepare`."""
    program.run(main)


if __name__ == "__main__":
    cli()
