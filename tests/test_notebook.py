"""The notebook for one's own videos, executed as a person would, on rendered videos."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "own_videos.ipynb"
# No weights of ImageNet here, and few epochs.
CHANGED = '\nSTART = "scratch"\nSETTINGS = ["--config.training.max_epochs=1,1"]\n'


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
    assert kinds.count("image/png") == 4
    assert any("webm" in str(output.get("data", {}).get("text/html")) for output in outputs)
    text = "".join(output.get("text", "") for output in outputs)
    assert "48 videos of 12 classes" in text and "top-1" in text
    work = tmp_path / "work"
    for name in ("export/saved_model.pb", "report/report.html", "explanation/explanation.mp4"):
        assert (work / name).stat().st_size > 1000
