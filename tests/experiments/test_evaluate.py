"""The flags of the evaluation, as a person gives them, and runs that cannot be written."""

import os
import shutil

import pytest

from preprocessing import splits
from stfnet import run


def test_the_choices_of_the_flags_are_those_of_the_library(run_program):
    text = " ".join(run_program("evaluate", "--help").stdout.split())
    for flag, choices in (("protocol", splits.PROTOCOLS), ("split", (*run.PARTS, "unseen"))):
        assert f"--{flag}: <{'|'.join(choices)}>" in text


def test_mistakes_are_one_line(check_mistakes, tiny_records, tmp_path):
    mistakes = [
        (["--split=all"], "--split"),
        (["--folds=all", "--fold=2"], "--folds names the splits: leave --protocol and --fold out"),
        ([], "does not exist; a run's folder"),
        (["--mirror_pairs=a:b"], "--mirror_pairs has no effect without --flip"),
        (["--fuse=a,b", "--split=val"], "--split has no effect with --fuse"),
        (["--fuse=a"], "--fuse=a names one run"),
        (["--fuse=a,b"], "a/results.json is missing: run experiments.evaluate --workdir=a first"),
        (["--timing", "--flip"], "--flip has no effect with --timing"),
        (["--num_clips=0"], "--num_clips"),
        (["--fuse=a,b", "--output=c"], "--output has no effect with --fuse"),
        (["--output=/proc/x"], "--output=/proc/x: /proc cannot be written"),
    ]
    places = (f"--records={tiny_records.folder}", f"--workdir={tmp_path / 'none'}")
    check_mistakes("evaluate", [((*places, *case), text) for case, text in mistakes])


@pytest.fixture
def evaluate_as_user(run_often):
    """Function of lists of flags: `run_often` without root's right to every file."""
    limits = []
    if os.geteuid() == 0:
        limits = [shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all"]
        if not limits[0]:
            pytest.skip("no setpriv to give up the rights of root")
    return lambda *lists: run_often("evaluate", lists, begin=limits)


@pytest.fixture
def read_only_run(make_run, tiny_records):
    """A run of `tiny_records` whose folder cannot be written."""
    folder = make_run(record_set=tiny_records)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_run_that_cannot_be_written_is_told_before_the_work(
    evaluate_as_user, read_only_run, tiny_records, tmp_path
):
    places = (f"--records={tiny_records.folder}", f"--workdir={read_only_run}")
    output = tmp_path / "results" / "here"
    *refused, cache, done = evaluate_as_user(
        *((*places, *more) for more in ([], ["--timing"])),
        (*places, f"--output={output}", "--cache=features"),
        (*places, f"--output={output}"),
    )
    line = (
        f"error: {read_only_run} cannot be written (Permission denied): experiments.evaluate"
        " --output=DIR writes the results elsewhere\n"
    )
    assert refused == [[1, "", line]] * 2
    status, printed, errors = cache
    assert status == 1 and not printed, cache
    maps = f"--cache_dir={read_only_run / run.FEATURES_FOLDER}"
    reason = f"{read_only_run} cannot be written (Permission denied)"
    assert errors.splitlines()[-1] == f"error: {maps}: {reason}: name another place"
    status, printed, errors = done
    assert status == 0, errors
    assert f"written: {output / 'results.json'}" in printed
    assert (output / "predictions.csv").is_file()
    assert not (read_only_run / "results.json").exists()


def test_a_network_that_cannot_be_read_is_told(
    evaluate_as_user, read_only_run, tiny_records, tmp_path
):
    (read_only_run / run.BEST_FILE).chmod(0)
    places = (f"--records={tiny_records.folder}", f"--workdir={read_only_run}")
    ((status, _, errors),) = evaluate_as_user((*places, f"--output={tmp_path / 'results'}"))
    assert status == 1
    line = errors.splitlines()[-1]
    assert line.startswith(
        f"error: {read_only_run / run.BEST_FILE} cannot be read (Permission denied)"
    )
    assert "train" not in line


def test_results_do_not_go_into_another_run(read_only_run, tiny_records, make_run, check_mistakes):
    other = make_run()
    flags = (f"--records={tiny_records.folder}", f"--workdir={read_only_run}", f"--output={other}")
    check_mistakes("evaluate", [(flags, f"{other} holds another run")])
