"""Shows what the answer of a run's network to a video rests on.

    python -m experiments.explain --model=RUN --video=FILE --output=DIR

Writes explanation.png (the sampled frames, Grad-CAM, flow, and how much each frame counts in the
conv and the fc branch, and in a linear path), explanation.mp4 (the same over the video),
feature_maps.png (convolutions 1, 6 and 9 of each stream), frame_importance.csv and
explanation.json. What they show and what they do not: docs/guide/results.md.
"""

from absl import flags

from experiments import program
from preprocessing import flow

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model",
    None,
    "Folder of a run (--workdir of experiments.train), a .keras file, or a network that ships:"
    " ucf101-13, or ucf101-13:FILE.h5 with VGG-16's weights from a file.",
)
flags.DEFINE_string("video", None, "Video file, or folder of images.")
flags.DEFINE_string("output", None, "Folder for pictures, video and figures.")
flags.DEFINE_string("class_name", None, "Class to explain; the most probable by default.")
flags.DEFINE_enum("flow_quality", None, list(flow.QUALITIES), "As experiments.predict.")
flags.mark_flags_as_required(["model", "video", "output"])


def main(_):
    output = program.output_folder("output")
    program.start_keras()
    from stfnet.explanation import explain

    program.keep_video(output / explain.FILM_FILE, FLAGS.video)
    model, config = explain.load_network(FLAGS.model)
    if config.model.streams == "rgb":
        program.refuse_without_effect(["flow_quality"], "on a network that reads no flow")
    target = explain.class_position(config, FLAGS.class_name)
    explanation, clip = explain.explain_video(
        model, config, FLAGS.video, target, FLAGS.flow_quality
    )
    for note in clip.notes:
        print(f"note: {note}")
    about = {"video": FLAGS.video, "model": FLAGS.model, "dataset": config.name}
    written = explain.write_explanation(output, FLAGS.video, explanation, clip, about)
    name, probability = (
        explanation.classes[explanation.target],
        explanation.probabilities[explanation.target],
    )
    print(f"{name}  {probability:.1%}")
    print(f"written: {', '.join(map(str, written))}")
    return 0


cli = program.entry(main)
