"""The REST endpoint of a server that runs, and what it must survive."""

import base64
import concurrent.futures
import itertools
import json
import re

import cv2
import numpy as np
import pytest

from preprocessing import video

httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow


def test_a_video_is_recognised(server, moving_square):
    answer = server.lives(moving_square)
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
    answer = server.send(moving_square, picture=picture, film=film).json()
    assert (answer["picture"] is not None, answer["film"] is not None) == (picture, film)
    if picture:
        content = np.frombuffer(base64.b64decode(answer["picture"]), np.uint8)
        assert min(cv2.imdecode(content, cv2.IMREAD_COLOR).shape[:2]) > 300
    if film:
        (tmp_path / "film.webm").write_bytes(base64.b64decode(answer["film"]))
        assert len(list(video.read_frames(tmp_path / "film.webm"))) == 11
    assert server.left() == []


def test_of_fifty_requests_at_once_some_are_answered_and_the_rest_told_to_come_again(
    server, films_of_all_kinds, moving_square
):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        path = films_of_all_kinds / "plays.webm"
        answers = list(pool.map(server.send, itertools.repeat(path, 50)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert 4 <= statuses.count(200) < 50
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "5" and "are unfinished" in refused.json()["detail"]
    labels = {json.dumps(a.json()["probabilities"]) for a in answers if a.status_code == 200}
    assert len(labels) == 1
    server.lives(moving_square)
    figures = server.get("/metrics").text
    assert f'stfnet_requests_total{{status="503"}} {statuses.count(503)}.0' in figures
    assert "stfnet_queue_limit 4.0" in figures and "stfnet_requests_in_hand 0.0" in figures
    assert re.search(r'stfnet_request_seconds_bucket\{le="200\.0"\} [1-9]', figures)


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/metrics", "/api/predict", "/missing"])
def test_every_answer_asks_no_other_host(server, path):
    from stfnet.serving.server import HEADERS

    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{server.url}{path}")
        assert dict(HEADERS).items() <= dict(answer.headers).items()
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_health_and_documentation_come_from_this_server(server):
    health = server.get("/health").json()
    assert health["status"] == "ok" and health["classes"] == ["Bow", "Jump", "Wave"]
    assert health["explains"] and (health["max_megabytes"], health["max_seconds"]) == (1, 5)
    page = server.get("/docs")
    assert page.status_code == 200 and "https://" not in page.text
    script = server.get("/static-offline-docs/swagger-ui-bundle.js")
    assert script.status_code == 200
