"""Flags without effect beside others, places that cannot be written, programs started by path."""

import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

PREPARE = ("--source=folder:/nowhere", "--output=new")
TRAIN = ("--config=synthetic.py", "--records=/nowhere", "--workdir=new")
ABLATE = ("--config=synthetic.py", "--records=/nowhere", "--output=new", "--study=streams")
FEATURES = ("--records=/nowhere", "--output=new")
EXPORT = ("--workdir=/nowhere", "--output=new")
LIVE = ("--model=/nowhere", "--live=0")
TIMELINE = ("--model=/nowhere", "--video=v", "--output=o", "--timeline")
CASES = {
    "prepare": [
        ((*PREPARE, "--runner=beam", "--workers=2"), "--workers has no effect with --runner=beam"),
        ((*PREPARE, "--runner=beam", "--flow_batch=2"), "--flow_batch has no effect with --runner"),
        ((*PREPARE, "--beam_options=x"), "--beam_options has no effect with --runner=local"),
        ((*PREPARE, "--flow_batch=2"), "--flow_batch has no effect with --flow_method=opencv"),
        (
            (*PREPARE, "--flow_method=keras", "--flow_quality=reference"),
            "--flow_quality has no effect with --flow_method=keras",
        ),
        (
            (*PREPARE, "--flow=given", "--flow_method=keras"),
            "--flow_method has no effect with --flow=given",
        ),
        (
            ("--source=synthetic", "--output=new", "--flow=given"),
            "--flow has no effect with --source=synthetic",
        ),
        (
            (*PREPARE, "--image_format=png", "--jpeg_quality=90"),
            "--jpeg_quality has no effect with --image_format=png",
        ),
        (
            (*PREPARE, "--flow_length=2"),
            "--flow_length has no effect with --frame_grid=0",
        ),
        ((*PREPARE, "--frame_grid=16", "--flow_length=2"), "video folder /nowhere does not"),
        ((*PREPARE, "--seed=1"), "--seed has no effect with --source=folder:/nowhere"),
        ((*PREPARE, "--synthetic_clips=1"), "--synthetic_clips has no effect with --source"),
        ((*PREPARE, "--videos=there"), "--videos has no effect with --source=folder:/nowhere"),
        (("--verify=/nowhere", "--image_size=32"), "--image_size has no effect with --verify"),
        (("--verify=/nowhere", "--classes=a"), "--classes has no effect with --verify"),
        ((*PREPARE, "--flow_bound=-1"), "flow_bound=-1.0 is not a number in (0, 10000]"),
        ((*PREPARE, "--output=a_file/x"), "/a_file is no folder: name another place"),
        (("--output=new",), "--source is missing"),
        (("--source=magic", "--output=new"), "source 'magic' is unknown: it is one of synthetic"),
        (("--verify=/nowhere",), "records folder /nowhere does not exist"),
        (("--source=synthetic", "--output=new", "--jpeg_quality=0"), "jpeg_quality=0 is not"),
        # And with an effect each is taken, up to the videos that are not there.
        ((*PREPARE, "--flow_method=keras", "--flow_batch=2"), "video folder /nowhere does not"),
    ],
    "train": [
        ((*TRAIN, "--logical_cpus=2"), "--logical_cpus has no effect without --strategy=mirrored"),
        ((*TRAIN, "--cache_dir=there"), "--cache_dir has no effect without --cache=disk or"),
        ((*TRAIN, "--workdir=a_file"), "--workdir=a_file: a_file is no folder"),
    ],
    "evaluate": [
        (
            ("--records=r", "--workdir=w", "--baseline_weights=imagenet"),
            "--baseline_weights has no effect without --baselines",
        ),
        (
            ("--records=r", "--workdir=w", "--cache_dir=there"),
            "--cache_dir has no effect without --cache=features",
        ),
        (
            ("--records=r", "--workdir=w", "--cache=features", "--flip"),
            "--cache has no effect with --num_clips or --flip",
        ),
    ],
    "ablate": [
        (("--list", "--seeds=2"), "--seeds has no effect with --list: leave it out"),
        (ABLATE[:-1], "--study is missing (--help lists the flags, --list the studies)"),
        (ABLATE[1:], "--config is missing"),
        ((*ABLATE, "--cache_dir=there"), "--cache_dir has no effect without --cache=features"),
        ((*ABLATE, "--output=a_file"), "--output=a_file: a_file is no folder"),
        ((*ABLATE, "--study=all", "--seeds=2"), "/nowhere does not exist"),
    ],
    "features": [
        (FEATURES, "one of --weights=FILE.h5 (or imagenet) and --network=RUN is needed"),
        ((*FEATURES, "--weights=a.h5", "--network=r"), "one of --weights=FILE.h5 (or imagenet)"),
        ((*FEATURES, "--network=r", "--output=a_file"), "--output=a_file: a_file is no folder"),
    ],
    "report": [
        (
            ("--workdir=w", "--output=o", "--nograd_cam"),
            "--grad_cam has no effect without --records",
        ),
    ],
    "export": [
        ((*EXPORT, "--records=r"), "--records has no effect with --format=saved_model"),
        ((*EXPORT, "--format=serving", "--records=r"), "--records has no effect with --format=s"),
        ((*EXPORT, "--clips=9"), "--clips has no effect with --format=saved_model: leave it out"),
        ((*EXPORT, "--format=onnx", "--jit_compile"), "--jit_compile has no effect with --format"),
        ((*EXPORT, "--format=head", "--jit_compile"), "--jit_compile has no effect with --format"),
        ((*EXPORT, "--format=head", "--clips=9"), "--clips has no effect with --format=head"),
        ((*EXPORT, "--format=serving", "--jit_compile"), "/nowhere does not exist; a run's folder"),
    ],
    "predict": [
        ((*LIVE, "--top=3"), "--top has no effect with --live"),
        ((*LIVE, "--video_format=webm"), "--video_format has no effect with --live without"),
        (("--model=m", "--video=v", "--output=o", "--interval=3"), "--interval has no effect with"),
        ((*LIVE, "--timeline"), "--timeline needs --video=FILE"),
        ((*TIMELINE, "--video=w"), "--timeline is of one video: --video names several"),
        ((*TIMELINE, "--video=rtsp://here/1"), "is an address: give --live=rtsp://here/1"),
        (
            ("--model=m", "--video=v", "--video=w", "--output=o", "--top=3"),
            "--top has no effect with many videos",
        ),
        ((*LIVE, "--stride=3"), "--stride has no effect without --timeline"),
        ((*TIMELINE, "--top=3"), "--top has no effect with --timeline"),
        ((*TIMELINE, "--video_format=webm"), "--video_format has no effect with --timeline"),
        ((*TIMELINE, "--interval=2", "--stride=4"), "/nowhere does not exist; a run's folder"),
        ((*LIVE, "--output=a_file"), "--output=a_file: a_file is no folder"),
    ],
}


@pytest.mark.parametrize("program", CASES)
def test_a_flag_that_would_do_nothing_is_refused_before_the_work(check_mistakes, program, tmp_path):
    (tmp_path / "a_file").touch()
    config = f"--config={EXPERIMENTS / 'configs' / 'synthetic.py'}"
    mistakes = [
        ([config if one == "--config=synthetic.py" else one for one in case], message)
        for case, message in CASES[program]
    ]
    check_mistakes(program, mistakes, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


def test_no_module_of_the_programs_hides_one_of_the_standard_library():
    names = {path.stem for path in EXPERIMENTS.iterdir()}
    assert not names & sys.stdlib_module_names


def test_a_program_can_be_started_by_its_path(run_python):
    line = "error: --config is missing (--help lists the flags)"
    done = run_python(EXPERIMENTS / "train.py")
    errors = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert done.returncode == 1 and errors == [line] and "Traceback" not in done.stderr
