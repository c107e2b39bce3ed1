"""The program that writes the page about a run."""

import re
import subprocess
import sys

import numpy as np

from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig
from stfnet.evaluation import evaluate, result_files


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_page_of_a_run_of_a_published_data_set_stands_beside_the_paper(tiny_records, tmp_path):
    workdir, output = tmp_path / "run", tmp_path / "report"
    config = RunConfig(
        "ucf11", tiny_records.classes, ModelConfig(3, ClipConfig(3, 4, 32)), TrainingConfig()
    )
    videos = run.draw_videos(tiny_records, config)
    with run.writing(workdir, config, videos):
        pass
    located = run.locate(videos, tiny_records)

    class First:
        """Stands in for a network that always answers the first class."""

        input = ("rgb", "flow")

        def predict_on_batch(self, inputs):
            return np.eye(3)[[0] * len(inputs["rgb"])]

    results = evaluate.evaluate(First(), tiny_records, config, videos, located)
    result_files.write(workdir, *results, tiny_records)
    done = _run(f"--workdir={workdir}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"written: {output / 'report.html'}\n"
    page = re.sub(r"<[^>]*>|\s+", " ", (output / "report.html").read_text())
    for text in ("Beside published figures", "two-stream LSTM 94.6 %", "33.3 % top-1"):
        assert text in re.sub(" +", " ", page)
