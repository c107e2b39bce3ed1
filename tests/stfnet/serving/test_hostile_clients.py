"""What clients try that want files of the server, or all of its places, and what is left of it."""

import contextlib
import os
import platform
import signal
import socket
import struct
from pathlib import Path

import pytest
from helpers import wait_until

httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow
SECRET = "the-secret-of-this-machine"
PREDICT = "/api/predict"
# Where a server might show a file.
SHOW_PATHS = (
    "/{}",
    "/%2e%2e/%2e%2e{}",
    "/static-offline-docs/{}",
    "/static-offline-docs/..%2f..%2f..%2f..%2f..%2f..%2f{}",
    "/docs/{}",
    "/api/predict?video={}",
)


@pytest.fixture(scope="module")
def hostile(start_server, tiny_run, tmp_path_factory):
    """A server of 3 MB and 3 requests at once; several tests look at what is left of their own."""
    place = tmp_path_factory.mktemp("hostile") / "tmp"
    with start_server(place, model=tiny_run, max_megabytes=3, max_seconds=5, queue=3) as server:
        yield server


# Files that a client names.


@pytest.fixture(scope="module")
def named(tmp_path_factory, moving_square):
    """Paths and addresses of every kind; the files hold `SECRET`, or are a video."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "secret.mp4").write_text(SECRET)
    (folder / "film.mp4").write_bytes(moving_square.read_bytes())
    (folder / "link.mp4").symlink_to(folder / "film.mp4")
    (folder / "folder").symlink_to(folder)
    os.mkfifo(folder / "pipe.mp4")
    with (folder / "large.mp4").open("wb") as file:
        file.truncate(150_000_000)
    names = ("secret.mp4", "film.mp4", "link.mp4", "pipe.mp4", "large.mp4", "folder/film.mp4")
    paths = [str(folder / name) for name in (*names, f"folder/../../{folder.name}/film.mp4", "")]
    others = ["/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/self/fd/0"]
    return [*paths, *others, f"file://{folder}/film.mp4", "http://127.0.0.1:9/film.mp4"]


def _assert_refused(answer):
    assert answer.status_code in (400, 403, 404, 405, 422), (answer.request.url, answer.text[:200])
    assert SECRET not in answer.text and "root:" not in answer.text
    assert "Traceback" not in answer.text


def _attack(server, paths):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for path in paths:
            _assert_refused(client.post(PREDICT, json={"video": path, "path": path}))
            for address in SHOW_PATHS:
                _assert_refused(client.get(address.format(path)))
            for form in ({"video": path}, {"path": path, "video": "file"}):
                _assert_refused(client.post(PREDICT, data=form))
                fields = {key: (None, value) for key, value in form.items()}
                _assert_refused(client.post(PREDICT, files=fields))
            _assert_refused(client.post(PREDICT, params={"video": path, "path": path}))
            _assert_refused(client.post(PREDICT, files={"video": (path or "a", b"no video")}))


def test_no_file_that_a_client_names_is_read_before_and_after_a_restart(
    start_server, tiny_run, tmp_path, named, moving_square
):
    place, left = tmp_path / "tmp", []
    for _ in range(2):
        with start_server(place, model=tiny_run, max_megabytes=3) as server:
            (folder,) = place.iterdir()
            other = folder / "tmpother"  # as another client's upload lies there
            other.write_text(SECRET)
            _attack(server, [*named, str(other), f"{folder.name}/tmpother", *left])
            left = [str(other)]
            other.unlink()
            server.lives(moving_square)
            os.kill(server.worker(), signal.SIGKILL)  # with the server, whose end it would await
            server.process.kill()
            server.process.wait()


def test_the_server_has_no_address_that_takes_a_path(hostile):
    documented = hostile.get("/openapi.json").json()["paths"]
    takes = {
        (p, m): set(how.get("requestBody", {}).get("content", {}))
        for p in documented
        for m, how in documented[p].items()
    }
    assert {key for key, kinds in takes.items() if kinds} == {(PREDICT, "post")}
    assert takes[PREDICT, "post"] == {"multipart/form-data"}


@pytest.mark.parametrize("name", ["../../../tmp/x.mp4", "/etc/passwd", "a\x00b.mp4", "x" * 3000])
def test_the_name_of_an_upload_means_nothing(hostile, moving_square, name):
    content = moving_square.read_bytes()
    answer = hostile.send(content, name)
    assert answer.status_code == 200, answer.text
    expected = hostile.send(content).json()["probabilities"]
    assert answer.json()["probabilities"] == expected
    assert hostile.left() == []


# Playlists, which FFmpeg would follow.


def _playlists(path, address):
    """Texts that make FFmpeg open a file or an address, by name."""
    return {
        f"{kind}-{place}": text.format(target)
        for place, target in (("file", path), ("address", address))
        for kind, text in {
            "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
            "hls-indented": "\n \ufeff#EXTM3U\n#EXTINF:1,\n{}\n",
            "concat": "ffconcat version 1.0\nfile '{}'\n",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:{}\n",
            "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
            'type="static" mediaPresentationDuration="PT1S"><Period><AdaptationSet '
            'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
            "</Representation></AdaptationSet></Period></MPD>",
            "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
            "smil": '<smil><body><video src="{}"/></body></smil>',
            "m3u": "{}\n",
            "rtsptext": "RTSPtextRTSP://127.0.0.1/{}\n",
            "ffmetadata": ";FFMETADATA1\ntitle={}\n",
        }.items()
    }


@pytest.mark.parametrize("kind", _playlists("", ""))
def test_a_playlist_opens_neither_a_file_nor_an_address(hostile, moving_square, kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        text = _playlists(moving_square, f"http://127.0.0.1:{port}/film.ts")[kind]
        for name in ("film.mp4", "film.m3u8", "film.sdp"):
            answer = hostile.send(text.encode(), name)
            assert answer.status_code == 422, (name, answer.text)
            assert "Traceback" not in answer.text
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert hostile.left() == []


# Uploads that never become a video, and clients that go.


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("address", [PREDICT, "/missing"])
def test_fifty_uploads_that_break_off_take_no_place(hostile, moving_square, address, reset):
    for k in range(50):
        with hostile.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(hostile.head("Content-Length: 2900000", path=address) + hostile.FORM)
            connection.sendall(bytes(0 if k % 5 == 0 else 2_000_000))
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    hostile.lives(moving_square)


def test_a_client_that_goes_while_it_waits_gives_its_place_back(hostile, moving_square):
    hostile.lives(moving_square)
    body = hostile.FORM + moving_square.read_bytes() + hostile.END
    worker = hostile.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                connection = stack.enter_context(hostile.connect())
                connection.sendall(hostile.head(f"Content-Length: {len(body)}") + body)
            hostile.wait_for_in_hand(3)
        hostile.wait_for_in_hand(0)
        assert hostile.left() == []
    finally:
        os.kill(worker, signal.SIGCONT)
    hostile.lives(moving_square)
    assert hostile.worker() == worker  # it need not load the network again
    assert "never retrieved" not in hostile.log.read_text()


@pytest.fixture(scope="module")
def impatient(start_server, tiny_run, tmp_path_factory):
    """A server that waits 10 seconds for a client."""
    place = tmp_path_factory.mktemp("impatient") / "tmp"
    with start_server(place, model=tiny_run, time_limit=10) as server:
        yield server


def test_a_client_that_does_not_read_its_answer_is_hung_up_on(impatient, films_of_all_kinds):
    body = impatient.FORM + (films_of_all_kinds / "plays.webm").read_bytes() + impatient.END
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        host, port = impatient.url.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        address = f"{PREDICT}?picture=true&film=true"
        connection.sendall(impatient.head(f"Content-Length: {len(body)}", path=address) + body)
        impatient.wait_for_in_hand(1)
        impatient.wait_for_in_hand(0)
        wait_until(lambda: not _connections(impatient))


def _connections(server):
    """How many connections to its port are established, seen from the server."""
    port = int(server.url.rpartition(":")[2])
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "01" for row in rows)


def test_what_a_killed_server_left_goes_when_the_next_starts(
    start_server, tiny_run, tmp_path, moving_square
):
    place = tmp_path / "tmp"
    host = platform.node()
    # Of others: of another host, of a process that lives, of another program, without a number.
    foreign = ["another-4194304", f"{host}-{os.getpid()}", f"{host}-x"]
    foreign = [f".partial-{name}-stfnet-serve" for name in foreign]
    foreign += [f".partial-{host}-4194304-records", "stfnet-serve", "tmpabc"]
    with start_server(place, model=tiny_run) as server:
        (folder,) = place.iterdir()
        worker = server.worker()
        os.kill(worker, signal.SIGSTOP)
        with server.connect() as whole, server.connect() as half:
            body = server.FORM + moving_square.read_bytes() + server.END
            whole.sendall(server.head(f"Content-Length: {len(body)}") + body)
            half.sendall(server.head("Content-Length: 2000000") + server.FORM + bytes(1_500_000))
            server.wait_for_in_hand(2)
            wait_until(server.left)
            server.process.kill()
            server.process.wait()
        os.kill(worker, signal.SIGKILL)
    assert server.left() and folder.exists()
    for name in foreign:
        (place / name).mkdir()
        (place / name / "film").touch()
    with start_server(place, model=tiny_run) as server:
        assert not folder.exists()
        assert {path.name for path in place.iterdir()} > set(foreign)
        assert len(list(place.iterdir())) == len(foreign) + 1
        assert server.get("/health").json()["in_hand"] == 0
        assert server.send(moving_square.read_bytes()).status_code == 200
