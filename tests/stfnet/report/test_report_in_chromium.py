"""The report as a browser shows it, and a check that the browser would see what is wrong."""

import dataclasses

import pytest

from stfnet.evaluation import result_files
from stfnet.report import report

# What a page must not have: pictures that do not load, films that do not play, text that runs out.
BROKEN_PICTURES = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
PLAYED = """Promise.all([...document.querySelectorAll("video")].map(async (film) => {
  await film.play();
  await new Promise((resolve) => film.addEventListener("timeupdate", resolve, { once: true }));
  film.pause();
  return [film.videoWidth, film.videoHeight, film.duration, film.error];
}))"""
WIDTH = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
CONTRAST = """(() => {
  const shade = (color) => {
    const parts = color.match(/[0-9]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05;
  };
  const page = shade(getComputedStyle(document.body).backgroundColor);
  return ["body", ".muted", "th", "th button", "code", ".buttons button"].map((name) => {
    const ink = shade(getComputedStyle(document.querySelector(name)).color);
    return Math.max(page, ink) / Math.min(page, ink);
  }).concat(page);
})()"""
ROWS = "[...document.querySelectorAll('#{table} tbody tr')].map(r => r.cells[{column}].textContent)"
SORTED = (
    "[...document.querySelectorAll('#{table} th')].map(h => h.getAttribute('aria-sort'))"
    ".flatMap((order, column) => (order ? [[column, order]] : []))"
)
HTML = ("<img src=x onerror=alert(1)>", "</script><b class=injected>Jump</b>", "&amp;" + "x" * 150)


@pytest.fixture(scope="module")
def page(make_evaluated, tiny_records, tmp_path_factory):
    folder = make_evaluated(tmp_path_factory.mktemp("run"))
    paper = {"model": {"lstm_units": 101}, "training": {}}
    return report.write_report(folder, folder / "report", tiny_records, paper=paper)


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_opens_without_an_error_at_any_width(chromium, page, width, dark):
    chromium.open(page, width, dark)
    assert chromium.evaluate("document.images.length") == 3
    assert chromium.evaluate(BROKEN_PICTURES) == 0
    assert chromium.evaluate(PLAYED) == [[448, 326, 0.75, None]] * 5
    assert chromium.evaluate(WIDTH) <= width
    *contrasts, page_light = chromium.evaluate(CONTRAST)
    assert min(contrasts) > 4.5  # WCAG 2.2, level AA
    assert (page_light < 0.1) == dark
    assert chromium.complaints == []


def test_a_heading_sorts_its_table_and_says_so(chromium, page):
    chromium.open(page, 1400)
    assert chromium.evaluate(SORTED.format(table="classes")) == [[3, "ascending"]]
    results = result_files.read_results(page.parent.parent)
    # Accuracy is first, so that pressing its heading reverses it.
    columns = {3: "recall", 0: None, 1: "videos", 4: "precision", 5: "f1", 7: "average_precision"}
    for column, figure in columns.items():
        heading = f"document.querySelectorAll('#classes th')[{column}].querySelector('button')"
        for order in ("descending", "ascending") if column == 3 else ("ascending", "descending"):
            chromium.evaluate(f"{heading}.click()")
            assert chromium.evaluate(SORTED.format(table="classes")) == [[column, order]]
            names = chromium.evaluate(ROWS.format(table="classes", column=0))
            assert sorted(names) == sorted(results["classes"])
            values = [results["classes"][name][figure] if figure else name for name in names]
            assert values == sorted(values, reverse=order == "descending")
    assert chromium.complaints == []


