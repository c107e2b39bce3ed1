"""The page as a browser shows it."""

import base64
import json
import time

import pytest

pytest.importorskip("httpx", reason="needs pip install -e '.[serve,dev]'")
pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

pytestmark = pytest.mark.slow
ANSWERED = "document.querySelector('#facts').textContent.includes('answered')"
READY = "document.querySelector('#introduction').textContent.includes('Trained on')"
WIDTH = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
PICTURE = "(document.querySelector('#picture img') ?? {}).naturalWidth > 0"
LEFT = "document.querySelector('#picture img').getBoundingClientRect().left"
FILM = "(document.querySelector('#film video') ?? {}).videoWidth > 0"
ERROR = "document.querySelector('#error').textContent"
SHOWN = "document.querySelector({selector!r}).getClientRects().length > 0"
RECORD = "document.querySelector('#record')"


def _open(chromium, server, width=1400):
    chromium.open(f"{server.url}/", width)
    chromium.wait_until(READY)


def _choose(chromium, path):
    chromium.choose_file("input[type=file]", path)


@pytest.mark.parametrize("width", [1400, 400])
def test_a_video_that_is_chosen_shows_what_it_is(chromium, server, films_of_all_kinds, width):
    _open(chromium, server, width)
    assert chromium.evaluate(SHOWN.format(selector="#film-wanted"))
    assert not chromium.evaluate(SHOWN.format(selector="#not-explained"))
    assert not chromium.evaluate(SHOWN.format(selector="#source video"))
    if width == 1400:
        chromium.evaluate("document.querySelector('input[type=checkbox]').click()")
    _choose(chromium, films_of_all_kinds / "plays.webm")
    chromium.wait_until(ANSWERED)
    label = chromium.evaluate("document.querySelector('#label').innerText")
    assert all(name in label for name in ("Bow", "Jump", "Wave", "%"))
    chromium.wait_until(PICTURE)
    assert chromium.evaluate("!!document.querySelector('#film video')") == (width == 1400)
    if width == 1400:
        chromium.wait_until(FILM)
    assert chromium.evaluate(WIDTH) <= width
    assert 0 <= chromium.evaluate(LEFT) < width / 2
    assert chromium.complaints == []
    hosts = {url.split("/")[2] for url in chromium.requests if url.startswith(("http", "ws"))}
    assert hosts == {server.url.removeprefix("http://")}
    assert all(url.startswith((server.url, "data:", "blob:")) for url in chromium.requests)


DROP = """fetch('/health').then(() => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob('%s'), c => c.charCodeAt(0))], 'a.webm'));
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));
})"""


def test_a_video_that_is_dropped_is_recognised_and_again_on_request(
    chromium, server, films_of_all_kinds
):
    _open(chromium, server)
    content = (films_of_all_kinds / "plays.webm").read_bytes()
    chromium.evaluate(DROP % base64.b64encode(content).decode())
    chromium.wait_until(ANSWERED)
    chromium.evaluate("document.querySelector('#recognise').click()")
    chromium.wait_until(f"!({ANSWERED})")
    chromium.wait_until(ANSWERED)
    assert chromium.complaints == []


def _record(chromium, server, seconds):
    """Records with the browser's camera for some seconds; whether the answer is no refusal."""
    _open(chromium, server)
    chromium.evaluate(f"{RECORD}.click()")
    chromium.wait_until(f"{RECORD}.textContent === 'Stop'")
    time.sleep(seconds)
    chromium.evaluate(f"{RECORD}.click()")
    chromium.wait_until(f"{ANSWERED} || {ERROR} !== ''")
    return chromium.evaluate(ANSWERED)


def test_a_video_from_the_camera_is_recognised(chromium, server):
    # A busy machine's browser may record no frame in two seconds, and such a video is refused.
    assert any(_record(chromium, server, seconds) for seconds in (2, 4))
    assert chromium.complaints == []
    assert chromium.evaluate(f"{RECORD}.textContent") == "Record with the camera"


@pytest.mark.parametrize(
    ("name", "line"), [("text.mp4", "is no video"), ("large.mp4", "larger than 1 MB")]
)
def test_a_file_that_is_refused_is_a_line_on_the_page(
    chromium, server, films_of_all_kinds, tmp_path, name, line
):
    path = films_of_all_kinds / name
    if name == "large.mp4":
        path = tmp_path / name
        path.write_bytes(bytes(1_000_001))
    _open(chromium, server)
    _choose(chromium, path)
    chromium.wait_until(f"({ERROR}).includes({line!r})")
    text = chromium.evaluate(ERROR)
    assert "Traceback" not in text and str(server.temporary) not in text
    # The answer of the later one is shown, and nothing of the one before.
    _choose(chromium, films_of_all_kinds / "plays.webm")
    chromium.wait_until(ANSWERED)
    assert chromium.evaluate(ERROR) == ""


def test_the_documentation_needs_no_other_host(chromium, server):
    chromium.open(f"{server.url}/docs", 1400)
    chromium.wait_until("document.body.innerText.includes('/api/predict')")
    assert chromium.complaints == []
    assert all(url.startswith((server.url, "data:")) for url in chromium.requests)


def test_the_page_of_an_export_says_what_it_cannot_do(
    chromium, start_server, tiny_run, tmp_path, films_of_all_kinds
):
    from stfnet.export import saved_model
    from stfnet.inference import prediction

    saved_model.export_saved_model(*prediction.load_run(tiny_run), tmp_path / "export")
    with start_server(tmp_path / "tmp", model=tmp_path / "export") as of_export:
        _open(chromium, of_export)
        assert chromium.evaluate(SHOWN.format(selector="#not-explained"))
        assert not chromium.evaluate(SHOWN.format(selector="#film-wanted"))
        _choose(chromium, films_of_all_kinds / "plays.webm")
        chromium.wait_until(PICTURE)
        assert "Bow" in chromium.evaluate("document.querySelector('#label').innerText")


def test_names_are_shown_as_they_are(chromium, server):
    """A class of any name is text, never a tag of the page."""
    _open(chromium, server)
    name = "<img src=x onerror=alert(1)>*b*"
    answer = {
        "probabilities": {name: 1.0},
        "frames": [],
        "num_frames": 1,
        "seconds": 1,
        "took": 1,
        "notes": [],
    }
    chromium.evaluate(f"answered({json.dumps(answer)})")
    assert name in chromium.evaluate("document.querySelector('#label').innerText")
    assert chromium.evaluate("document.querySelectorAll('#label img').length") == 0
