import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from helpers import wait_until

pytest.importorskip("fastapi_offline", reason="needs pip install -e '.[serve]'")
pytest.importorskip("pebble", reason="needs pip install -e '.[serve]'")

from preprocessing.errors import UserError
from stfnet.serving import server

pytestmark = pytest.mark.slow  # only because make test does not install what it needs


def test_temporary_files_go_with_the_server_and_with_one_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with server.temporary_folder() as place:
        assert Path(tempfile.gettempdir()) == place and place.stat().st_mode & 0o777 == 0o700
        (place / "a").mkdir()
        (place / "a" / "video").touch()
    assert list(tmp_path.iterdir()) == [] and tempfile.gettempdir() == str(tmp_path)
    left = place.with_name(place.name.replace(str(os.getpid()), "4194304"))  # above all numbers
    left.mkdir()
    other = tmp_path / "other"
    other.touch()
    with server.temporary_folder():
        assert not left.exists() and other.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_a_line(host):
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with server.listening(host, 0) as first:
        port = first.getsockname()[1]
        wrong = pytest.raises(UserError, match=f"--port={port}: .*another --port")
        with wrong, server.listening(host, port):
            pass


def test_an_address_of_another_machine_is_a_line():
    with pytest.raises(UserError, match=r"--host=192\.0\.2\.1"), server.listening("192.0.2.1", 0):
        pass


def test_sigterm_while_it_computes_ends_it_soon_and_leaves_nothing(
    start_server, tiny_run, tmp_path, films_of_all_kinds
):
    httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
    pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")
    film, answers = (films_of_all_kinds / "plays.webm").read_bytes(), []

    def send():
        answer = httpx.post(f"{running.url}/api/predict", files={"video": film}, timeout=120)
        answers.append(answer)

    with start_server(tmp_path / "tmp", model=tiny_run, queue=30, grace=1) as running:
        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: running.get("/health").json()["in_hand"] >= 20 - len(answers))
        assert running.terminate() == 0
        for thread in threads:
            thread.join()
    assert list(running.temporary.iterdir()) == []
    assert "Traceback" not in running.log.read_text()
    statuses = [answer.status_code for answer in answers]
    assert len(statuses) == 20 and set(statuses) <= {200, 503} and 503 in statuses


def test_a_server_of_a_head_answers_as_the_run_and_explains(
    start_server, frozen_run, squares_head, notop, moving_square, tmp_path
):
    from stfnet.inference import prediction

    httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
    model, config = prediction.load_run(frozen_run)
    expected, _ = prediction.predict_video(model, config, moving_square)
    with start_server(tmp_path / "tmp", model=f"{squares_head}:{notop}") as running:
        assert "without explanation" not in running.log.read_text()
        answer = httpx.post(
            f"{running.url}/api/predict?picture=true",
            files={"video": moving_square.read_bytes()},
            timeout=120,
        ).json()
    want = dict(zip(config.classes, expected.tolist(), strict=True))
    assert answer["probabilities"] == pytest.approx(want, abs=1e-3) and answer["picture"]