def test_numbers_are_sorted_as_numbers_and_missing_ones_stay_last(chromium, tmp_path):
    script = report.HERE.joinpath("report.js").read_text()
    cells = "".join(f"<tr><td data-value='{value}'>{value}</td></tr>" for value in (10, "", 9, 0.5))
    head = "<th data-kind='number'><button>n</button></th>"
    table = (
        f"<table class=sortable id=t><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    )
    path = tmp_path / "table.html"
    path.write_text(f"<!doctype html>{table}<script>{script}</script>")
    chromium.open(path, 1400)
    for expected in (["0.5", "9", "10", ""], ["10", "9", "0.5", ""]):
        chromium.evaluate("document.querySelector('button').click()")
        assert chromium.evaluate(ROWS.format(table="t", column=0)) == expected


def test_the_keyboard_sorts_and_plays(chromium, page):
    chromium.open(page, 1400)
    chromium.evaluate("document.querySelector('[aria-label=\"figures of each class\"]').focus()")
    for key in ("Tab", "Enter"):
        chromium.press(key)
    assert chromium.evaluate(SORTED.format(table="classes")) == [[0, "ascending"]]
    chromium.evaluate("document.querySelector('[data-step=\"-1\"]').focus()")
    for key in ("Tab", "Enter"):
        chromium.press(key)
    chromium.wait_until("document.activeElement.textContent === 'pause'")
    assert not chromium.evaluate("document.querySelector('video').paused")


def test_a_film_goes_from_frame_to_frame(chromium, page):
    chromium.open(page, 1400)
    chromium.evaluate(PLAYED)
    chromium.evaluate("document.querySelector('video').currentTime = 0")
    times = []
    for step in (1, 1, 1, -1):
        chromium.evaluate(f"document.querySelector('[data-step=\"{step}\"]').click()")
        times.append(chromium.evaluate("document.querySelector('video').currentTime"))
    assert times == [0.375, 0.625, 0.125, 0.625]  # the middles of frames of a quarter of a second


def test_names_that_look_like_html_are_shown_as_text(
    chromium, make_evaluated, tiny_records, tmp_path
):
    named = dict(zip(tiny_records.classes, HTML, strict=True))
    videos = [
        dataclasses.replace(v, id=f"<i>{v.id}</i>", class_name=named[v.class_name])
        for v in tiny_records.videos
    ]
    odd = dataclasses.replace(tiny_records, classes=HTML, videos=tuple(videos))
    folder = make_evaluated(tmp_path / "<u>run</u>", odd)
    path = report.write_report(folder, tmp_path / "report", odd)
    chromium.open(path, 400)
    shown = chromium.evaluate("document.body.textContent")
    assert all(name in shown for name in HTML) and "<i>v_" in shown and "<u>run</u>" in shown
    assert chromium.evaluate("document.querySelectorAll('.injected, i, u, [onerror]').length") == 0
    assert chromium.evaluate("document.images.length") == 3
    assert chromium.evaluate(BROKEN_PICTURES) == 0
    assert chromium.evaluate(WIDTH) <= 400
    assert chromium.complaints == []


def test_without_scripts_the_films_have_the_browsers_own_controls(chromium, page):
    chromium.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(page, 1400)
    finally:
        chromium.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.evaluate("document.querySelector('video').controls")
    assert chromium.evaluate("document.querySelector('.buttons').hidden")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("<script>console.error('broken')</script>", "complaint"),
        ("<script>undefined.x</script>", "complaint"),
        ("<img src='missing.png'>", "complaint"),
        ("<img src='data:image/png;base64,AAAA'>", "picture"),
        ("<div style='width: 500px'>wide</div>", "width"),
        ("<p>fine</p>", ""),
    ],
)
def test_the_browser_sees_what_is_wrong(chromium, tmp_path, body, wrong):
    path = tmp_path / "page.html"
    meta = "<meta name=viewport content='width=device-width, initial-scale=1'>"
    path.write_text(f"<!doctype html>{meta}<title>page</title>{body}")
    chromium.open(path, 400)
    picture = chromium.evaluate(BROKEN_PICTURES) > 0
    assert (chromium.evaluate(WIDTH) > 400) == (wrong == "width")
    assert picture == (wrong == "picture" or "missing" in body)
    assert bool(chromium.complaints) == (wrong == "complaint")
