"""The whole way on rendered videos: prepare, train, evaluate, predict, report, export.

    python -m experiments.demo --output=runs/demo

Every step is one of the project's programs, and its command line is printed before it runs. A
demonstration that was stopped resumes where it was. The report of the two-stream network is written
while each stream alone is trained, as the ablation, which the report then has too. Ends with
results.json: top-1 on unseen groups of all of these.
"""

import contextlib
import json
import multiprocessing
import os
import runpy
import sys
import time
from pathlib import Path

from absl import flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
CONFIG = Path(__file__).with_name("configs") / "synthetic.py"
# What comes, in order, and the share of the time that it takes.
PLAN = (
    ("render clips and compute their optical flow; look at them", 0.25),
    ("train the network and test it on unseen groups", 0.3),
    ("train each stream alone; recognise a clip, explain the answer, report, export", 0.35),
    ("fuse the two streams, report again, the paper's tables", 0.1),
)


def define_flags():
    flags.DEFINE_string(
        "output", "runs/demo", "Folder for everything that the demonstration makes."
    )
    flags.DEFINE_integer(
        "groups", 24, "Groups (figure, background, camera) rendered.", lower_bound=4
    )
    flags.DEFINE_bool("ablation", True, "Also train each stream alone, and fuse the two.")


def step(name, *arguments):
    """Runs one program of the project and stops the demonstration where it fails."""
    process = begin(name, arguments)
    process.join()
    if process.exitcode:
        raise UserError(
            f"the demonstration stopped: experiments.{name} ended with status {process.exitcode}"
        )


def begin(name, arguments, log=None):
    """Starts a program in a process of its own, which has TensorFlow already; prints its command.

    Args:
        name: of the program.
        arguments: of its command line.
        log: file that takes what it prints.
    """
    command = f"python -m experiments.{name} {' '.join(map(str, arguments))}"
    print(f"\n$ {command} > {log} &" if log else f"\n$ {command}", flush=True)
    program.use_a_backend()
    # Windows forks no process.
    known = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in known else "spawn"
    multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_forkserver_preload(["experiments.preloaded"])
    process = multiprocessing.Process(target=perform, args=(name, list(map(str, arguments)), log))
    process.start()
    return process


def perform(name, arguments, log):
    """Runs a program in this process, as `python -m` would."""
    if log:
        with open(log, "w") as file:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(file.fileno(), stream.fileno())
        # Others compute beside it, and threads of small networks wait for each other.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    sys.argv = [name, *arguments]
    runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)


def training(streams, records, workdir):
    return (
        f"--config={CONFIG}",
        f"--config.model.streams={streams}",
        f"--records={records}",
        f"--workdir={workdir}",
    )


def evaluate(records, workdir, *arguments):
    step("evaluate", f"--workdir={workdir}", f"--records={records}", *arguments)
    return json.loads((workdir / "results.json").read_text())


@contextlib.contextmanager
def trained_beside(runs, records):
    """Trains runs while the block does something else, and waits for them at its end.

    Args:
        runs: dictionary of streams -> folder of the run, beside which `<run>.log` has its output.
        records: folder of the records.
    """
    started = {}
    try:
        for streams, workdir in runs.items():
            log = workdir.with_suffix(".log")
            started[log] = begin("train", training(streams, records, workdir), log)
        yield
        for log, process in started.items():
            process.join()
            if process.exitcode:
                raise UserError(f"the demonstration stopped: see {log}")
    finally:
        for process in started.values():
            process.terminate()
            process.join()


def held_out_video(workdir, videos):
    """An mp4 of the test part, from the list that the evaluation wrote."""
    name = (workdir / "predictions.csv").read_text().splitlines()[1].split(",")[0]
    return next(Path(videos).rglob(f"{name}.mp4"))


def main(_):
    from preprocessing import files

    started = time.monotonic()
    output = program.output_folder("output")
    records, videos, run = output / "records", output / "videos", output / "run"
    print("2 to 8 minutes on two cores:")
    print(*(f"{share:4.0%}  {text}" for text, share in PLAN), sep="\n", flush=True)
    step(
        "prepare",
        "--source=synthetic",
        f"--output={records}",
        f"--videos={videos}",
        f"--synthetic_groups={FLAGS.groups}",
        "--synthetic_clips=1",
        "--image_size=64",
    )
    step("inspect_records", f"--records={records}", f"--output={output}/inspect")
    step("train", *training("both", records, run))
    both = evaluate(records, run)
    video = held_out_video(run, videos)
    report = (f"--workdir={run}", f"--records={records}", f"--output={output}/report")
    runs = {streams: output / f"run-{streams}" for streams in ("rgb", "flow") if FLAGS.ablation}
    with trained_beside(runs, records):
        step("predict", f"--model={run}", f"--video={video}", f"--output={output}/predict")
        step("explain", f"--model={run}", f"--video={video}", f"--output={output}/explain")
        step("report", *report)
        step("export", f"--workdir={run}", f"--output={output}/export")
    results = {"both": both}
    results |= {streams: evaluate(records, workdir) for streams, workdir in runs.items()}
    if FLAGS.ablation:
        fuse = f"--fuse={runs['rgb']},{runs['flow']}:1.5"
        results["fused"] = evaluate(records, output / "run-fused", fuse)
    summary = {
        **{name: both[name] for name in ("dataset", "protocol", "top1", "top5", "chance")},
        "num_test": both["num_test"],
        "ablation": {name: result["top1"] for name, result in results.items()},
        "seconds": round(time.monotonic() - started),
    }
    files.write_text(output / "results.json", json.dumps(summary, indent=1) + "\n")
    if FLAGS.ablation:
        step("report", *report, f"--ablation={output / 'results.json'}")
    step("compare", f"--results={run}", f"--output={output}/compare")
    print(f"\n{json.dumps(summary, indent=1)}\n")
    for content, path in (
        ("rendered videos", videos),
        ("records", records),
        ("a sheet of clips and flow", output / "inspect" / "summary.html"),
        ("run", run),
        ("prediction and annotated mp4", output / "predict"),
        ("what the prediction rests on", output / "explain"),
        ("report", output / "report" / "report.html"),
        ("SavedModel", output / "export"),
        ("the paper's tables beside it", output / "compare"),
        ("results", output / "results.json"),
    ):
        print(f"{content:30s} {path}")


def cli():
    define_flags()
    program.run(main)


if __name__ == "__main__":
    cli()
