"""The notebook for one's own videos, executed as a person would, on rendered videos."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "own_videos.ipynb"
CHANGED = "\nGROUPS, EPOCHS = 4, 1\n"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_kept_without_results(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_goes_from_videos_to_a_prediction(notebook, tmp_path):
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    parameters.source += CHANGED
    client = nbclient.NotebookClient(
        notebook, timeout=800, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    kinds = [kind for output in outputs for kind in output.get("data", ())]
    assert kinds.count("image/png") == 3
    text = "".join(output.get("text", "") for output in outputs)
    assert "48 videos of 12 classes" in text
    assert "(8, 6, 64, 64, 3)" in text and "(8, 6, 64, 64, 8)" in text  # rgb, and flow of 2L
    assert re.search(r"test accuracy \d+\.\d%, most frequent class 8\.3%", text)
    answers = re.findall(r"^ *(\d+\.\d)%  \w+", text, re.MULTILINE)
    assert len(answers) == 3 and answers == sorted(answers, key=float, reverse=True)
    assert (tmp_path / "work" / "best.keras").stat().st_size > 1000
