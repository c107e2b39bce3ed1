"""The REST endpoint of a server that runs, and what it must survive."""

import base64
import concurrent.futures
import contextlib
import itertools
import json
import socket
import time

import cv2
import numpy as np
import pytest

from preprocessing import video

httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n'
    b"Content-Type: video/mp4\r\n\r\n"
)


def _send(server, path, name="a.mp4", **query):
    with path.open("rb") as file:
        files, address = {"video": (name, file)}, f"{server.url}/api/predict"
        return httpx.post(address, files=files, params=query, timeout=300)


def _lives(server, moving_square):
    answer = _send(server, moving_square)
    assert answer.status_code == 200, answer.text
    assert httpx.get(f"{server.url}/health").json()["in_hand"] == 0
    assert server.left() == []
    return answer.json()


def test_a_video_is_recognised(server, moving_square):
    answer = _lives(server, moving_square)
    assert answer["label"] == next(iter(answer["probabilities"]))
    assert set(answer["probabilities"]) == {"Bow", "Jump", "Wave"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert (answer["num_frames"], answer["fps"], answer["notes"]) == (11, 20, [])
    assert [frame["number"] for frame in answer["frames"]] == [0, 3, 6]
    assert answer["frames"][1]["seconds"] == pytest.approx(0.15)
    assert answer["took"] > 0
    assert answer["picture"] is None and answer["film"] is None


@pytest.mark.parametrize(("picture", "film"), [(True, False), (False, True), (True, True)])
def test_pictures_come_on_request(server, moving_square, picture, film, tmp_path):
    answer = _send(server, moving_square, picture=picture, film=film).json()
    assert (answer["picture"] is not None, answer["film"] is not None) == (picture, film)
    if picture:
        content = np.frombuffer(base64.b64decode(answer["picture"]), np.uint8)
        assert min(cv2.imdecode(content, cv2.IMREAD_COLOR).shape[:2]) > 300
    if film:
        (tmp_path / "film.webm").write_bytes(base64.b64decode(answer["film"]))
        assert len(list(video.read_frames(tmp_path / "film.webm"))) == 11
    assert server.left() == []


@pytest.mark.parametrize(
    "name", ["cut.mp4", "playlist.mp4", "text.mp4", "empty.mp4", "long.mp4", "one.mp4"]
)
def test_a_bad_file_is_refused_and_leaves_no_trace(server, films_of_all_kinds, moving_square, name):
    answer = _send(server, films_of_all_kinds / name, "../../etc/\x01passwd")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("the video")
    assert "/" not in answer.json()["detail"] and "Traceback" not in answer.text
    _lives(server, moving_square)


def test_a_form_without_a_video_is_refused(server):
    assert httpx.post(f"{server.url}/api/predict").status_code == 422
    answer = httpx.post(f"{server.url}/api/predict", data={"video": "/etc/hostname"})
    assert answer.status_code == 422 and "Traceback" not in answer.text
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{server.url}/api/predict", content=FORM[:40], headers=broken)
    assert answer.status_code in (400, 422)


def test_a_file_that_declares_two_gigabytes_is_not_read(server, moving_square):
    host, port = server.url.removeprefix("http://").split(":")
    begin = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2000000000\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 413") and b"connection: close" in answer.lower()
    assert time.monotonic() - begin < 30
    _lives(server, moving_square)


def test_a_file_that_streams_two_gigabytes_is_cut_off(server, moving_square):
    """Without a length, in chunks: the server counts itself."""
    host, port = server.url.removeprefix("http://").split(":")
    piece = bytes(100_000)
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    sent, answer = 0, b""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        connection.sendall(f"{len(FORM):x}\r\n".encode() + FORM + b"\r\n")
        with contextlib.suppress(OSError):  # it hangs up, as it may
            while sent < 2_000_000_000:
                connection.sendall(chunk)
                sent += len(piece)
        with contextlib.suppress(OSError):
            answer = connection.recv(1000)
    assert sent < 50_000_000  # what lies in the sockets of both sides, at most
    assert not answer or answer.startswith(b"HTTP/1.1 413")
    _lives(server, moving_square)


def test_of_fifty_requests_at_once_some_are_answered_and_the_rest_told_to_come_again(
    server, films_of_all_kinds, moving_square
):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        path = films_of_all_kinds / "plays.webm"
        answers = list(pool.map(_send, itertools.repeat(server, 50), itertools.repeat(path)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert 4 <= statuses.count(200) < 50
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "5" and "in hand" in refused.json()["detail"]
    labels = {json.dumps(a.json()["probabilities"]) for a in answers if a.status_code == 200}
    assert len(labels) == 1
    _lives(server, moving_square)
    figures = httpx.get(f"{server.url}/metrics").text
    assert f'stfnet_requests_total{{status="503"}} {statuses.count(503)}.0' in figures
    assert "stfnet_queue_limit 4.0" in figures


def test_health_and_documentation_come_from_this_server(server):
    health = httpx.get(f"{server.url}/health").json()
    assert health["status"] == "ok" and health["classes"] == ["Bow", "Jump", "Wave"]
    assert health["explains"] and (health["max_megabytes"], health["max_seconds"]) == (1, 5)
    documented = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {"/api/predict", "/health", "/metrics"} == set(documented)
    assert {"200", "413", "422", "503", "504"} <= set(
        documented["/api/predict"]["post"]["responses"]
    )
    page = httpx.get(f"{server.url}/docs")
    assert page.status_code == 200 and "https://" not in page.text
    script = httpx.get(f"{server.url}/static-offline-docs/swagger-ui-bundle.js")
    assert script.status_code == 200
