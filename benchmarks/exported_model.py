"""What an exported model says of whole videos, beside the network on their records.

    python -m benchmarks export --workdir=RUN [--source=folder:VIDEOS]

The signature `classify_frames` computes its own flow. On the same files, the run's network gets
records with the flow of two solvers, so that what the solver does can be seen. Videos of another
kind than the run was trained on show larger differences, since its network is not sure of any class
there.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks import measured_tables
from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
# Flow of the records -> (settings of its preparation, largest difference that is aimed at).
RECORDS = {
    "OpenCV": ({"flow_method": "opencv", "flow_quality": "reference"}, 0.02),
    "Keras": ({"flow_method": "keras"}, 1e-3),
}


def define_flags():
    flags.DEFINE_string("workdir", None, "Folder of the run.")
    flags.DEFINE_string("source", "synthetic", "Videos, as of experiments.prepare.")
    flags.DEFINE_integer("limit_per_class", 2, "Videos of each class.", lower_bound=1)


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    if not FLAGS.workdir:
        raise UserError("--workdir is missing: the folder of the run to be compared")
    program.start_tensorflow()
    from preprocessing.datasets import load
    from stfnet.inference import prediction

    model, config = prediction.load_run(FLAGS.workdir)
    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
        folder = Path(temporary)
        source = load.load(
            FLAGS.source, folder / "videos", seed=1, groups=2, clips_per_group=1, workers=2
        )
        catalogue = load.limit_per_class(source.catalogue, FLAGS.limit_per_class)
        answers = _answers_to_frames(model, config, catalogue, folder / "export")
        ours = {name: probabilities for name, (probabilities, _) in answers.items()}
        seconds = statistics.median(seconds for _, seconds in answers.values())
        for kind, (settings, target) in RECORDS.items():
            theirs = _answers_to_records(model, config, catalogue, folder / kind, **settings)
            row = {"flow of the records": kind} | agreement(ours, theirs)
            yield (
                "classify_frames, to the network on records",
                row | {"target": f"{target:g}", "classify_frames, s a video": seconds},
            )


def _answers_to_records(model, config, catalogue, folder, **settings):
    """Prepares the videos: video id -> probabilities of the test clip, float32 (C,)."""
    from preprocessing import records
    from preprocessing.flow.constants import GRAPH_BATCH
    from preprocessing.preparation import conversion, prepare
    from preprocessing.preparation.local import local_runner
    from stfnet.evaluation import evaluate

    clip = config.model.clip
    prepare.prepare(
        catalogue,
        folder,
        conversion.Settings(
            image_size=clip.image_size,
            resize=clip.resize,
            image_format=config.records.image_format,
            jpeg_quality=config.records.jpeg_quality,
            **settings,
        ),
        local_runner(2, 300, flow_batch=GRAPH_BATCH),
    )
    record_set = records.load_record_set(folder)
    positions = np.arange(len(record_set.videos))
    probabilities = evaluate.predict_clips(model, record_set, positions, config)
    return {video.id: row for video, row in zip(record_set.videos, probabilities, strict=True)}


def _answers_to_frames(model, config, catalogue, folder):
    """Exports the network: video id -> (probabilities, seconds) of `classify_frames`."""
    from preprocessing import video
    from stfnet.export import saved_model

    saved_model.export_saved_model(model, config, folder, jit_compile=True)
    classify = saved_model.load_export(folder)[0].signatures["classify_frames"]
    answers = {}
    for entry in catalogue.videos:
        frames = np.stack(list(video.read_frames(entry.path)))[None]
        begun = time.perf_counter()
        probabilities = classify(frames=frames)["probabilities"].numpy()[0]
        answers[entry.id] = probabilities, time.perf_counter() - begun
    return answers


def agreement(ours, theirs) -> measured_tables.Row:
    """How near two dictionaries of probabilities are: top-1, and the largest difference a video."""
    names = sorted(ours.keys() & theirs.keys())
    differences = np.array([np.abs(ours[name] - theirs[name]).max() for name in names])
    return {
        "videos": len(names),
        "same top-1": sum(int(ours[name].argmax() == theirs[name].argmax()) for name in names),
        "within 0.02": int((differences <= 0.02).sum()),
        "median difference": float(np.median(differences)),
        "largest difference": float(differences.max()),
    }
