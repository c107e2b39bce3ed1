import base64
from concurrent.futures import Future

import cv2
import numpy as np
import pytest

pytest.importorskip("pydantic", reason="needs pip install -e '.[serve]'")

from preprocessing.errors import UserError
from stfnet.serving import worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tiny_run):
    return worker._open(str(tiny_run), "fast")


def _use(monkeypatch, opened):
    """Has a network, or what was wrong with it, in the place of what a process opens."""
    done = Future()
    if isinstance(opened, Exception):
        done.set_exception(opened)
    else:
        done.set_result(opened)
    monkeypatch.setattr(worker, "_opened", done)


@pytest.fixture
def of_run(opened, monkeypatch):
    _use(monkeypatch, opened)


def _shape(picture):
    """Shape of a PNG in base64."""
    content = np.frombuffer(base64.b64decode(picture), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR).shape


def test_a_run_predicts_as_the_program_does_and_explains(of_run, moving_square, tiny_run, tmp_path):
    from stfnet.inference import prediction

    model, config = prediction.load_run(tiny_run)
    expected, _ = prediction.predict_video(model, config, moving_square)
    network = worker.describe()
    expected_network = {"dataset": "tiny", "classes": ["Bow", "Jump", "Wave"], "explains": True}
    assert network.model_dump() == expected_network
    answer = worker.recognise(str(moving_square), 5)
    assert answer.picture is None and (answer.num_frames, answer.fps) == (11, 20)
    assert answer.seconds == pytest.approx(0.55)
    assert [frame.number for frame in answer.frames] == [0, 3, 6]
    assert [frame.seconds for frame in answer.frames] == pytest.approx([0, 0.15, 0.3])
    probabilities = answer.probabilities
    np.testing.assert_allclose([probabilities[c] for c in network.classes], expected, atol=1e-6)
    (tmp_path / "video").write_bytes(moving_square.read_bytes())
    drawn = worker.recognise(str(tmp_path / "video"), 5, picture=True, film=True)
    assert min(_shape(drawn.picture)[:2]) > 300
    assert base64.b64decode(drawn.film) == (tmp_path / "film.webm").read_bytes()
    assert drawn.probabilities == pytest.approx(probabilities, abs=1e-4)


def test_half_precision_predicts_and_is_explained_by_one_copy(
    half_network, moving_square, monkeypatch
):
    opened, copies = worker._open(str(half_network), "fast"), []
    _use(monkeypatch, opened)
    set_weights = type(opened.model).set_weights
    monkeypatch.setattr(
        type(opened.model),
        "set_weights",
        lambda self, weights: (copies.append(self), set_weights(self, weights)),
    )
    for _ in range(2):
        assert worker.recognise(str(moving_square), 5, picture=True).picture
    (copy,) = copies
    assert (opened.model.compute_dtype, copy.compute_dtype) == ("bfloat16", "float32")


def test_an_export_predicts_and_shows_frames_and_flow(
    opened, of_run, moving_square, tmp_path, monkeypatch
):
    from stfnet.export.saved_model import export_saved_model

    export_saved_model(opened.model, opened.config, tmp_path / "export")
    of_export = worker._open(str(tmp_path / "export"), "fast")
    assert not of_export.network.explains
    before = worker.recognise(str(moving_square), 5)
    _use(monkeypatch, of_export)
    answer = worker.recognise(str(moving_square), 5, picture=True, film=True)
    assert answer.probabilities == pytest.approx(before.probabilities, abs=1e-4)
    assert _shape(answer.picture) == (264, 3 * 132, 3) and answer.film is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut.mp4", "the video "),
        ("playlist.mp4", "the video is no video, whatever its extension"),
        ("text.mp4", "the video is no video, whatever its extension"),
        ("empty.mp4", "the video is empty"),
        ("long.mp4", "the video is longer than 5 s"),
        ("one.mp4", "the video: .*at least 2"),
    ],
)
def test_a_bad_file_is_refused_without_its_name(of_run, films_of_all_kinds, name, message):
    with pytest.raises(UserError, match=f"^{message}") as caught:
        worker.recognise(str(films_of_all_kinds / name), 5)
    assert str(films_of_all_kinds) not in str(caught.value)


def test_what_of_a_video_was_repaired_is_said_without_its_name(of_run, interlaced_video):
    answer = worker.recognise(str(interlaced_video), 5)
    assert answer.notes == ["the video is interlaced: its frames were deinterlaced"]


def test_a_folder_without_a_network_is_said_later(monkeypatch, tmp_path):
    with pytest.raises(UserError) as caught:
        worker._open(str(tmp_path), "reference")
    _use(monkeypatch, caught.value)
    with pytest.raises(UserError, match=r"config\.json"):
        worker.describe()
