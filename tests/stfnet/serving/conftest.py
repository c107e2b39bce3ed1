"""A server as a user starts it, and its jobs alone."""

import pytest
from server_process import PATIENCE, started


@pytest.fixture(scope="session")
def start_server():
    """Context manager of a folder and flags in which a server runs."""
    return started


@pytest.fixture(scope="session")
def server(tiny_run, tmp_path_factory):
    """A server of `tiny_run` that takes 1 MB, 5 seconds and 4 requests at once."""
    limits = {"max_megabytes": 1, "max_seconds": 5, "queue": 4}
    with started(tmp_path_factory.mktemp("server") / "tmp", model=tiny_run, **limits) as server:
        yield server


@pytest.fixture(scope="session")
def jobs(tiny_run):
    """The jobs of a server of `tiny_run`, two at once."""
    from stfnet.serving.jobs import Jobs, Limits

    limits = Limits(max_megabytes=1, max_seconds=5, queue=2, time_limit=PATIENCE)
    with Jobs(str(tiny_run), limits, "fast") as jobs:
        yield jobs


@pytest.fixture(scope="session")
def films_of_all_kinds(tmp_path_factory, moving_square):
    """Files by name: one that a browser plays, a long one, one cut off, a playlist, text, none."""
    from benchmarks import films

    folder = tmp_path_factory.mktemp("films")
    films.write_video(folder / "plays.webm", films.moving_textures(60, 160, 120), "VP80", 30)
    films.write_video(folder / "long.mp4", films.moving_textures(100, 64, 48), films.MPEG_4, 10)
    films.write_video(folder / "one.mp4", films.moving_textures(1, 64, 48), films.MPEG_4, 10)
    content = moving_square.read_bytes()
    (folder / "cut.mp4").write_bytes(content[: 2 * len(content) // 3])
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    return folder
