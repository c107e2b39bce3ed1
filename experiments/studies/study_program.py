"""What `ablate` and `compare --study` share: from a configuration and records to the tables."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.run_config import chooses_streams, make_run_config
from experiments.studies import runs, study_tables
from experiments.studies.variants import Study
from preprocessing import records
from preprocessing.errors import UserError
from stfnet import run
from stfnet.clips import plans
from stfnet.evaluation import timing
from stfnet.evaluation.table_formats import to_markdown
from stfnet.run.config import RunConfig
from stfnet.training import strategies
from stfnet.training.preemption import Preempted

TIMES_FILE = "prediction_times.json"  # in the folder of the studies


def run_studies(
    config,
    records_folder: Path,
    output: Path,
    choose: Callable[[RunConfig], Sequence[Study]],
    seeds: int,
    cache: str,
    maps_folder: Path | None = None,
    factors: Sequence[float] = (),
) -> int:
    """Runs the studies that are chosen for a configuration, writes and prints their tables, and
    returns the exit status.

    The configuration is the ml_collections.ConfigDict of a file; `choose` gives the studies on it.
    So many `seeds` are trained of each value, and with `factors` of its learning rates that are
    tried. `cache` is that of `--cache`; its maps are in `output` unless another folder is given.
    """
    record_set = records.load_record_set(records_folder)
    if chooses_streams(config):
        raise UserError(
            "the configuration chooses its streams, and a study compares fixed settings: give "
            "--config.model.streams=both, rgb or flow"
        )
    base = make_run_config(config, record_set)
    plans.check_records(record_set, base)
    studies = choose(base)
    for study in studies:
        runs.check(study, base, record_set, cache, factors)
    strategy = strategies.make_strategy()  # after `check`: it would wait for other workers
    runner = runs.Runner(
        record_set,
        output,
        seeds,
        (maps_folder or output / run.FEATURES_FOLDER) if cache == "features" else None,
        {"strategy": strategy, "cache_in_memory": cache == "memory"},
    )
    with runs.writing(output, base, record_set):
        for study in studies:
            try:
                trained = runner.run_study(study, base, factors)
            except Preempted as stop:
                print(stop, file=sys.stderr)
                return stop.status
            times = None
            if study.of_networks:
                folders = {name: one.outcomes[0].folder for name, one in trained.items()}
                times = timing.time_in_turns(folders, record_set, output / TIMES_FILE)
            table, paths = study_tables.write(output, study, trained, record_set, times)
            print(f"\n{to_markdown(table)}\nwritten: {', '.join(map(str, paths))}\n", flush=True)
    return 0
