import pytest

WITHOUT = "import sys; sys.modules[{package!r}] = None; from experiments import serve; serve.cli()"


@pytest.mark.parametrize("package", ["pebble", "fastapi", "python_multipart"])
def test_a_package_that_is_missing_is_a_line_that_says_what_to_install(run_python, package):
    done = run_python("-c", WITHOUT.format(package=package), "--model=/nowhere")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].endswith("is missing: pip install 'stfnet[serve]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--model=/nowhere"], "error: /nowhere does not exist; a run's folder"),
        (["--model=/nowhere", "--queue=0"], "error: flag --queue=0"),
        (["--model=/nowhere", "--host=192.0.2.1"], "error: --host=192.0.2.1 --port=7860: "),
    ],
)
def test_a_mistake_is_one_line(run_python, flags, line, tmp_path):
    pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")
    done = run_python("-m", "experiments.serve", *flags, TMPDIR=tmp_path, TF_CPP_MIN_LOG_LEVEL=None)
    assert done.returncode == 1
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
