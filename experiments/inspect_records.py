"""Shows what a record set holds: a page about the whole, and a contact sheet of one video.

    python -m experiments.inspect_records --records=RECORDS [--video=ID] --output=DIR

DIR/summary.html has the class balance, lengths, mean motion, splits with their leaks, failures and
notes. DIR/<ID>.png has the video's frames above and its optical flow below, coloured by the wheel
beside its scale in pixels. Without --video it shows a typical one of the class that moves most.
"""

from pathlib import Path

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_string("records", None, "Folder of the record set.")
flags.DEFINE_string("video", None, "Id of the video for the contact sheet.")
flags.DEFINE_string("output", None, "Folder for the page and the picture.")
flags.mark_flags_as_required(["records", "output"])

_SHOWN_FAILURES = 50


def main(_):
    output = program.output_folder("output")
    from preprocessing import files, records
    from preprocessing.records import contact_sheet, summary
    from stfnet.drawing.annotation import to_png

    record_set = records.load_record_set(FLAGS.records, every_class=True)
    figures = summary.summarise(record_set)
    video = summary.choose_video(record_set, figures, FLAGS.video)
    output.mkdir(parents=True, exist_ok=True)
    png = to_png(contact_sheet.contact_sheet(record_set, video))
    # An id may be a path, where a data set repeats file names.
    picture = output / f"{video.id.replace('/', '-')}.png"
    with files.writing(picture) as file:
        file.write(png)
    files.write_text(output / "summary.html", _page(record_set, figures, video, png))
    print(f"written: {picture}")
    print(f"written: {output / 'summary.html'}")


def _page(record_set, figures, video, png) -> str:
    import jinja2

    from preprocessing import splits
    from stfnet.drawing.annotation import data_url

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    page = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return page.get_template("inspect_records.html.jinja").render(
        record_set=record_set,
        summary=figures,
        picture=data_url("image/png", png),
        pictured=video.id,
        shown_failures=_SHOWN_FAILURES,
        leak_text=splits.leak_text,
    )


cli = program.entry(main)
