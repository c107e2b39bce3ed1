"""The page as a browser shows it."""

import asyncio
import dataclasses
import json
import time
from types import SimpleNamespace

import pytest

httpx = pytest.importorskip("httpx", reason="needs pip install -e '.[serve]'")
pytest.importorskip("gradio", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow
ANSWERED = "document.querySelector('#facts')?.textContent.includes('answered')"
READY = (
    "document.querySelector('input[type=file]') && document.querySelector('#recognise') &&"
    " document.querySelector('input[type=checkbox]') && true"
)
WIDTH = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
PICTURE = "(document.querySelector('#picture img') ?? {}).naturalWidth > 0"
LEFT = "document.querySelector('#picture img').getBoundingClientRect().left"
BUTTON = "[...document.querySelectorAll('#source button')].find(b => {test})"
FILM = "(document.querySelector('#film video') ?? {}).videoWidth > 0"
TOAST = "[...document.querySelectorAll('[data-testid=toast-body]')].map(t => t.innerText).join()"


def _real(complaints):
    """Without what Gradio itself says when it closes a stream, and what a page left."""
    return [
        one
        for one in complaints
        if one != ["Method not implemented."]
        and not (isinstance(one, dict) and one.get("canceled"))
    ]


@pytest.mark.parametrize("width", [1400, 400])
def test_a_video_that_is_dropped_shows_what_it_is(chromium, server, films_of_all_kinds, width):
    chromium.open(f"{server.url}/", width)
    chromium.wait_until(READY)
    if width == 1400:
        chromium.evaluate("document.querySelector('input[type=checkbox]').click()")
    chromium.choose_file("input[type=file]", films_of_all_kinds / "plays.webm")
    chromium.wait_until(ANSWERED)
    label = chromium.evaluate("document.querySelector('#label').innerText")
    assert all(name in label for name in ("Bow", "Jump", "Wave", "%"))
    chromium.wait_until(PICTURE)
    if width == 1400:
        chromium.wait_until(FILM)
    assert chromium.evaluate(WIDTH) <= width
    assert 0 <= chromium.evaluate(LEFT) < width / 2
    assert _real(chromium.complaints) == []
    hosts = {url.split("/")[2] for url in chromium.requests if url.startswith(("http", "ws"))}
    assert hosts == {server.url.removeprefix("http://")}
    assert all(url.startswith((server.url, "data:", "blob:")) for url in chromium.requests)


def _record(chromium, server, seconds):
    """Records with the browser's camera for some seconds; whether the answer is no refusal."""
    chromium.open(f"{server.url}/", 1400)
    chromium.wait_until(READY)
    for test in (
        "b.ariaLabel === 'Capture from camera'",
        *(f"/{w}/.test(b.innerText)" for w in ("Access", "Record", "Stop")),
    ):
        button = BUTTON.format(test=test)
        chromium.wait_until(f"!!{button}")
        time.sleep(seconds if "Stop" in test else 2)
        chromium.evaluate(f"{button}.click()")
    chromium.wait_until(f"{ANSWERED} || !!{TOAST}")
    return chromium.evaluate(ANSWERED)


def test_a_video_from_the_camera_is_recognised(chromium, server):
    # A busy machine's browser may record no frame in two seconds, and such a video is refused.
    assert any(_record(chromium, server, seconds) for seconds in (2, 8, 20))
    assert _real(chromium.complaints) == []


def test_a_file_that_is_no_video_is_a_line_on_the_page(chromium, server, films_of_all_kinds):
    chromium.open(f"{server.url}/", 1400)
    chromium.wait_until(READY)
    chromium.choose_file("input[type=file]", films_of_all_kinds / "text.mp4")
    chromium.wait_until(f"({TOAST}).includes('is no video')")
    text = chromium.evaluate(TOAST)
    assert "Traceback" not in text and str(server.temporary) not in text


def test_the_documentation_needs_no_other_host(chromium, server):
    chromium.open(f"{server.url}/docs", 1400)
    chromium.wait_until("document.body.innerText.includes('/api/predict')")
    assert _real(chromium.complaints) == []
    assert all(url.startswith((server.url, "data:")) for url in chromium.requests)


def test_an_address_in_the_place_of_a_file_is_not_fetched(tmp_path):
    from fastapi import FastAPI
    from gradio import processing_utils

    from stfnet.serving import page
    from stfnet.serving.limits import RefusedError

    page.mount(FastAPI(), _jobs(), None)
    with pytest.raises(RefusedError):
        asyncio.run(
            processing_utils.async_ssrf_protected_download("http://elsewhere/x", str(tmp_path))
        )


def _limits():
    from stfnet.serving.limits import Limits

    return Limits()


def _jobs(**changes):
    from stfnet.serving.worker import Network

    network = Network("a *set*", ("<b>Bow</b>", "Jump"), "both", 3, True)
    return SimpleNamespace(limits=_limits(), network=dataclasses.replace(network, **changes))


def test_the_page_of_an_export_says_what_it_cannot_do():
    from stfnet.serving import page

    run, export = (
        json.dumps(page.build(_jobs(explains=explains), None).get_config_file())
        for explains in (True, False)
    )
    assert page.NOT_EXPLAINED in export and page.NOT_EXPLAINED not in run


def test_names_are_shown_as_they_are():
    from stfnet.serving import page

    text = page.introduction(_jobs())
    assert "<b>" not in text and "*set*" not in text and "Jump" in text
