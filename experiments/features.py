"""Writes the features of every frame of a record set as NumPy files.

    python -m experiments.features --records=RECORDS --output=DIR --pooled --weights=FILE.h5
    python -m experiments.features --records=RECORDS --output=DIR --pooled --network=RUN

DIR/CLASS/VIDEO-rgb.npy and -flow.npy: VGG-16's block5_conv3 over frames and flow stacks, averaged
over the map, float32 (frames, 512); without --pooled the maps, float16 (frames, H/16, W/16, 512).
Of a run with other model.map_levels, the maps of these, with as many channels as they have.
-fc6.npy: float32 (frames, 4096), where the weights have it. DIR/index.csv lists videos, classes,
groups, splits and files; DIR/features.json says what they are of. The same command resumes.
"""

import sys

from absl import flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("records", None, "Folder of the prepared records.")
flags.DEFINE_string("output", None, "Folder for the features.")
flags.DEFINE_bool("pooled", False, "Average the maps; without it they are written whole.")
flags.DEFINE_string(
    "weights",
    None,
    "VGG-16's weights for both streams: an .h5 file of keras.applications, or imagenet to download "
    "it. The file with the fully connected layers gives fc6 of 224-pixel frames too.",
)
flags.DEFINE_string("network", None, "Folder of a run, whose streams and fc6 are taken instead.")
flags.mark_flags_as_required(["records", "output"])


def main(_):
    if bool(FLAGS.weights) == bool(FLAGS.network):
        raise UserError("one of --weights=FILE.h5 (or imagenet) and --network=RUN is needed")
    output = program.output_folder("output")
    program.start_tensorflow()
    from preprocessing import records
    from stfnet.frame_features import folder, networks
    from stfnet.training import preemption

    record_set = records.load_record_set(FLAGS.records)
    network = (
        networks.run_network(record_set, FLAGS.network)
        if FLAGS.network
        else networks.vgg16_network(record_set, FLAGS.weights)
    )
    if not network.fc6_units:
        print(f"without fc6: {'the run has none' if FLAGS.network else networks.FC6_NEEDS}")
    with preemption.StopSignals() as signals:
        whole = folder.write(network, record_set, output, FLAGS.pooled, lambda: signals.received)
    if not whole:
        print("stopped between videos; the same command resumes", file=sys.stderr)
        return signals.status
    videos = program.counted(len(record_set.videos), "video")
    print(f"written: {output / folder.INDEX_FILE} ({videos})")
    return 0


cli = program.entry(main)
