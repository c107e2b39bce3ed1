"""The flags of the evaluation, as a person gives them."""

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
    ]
    places = (f"--records={tiny_records.folder}", f"--workdir={tmp_path / 'none'}")
    check_mistakes("evaluate", [((*places, *case), text) for case, text in mistakes])
