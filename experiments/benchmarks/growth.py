"""How time and memory grow with the number of videos and of classes.

    python -m experiments.benchmark growth [--videos=10,1000,10000,300000] [--classes=2,101,700]
        [--picture=PNG] [--output=JSON]

Tiny videos (4 frames of 16 x 16 pixels) and the smallest network: what remains is what grows with
the data. Times are of the processor. The columns, in milliseconds a video:

prepare     all videos but one, then the preparation is stopped
resume      the same command, to the end; one video is broken and fails
repaired    the same command once that video is whole
added       the same command with one video more
again       the same command with nothing to do
verify      experiments.prepare --verify
metadata    reading the metadata of the set
start       dividing the videos, finding them in the records, the first plan and batch
evaluation  of the test part
report      of the run

A column that stays flat has nothing that grows faster than the data. The last four are measured on
at most 10,000 videos. The numbers of videos are measured with 2 classes, the numbers of classes
with --class_videos.
"""

import shutil
import tempfile
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks import figures, growth_measurements
from experiments.benchmarks.start_measurements import in_new_process

FLAGS = flags.FLAGS
PREPARING = ("prepare", "resume", "repaired", "added", "again", "verify")
USING = ("metadata", "start", "evaluation", "report")
PARTS = PREPARING + USING
MOST_USED = 10_000  # videos of a row that is evaluated
SHORTEST = 0.05  # seconds that are drawn; times are kept to 0.01 s
COLUMNS = "{:>7} {:>7} " + "{:>10} " * len(PARTS) + "{:>8} {:>8}"


def define_flags():
    """Defines the flags of `experiments.benchmark growth`."""
    flags.DEFINE_list(
        "videos", ["10", "100", "1000", "10000", "100000", "300000"], "Numbers of videos."
    )
    flags.DEFINE_list("classes", ["2", "101", "700"], "Numbers of classes.")
    flags.DEFINE_integer("class_videos", 3500, "Videos of the rows of classes.", lower_bound=10)
    flags.DEFINE_string("picture", None, "PNG file for a plot of the times.")
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def measure(folder, videos, classes):
    """A row of the table: seconds of processor of each of `PARTS`, and memory."""
    row = {"videos": videos, "classes": classes}
    row |= in_new_process(growth_measurements.preparation, folder, videos, classes)
    if videos <= MOST_USED:
        row |= in_new_process(growth_measurements.use, folder)
    return row


def points(rows, name):
    """Numbers of videos and milliseconds a video of a part, without times too short to measure."""
    ordered = sorted(rows, key=lambda row: row["videos"])
    return [
        (r["videos"], 1e3 * r[name] / r["videos"]) for r in ordered if r.get(name, 0) >= SHORTEST
    ]


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
            shutil.rmtree(folder)
            cells = [f"{1e3 * row[name] / videos:.2f}" if name in row else "" for name in PARTS]
            memory = row["preparation_memory"], row.get("memory", "")
            print(COLUMNS.format(videos, classes, *cells, *memory), flush=True)
            rows.append(row)
    if FLAGS.picture:
        draw([row for row in rows if row["classes"] == 2], FLAGS.picture)
    figures.write_output({"rows": rows})


if __name__ == "__main__":
    define_flags()
    program.run(main)
