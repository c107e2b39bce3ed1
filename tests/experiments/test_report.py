"""The program that writes the page about a run."""

import re

import numpy as np
import pytest

from experiments import run_config
from preprocessing import files
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.evaluation import evaluate, result_files
from stfnet.run.config import RunConfig


def test_the_page_of_a_run_of_a_published_data_set_stands_beside_the_paper(
    run_program, tiny_records, tmp_path
):
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
    part = "ucf11 (3 of 11 classes, 24 of 1600 clips)"
    result_files.write(workdir, results[0] | {"dataset": part}, *results[1:], tiny_records)
    done = run_program("report", f"--workdir={workdir}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    page = (output / "report.html").read_text()
    assert f"<h1>STFNet on {part}</h1>" in page and "published figures" not in page
    result_files.write(workdir, *results, tiny_records)
    done = run_program("report", f"--workdir={workdir}", f"--output={output}")
    assert re.fullmatch(rf"written: {output / 'report.html'} \(0\.\d MB\)\n", done.stdout)
    page = re.sub(r"<[^>]*>|\s+", " ", (output / "report.html").read_text())
    for text in ("Beside published figures", "two-stream LSTM 94.6 %", "33.3 % top-1"):
        assert text in re.sub(" +", " ", page)


@pytest.mark.slow
def test_the_answers_of_a_network_are_explained_in_films(
    run_program, make_run, tiny_records, tmp_path
):
    workdir, output = make_run(record_set=tiny_records), tmp_path / "report"
    evaluate.evaluate_run(workdir, tiny_records)
    records = f"--records={tiny_records.folder}"
    done = run_program("report", f"--workdir={workdir}", records, f"--output={output}", "--clips=2")
    assert done.returncode == 0, done.stderr
    page = (output / "report.html").read_text()
    assert page.count("<video") == 2 and "The third picture is Grad-CAM of the answer" in page
    width = 3 * 224
    assert f'width="{width}"' in page


def test_a_folder_of_several_folds_is_refused_with_what_to_name_instead(run_program, tmp_path):
    for fold in ("1", "2"):
        folder = run_config.run_of_fold(tmp_path, fold)
        folder.mkdir()
        files.write_json(folder / run.CONFIG_FILE, {})
    files.write_json(tmp_path / "results.json", {"folds": {}})
    done = run_program("report", f"--workdir={tmp_path}", f"--output={tmp_path / 'report'}")
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path} holds the runs of several folds" in line
    assert f"--workdir={tmp_path / 'fold-1'}" in line
    assert not (tmp_path / "report").exists()
