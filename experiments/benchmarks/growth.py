"""How time and memory grow with the number of videos and of classes.

    python -m experiments.benchmark growth [--videos=10,100,1000,10000] [--classes=2,101,700]
        [--metadata_videos=100000] [--picture=PNG] [--output=JSON]

Preparation, the start of a training, evaluation and report of tiny videos (4 frames of 16 x 16
pixels) with the smallest network: what remains is what grows with the data. Times are of the
processor, in milliseconds a video: a column that stays flat has nothing that grows faster than the
data. Memory is the largest, in MB. The numbers of videos are measured with 2 classes, the numbers
of classes with --class_videos.
"""

import tempfile
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks import figures, growth_measurements
from experiments.benchmarks.start_measurements import in_new_process

FLAGS = flags.FLAGS
PARTS = ("preparation", "metadata", "start", "evaluation", "report")
SHORTEST = 0.05  # seconds that are drawn; times are kept to 0.01 s
COLUMNS = "{:>7} {:>7} " + "{:>12} " * len(PARTS) + "{:>9} {:>9}"


def define_flags():
    """Defines the flags of `experiments.benchmark growth`."""
    flags.DEFINE_list("videos", ["10", "100", "1000", "10000"], "Numbers of videos.")
    flags.DEFINE_list("classes", ["2", "101", "700"], "Numbers of classes.")
    flags.DEFINE_integer("class_videos", 3500, "Videos of the rows of classes.", lower_bound=10)
    flags.DEFINE_integer("metadata_videos", 100_000, "Videos in the metadata.", lower_bound=1)
    flags.DEFINE_string("picture", None, "PNG file for a plot of the times.")
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def measure(folder, videos, classes):
    """A row of the table: seconds of processor of each of `PARTS`, and memory."""
    prepared = in_new_process(growth_measurements.preparation, folder, videos, classes)
    used = in_new_process(growth_measurements.use, folder)
    return {
        "videos": videos,
        "classes": classes,
        "preparation": prepared["seconds"],
        **{name: used[name] for name in PARTS[1:]},
        "preparation_memory": max(prepared["memory"], prepared["worker_memory"]),
        "memory": used["memory"],
    }


def points(rows, name):
    """Numbers of videos and milliseconds a video of a part, without times too short to measure."""
    ordered = sorted(rows, key=lambda row: row["videos"])
    return [(r["videos"], 1e3 * r[name] / r["videos"]) for r in ordered if r[name] >= SHORTEST]


def draw(rows, path):
    """Plots milliseconds a video against the number of videos, all rows of two classes."""
    from matplotlib.figure import Figure

    figure = Figure((6, 4), layout="constrained")
    axes = figure.subplots()
    for name in PARTS:
        if drawn := points(rows, name):
            axes.loglog(*zip(*drawn, strict=True), "o-", label=name)
    axes.set_xlabel("videos")
    axes.set_ylabel("ms of processor a video")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main(_):
    figures.check_output()
    if FLAGS.picture:
        program.output_file("picture")
    sizes = [(videos, 2) for videos in figures.numbers("videos", 2)]
    sizes += [(FLAGS.class_videos, classes) for classes in figures.numbers("classes", 2)]
    print(COLUMNS.format("videos", "classes", *PARTS, "MB", "MB"))
    print(COLUMNS.format("", "", *["ms a video"] * len(PARTS), "prepare", "use"))
    rows = []
    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
        for number, (videos, classes) in enumerate(sizes):
            folder = Path(temporary) / str(number)
            row = measure(folder, videos, classes)
            cells = [f"{1e3 * row[name] / videos:.2f}" for name in PARTS]
            memory = row["preparation_memory"], row["memory"]
            print(COLUMNS.format(videos, classes, *cells, *memory), flush=True)
            rows.append(row)
        records = Path(temporary) / "0" / "records"
        metadata = in_new_process(growth_measurements.metadata, records, FLAGS.metadata_videos)
    print(
        f"metadata.json of {FLAGS.metadata_videos} videos: {metadata['megabytes']} MB, written in "
        f"{metadata['write']} s, read in {metadata['read']} s, {metadata['memory']} MB of memory"
    )
    if FLAGS.picture:
        draw([row for row in rows if row["classes"] == 2], FLAGS.picture)
    figures.write_output({"rows": rows, "metadata": metadata})


if __name__ == "__main__":
    define_flags()
    program.run(main)
