"""The documentation of the endpoint: every answer that it names can be had, and is as it says."""

import contextlib
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
jsonschema = pytest.importorskip("jsonschema", reason="needs pip install -e '.[dev]'")
pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow
PREDICT = "/api/predict"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture(scope="module")
def small(start_server, tiny_run, tmp_path_factory):
    """A server of 1 MB, 5 seconds, 2 requests at once and 15 seconds for each."""
    place = tmp_path_factory.mktemp("small") / "tmp"
    limits = {"max_megabytes": 1, "max_seconds": 5, "queue": 2, "time_limit": 15}
    with start_server(place, model=tiny_run, **limits) as server:
        yield server


def _post(server, files=None, **settings):
    return httpx.post(f"{server.url}{PREDICT}", files=files, timeout=300, **settings)


def _answer(connection):
    """What a connection brings until its end, as an answer of httpx."""
    content = b"".join(iter(lambda: connection.recv(100_000), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest)
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


@contextlib.contextmanager
def _standing_still(server, film):
    """Stops the process that computes, which one request after a loss brings back."""
    assert _post(server, {"video": film}).status_code == 200
    worker = server.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)


def _stalled(server, film):
    with server.connect() as connection:
        connection.sendall(server.head("Content-Length: 900000") + server.FORM + bytes(500_000))
        return _answer(connection)


def _crowded(server, film):
    with ThreadPoolExecutor(2) as pool, _standing_still(server, film):
        for _ in range(2):
            pool.submit(_post, server, {"video": film})
        server.wait_for_in_hand(2)
        return _post(server, {"video": film})


def _while_it_reads(server, film, how):
    """The answer where the process gets a signal while it reads the video.

    What it has not begun has no time limit, and another process takes it up.
    """
    assert _post(server, {"video": film}).status_code == 200
    worker = server.worker()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_post, server, {"video": film}, params={"film": "true"})
        while not _reads_an_upload(worker, server):
            assert not answer.done(), "it was too fast to be stopped"
        os.kill(worker, how)
        return answer.result()


def _killed(server, film):
    return _while_it_reads(server, film, signal.SIGKILL)


def _hung(server, film):
    return _while_it_reads(server, film, signal.SIGSTOP)


def _reads_an_upload(worker, server):
    for number in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(number).startswith(f"{server.temporary}/"):
                return True
    return False


# (path, method, status): what provokes it, several ways of some.
PROVOKED = {
    (PREDICT, "post", 200): [
        lambda server, film: _post(server, {"video": film}),
        lambda server, film: _post(server, {"video": film}, params={"picture": 1, "film": "true"}),
    ],
    (PREDICT, "post", 400): [
        lambda server, film: _post(server, [("video", ("a", film)), ("video", ("b", film))]),
        lambda server, film: _post(server, {"video": film}, data=dict.fromkeys("abcde", "x")),
        lambda server, film: _post(
            server, content=server.FORM, headers={"Content-Type": "multipart/form-data"}
        ),
    ],
    (PREDICT, "post", 408): [_stalled],
    (PREDICT, "post", 413): [
        lambda server, film: _post(server, {"video": bytes(1_000_001)}),
        lambda server, film: _post(server, {"video": bytes(1_100_000)}),
    ],
    (PREDICT, "post", 422): [
        lambda server, film: _post(server),
        lambda server, film: _post(server, json={"video": "a"}),
        lambda server, film: _post(server, data={"video": "a"}),
        lambda server, film: _post(server, content=server.FORM[:40], headers=MULTIPART),
        lambda server, film: _post(server, {"video": film}, params={"picture": "maybe"}),
        lambda server, film: _post(server, {"video": film}, params={"film": ""}),
        lambda server, film: _post(server, {"video": b"no video"}),
    ],
    (PREDICT, "post", 500): [_killed],
    (PREDICT, "post", 503): [_crowded],
    (PREDICT, "post", 504): [_hung],
    ("/health", "get", 200): [lambda server, film: server.get("/health")],
    ("/metrics", "get", 200): [lambda server, film: server.get("/metrics")],
}


@pytest.fixture(scope="module")
def schema(small):
    return small.get("/openapi.json").json()


def test_every_answer_that_is_documented_is_provoked(schema):
    documented = {
        (path, method, int(status))
        for path, methods in schema["paths"].items()
        for method, how in methods.items()
        for status in how["responses"]
    }
    assert documented == set(PROVOKED)


@pytest.mark.parametrize(
    ("case", "provoke"),
    [(case, provoke) for case, ways in PROVOKED.items() for provoke in ways],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_an_answer_is_as_it_is_documented(small, schema, moving_square, case, provoke):
    path, method, status = case
    small.wait_for_in_hand(0)
    assert small.left() == []  # of the answer before
    answer = provoke(small, moving_square.read_bytes())
    assert answer.status_code == status, answer.text
    contents = schema["paths"][path][method]["responses"][str(status)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert list(contents) == [kind]
    value = answer.json() if kind == "application/json" else answer.text
    resolved = {**contents[kind]["schema"], "components": schema["components"]}
    jsonschema.Draft202012Validator(resolved).validate(value)
    assert contents[kind]["schema"], "a schema without a word says nothing"
    if status >= 400:
        assert set(value) == {"detail"} and "\n" not in value["detail"]
        assert "class" not in value["detail"] and "Traceback" not in value["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("path", [PREDICT, "/health", "/metrics", "/docs", "/", "/openapi.json"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "other"])
def test_another_method_is_told_which_it_may_be(small, path, method):
    if method == "other":
        method = "GET" if path == PREDICT else "POST"
    answer = httpx.request(method, f"{small.url}{path}")
    assert answer.status_code == 405 and answer.json() == {"detail": "Method Not Allowed"}
    allowed = answer.headers["allow"].split(", ")
    assert ("POST" if path == PREDICT else "GET") in allowed and method not in allowed


@pytest.mark.parametrize("size", [1_050_000, 3_000_000])
@pytest.mark.parametrize("declared", [True, False])
def test_a_client_that_sends_all_before_it_reads_gets_its_answer(
    small, moving_square, size, declared
):
    body = small.FORM + bytes(size) + b"\r\n--x--\r\n"
    with small.connect() as connection:
        if declared:
            connection.sendall(small.head(f"Content-Length: {len(body)}"))
            pieces = [body[k : k + 10_000] for k in range(0, len(body), 10_000)]
        else:
            connection.sendall(small.head("Transfer-Encoding: chunked"))
            pieces = [body[k : k + 10_000] for k in range(0, len(body), 10_000)]
            pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b"")]
        for piece in pieces:
            connection.sendall(piece)
        answer = _answer(connection)
    assert answer.status_code == 413
    assert json.loads(answer.text) == {"detail": "the video is larger than 1 MB"}
    small.lives(moving_square)
