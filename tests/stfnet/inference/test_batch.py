import shutil

import numpy as np
import pytest
from helpers import read_csv

from benchmarks import films
from preprocessing.errors import UserError
from stfnet.inference import batch, prediction


@pytest.fixture
def folder(tmp_path):
    """A folder of three videos in two folders, with a text and a broken video between them."""
    for k, name in enumerate(("a/one.mp4", "a/two.mp4", "b/three.mp4")):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        films.write_video(path, films.moving_textures(9 + k, 64, 48), films.MPEG_4, 20)
    (tmp_path / "videos" / "a" / "broken.mp4").write_text("no video")
    (tmp_path / "videos" / "notes.txt").write_text("no list of these")
    return tmp_path / "videos"


def test_one_name_is_one_video(moving_square, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "0.png").touch()
    for path in (moving_square, images, tmp_path / "missing.mp4"):
        assert batch.find([str(path)]) == ([path], False)
    assert batch.find([]) == ([], False)


def test_a_folder_a_list_a_pattern_and_several_names_are_many(folder, monkeypatch):
    names = ["a/broken.mp4", "a/one.mp4", "a/two.mp4", "b/three.mp4"]
    every = [folder / name for name in names]
    assert batch.find([str(folder)]) == (every, True)
    listed = folder.parent / "list.txt"
    listed.write_text(f"videos/a/two.mp4\n\n{every[3]}\nvideos/a/two.mp4\n")
    assert batch.find([str(listed)]) == ([every[2], every[3]], True)
    assert batch.find([f"{folder}/*/t*"]) == ([every[2], every[3]], True)
    assert batch.find([f"{folder}/**/*.mp4"]) == (every, True)
    assert batch.find([str(every[1]), str(every[3])]) == ([every[1], every[3]], True)
    assert batch.find([str(every[3]), str(folder)]) == ([every[3], *every[:3]], True)
    strange = shutil.copy(every[1], folder / "take[1].mp4")  # a file, and no pattern
    assert batch.find([str(strange)]) == ([strange], False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://example.org/a.mp4", "is an address: give --live=http://example.org/a.mp4"),
        ("nothing/*.mp4", "names no video"),
        ("empty.txt", "names no video"),
    ],
)
def test_a_name_without_a_video_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UserError) as refusal:
        batch.find([name])
    assert message in str(refusal.value)


def test_each_video_has_the_answer_that_it_has_alone(tiny_run, folder, tmp_path):
    model, config = prediction.load_run(tiny_run)
    paths, _ = batch.find([str(folder)])
    paths.append(tmp_path / "missing.mp4")
    lines, errors = [], []
    show, complain = lines.append, errors.append
    unread = batch.predict(model, config, paths, tmp_path / "new", "fast", show, complain)
    assert unread == 2
    assert len(lines) == 3 and sorted(line.split()[0] for line in (*lines, *errors)) == list(
        "12345"
    )
    broken, missing = sorted(errors, key=lambda line: "missing" in line)
    assert "broken.mp4 is no video" in broken and "missing.mp4 does not exist" in missing
    rows = read_csv(tmp_path / "new" / "predictions.csv")
    assert [row["file"] for row in rows] == [str(path) for path in paths[1:4]]
    for row in rows:
        alone, _ = prediction.predict_video(model, config, row["file"])
        np.testing.assert_allclose([float(row[f"p:{c}"]) for c in config.classes], alone, atol=1e-5)
        assert row["class"] == config.classes[alone.argmax()]
        assert float(row["probability"]) == pytest.approx(alone.max(), abs=1e-5)
        (line,) = (line for line in lines if f" {row['file']} " in line)
        assert f"{row['class']} {alone.max():.1%}" in line


def test_what_was_done_until_ctrl_c_is_written(tiny_run, folder, tmp_path):
    model, config = prediction.load_run(tiny_run)
    paths, _ = batch.find([str(folder / "b"), str(folder / "a")])

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.predict(model, config, paths, tmp_path / "new", show=stop, complain=print)
    assert len(read_csv(tmp_path / "new" / "predictions.csv")) == 1


def test_the_processes_that_read_load_no_tensorflow(run_python):
    program = "import sys; import stfnet.inference.batch; assert 'tensorflow' not in sys.modules"
    program += "; assert 'keras' not in sys.modules"
    assert run_python("-c", program).returncode == 0
