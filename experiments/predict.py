"""Names the action in a video.

    python -m experiments.predict --model=RUN --video=FILE --output=DIR

--model is the folder of a run or of an export. Prints the most probable classes and writes
prediction.json and annotated.mp4 (or annotated.webm, which browsers play) to the output folder.
"""

from pathlib import Path

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "Folder of a run (--workdir of training) or of an export.")
flags.DEFINE_string("video", None, "Video file, or folder of images.")
flags.DEFINE_string("output", None, "Folder for prediction.json and the annotated video.")
flags.DEFINE_integer("top", 5, "Classes to list.", lower_bound=1)
flags.DEFINE_enum("video_format", "mp4", ["mp4", "webm"], "Container of the annotated video.")
flags.mark_flags_as_required(["model", "video", "output"])


def main(_):
    from stfnet import checkpoints, prediction, rendering

    model, config = prediction.load_model(FLAGS.model)
    probabilities, clip = prediction.predict_video(model, config, FLAGS.video)
    ranking = prediction.rank(probabilities, config.classes, FLAGS.top)
    width = max(len(name) for name, _ in ranking)
    for name, probability in ranking:
        print(f"{name:<{width}}  {probability:6.1%}")
    output = Path(FLAGS.output)
    output.mkdir(parents=True, exist_ok=True)
    annotated = output / f"annotated.{FLAGS.video_format}"
    rendering.write_annotated(annotated, FLAGS.video, clip, config.model.clip, ranking)
    result = {
        "video": str(FLAGS.video),
        "model": str(FLAGS.model),
        "dataset": config.name,
        "top": [{"class": name, "probability": value} for name, value in ranking],
        "num_frames": clip["num_frames"],
        "frame_numbers": clip["frame_numbers"].tolist(),
        "fps": clip["fps"],
    }
    checkpoints.write_json(output / "prediction.json", result)
    print(f"written: {output / 'prediction.json'}, {annotated}")
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
