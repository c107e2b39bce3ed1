"""Writes Tables 1 and 2 of the paper with our results, and its times beside ours.

    python -m experiments.compare --results=RUN,RUN --output=DIR

--results names folders with a results.json: runs, folders of several folds, fused results. Without
--output the tables are only printed. With it they are written as comparison.md, and each table as
CSV, LaTeX and PNG. What was not run is a dash, with the command that would fill it.
"""

from absl import flags

from experiments import program

FLAGS = flags.FLAGS
flags.DEFINE_list("results", [], "Folders of evaluated runs, separated by commas.")
flags.DEFINE_string("output", None, "Folder for the tables.")


def main(_):
    folder = program.output_folder("output") if FLAGS.output else None
    program.start_tensorflow()
    from experiments import comparison
    from stfnet.evaluation import tables

    results = [comparison.read_result(name) for name in FLAGS.results]
    if folder:
        paths = comparison.write(folder, results)
    for table in comparison.tables_of(results):
        print(tables.to_markdown(table))
    if folder:
        print(f"written: {', '.join(map(str, paths))}")
    return 0


def cli():
    program.run(main)


if __name__ == "__main__":
    cli()
