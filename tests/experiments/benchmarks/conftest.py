import subprocess
import sys

import pytest


@pytest.fixture
def run_benchmark(request):
    """Function that runs `python -m experiments.benchmark ...` and returns the ended process."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "experiments.benchmark", *map(str, arguments)],
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
