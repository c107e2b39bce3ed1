"""Pictures of runs with many classes, and of classes whose names are any text."""

import io

import cv2
import numpy as np
import pytest

from stfnet.drawing import plots
from stfnet.inference.timeline import Timeline

NAMES = (
    "cost_$5_vs_$10",
    r"a\frac{b}",
    "歩く",
    "walk\nrun",
    "x" * 5000,
    "",
    "🙂",
    "nul\0",
    "\ud800",
)

# What drawing adds to the peak of its own memory: ru_maxrss would count the process that started it
# as well, and what imports take depends on the libraries at hand.
_DRAW = """
import sys
import numpy as np
from stfnet.drawing import plots
from stfnet.inference.timeline import Timeline
count = int(sys.argv[1])
rng = np.random.default_rng(0)
confusion = np.diag(rng.integers(5, 40, count))
np.add.at(confusion, tuple(rng.integers(0, count, (2, 5 * count))), 1)

def peak():
    return int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) << 10

before = peak()
plots.draw_confusion(confusion, [f"ClassOfAction{k}" for k in range(count)], sys.argv[2])
print(peak() - before)
"""


def _full(image):
    """Where a picture has the colour of probability 1, bool (H, W)."""
    return np.abs(image.astype(int) - (107, 48, 8)).max(2) < 8  # BGR


def _drawn(confusion, classes):
    """The picture, uint8 (H, W, 3)."""
    file = io.BytesIO()
    plots.draw_confusion(confusion, classes, file)
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.slow
def test_two_thousand_classes_are_drawn_in_bounded_memory(run_python, tmp_path):
    path = tmp_path / "confusion.png"
    done = run_python("-c", _DRAW, 2000, path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5e8
    assert cv2.imread(str(path)).shape == (1800, 1800, 3)


@pytest.mark.parametrize("count", [1, 40, 120, 121, 1001])
def test_every_number_of_classes_is_drawn_within_the_largest_side(count):
    height, width, _ = _drawn(np.eye(count, dtype=int), [f"Action{k}" for k in range(count)]).shape
    assert height == width <= plots.LARGEST_SIDE * plots.DPI


def test_the_diagonal_is_dark_where_every_clip_is_right():
    picture = _drawn(7 * np.eye(700, dtype=int), [str(k) for k in range(700)])
    blue, _, red = np.moveaxis(picture, -1, 0).astype(int)
    rows, columns = np.nonzero(blue > red + 70)
    assert np.corrcoef(rows, columns)[0, 1] > 0.9 and np.ptp(rows) > 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_whatever_it_holds(name):
    # The one full cell of four keeps its colour, whatever room the name takes.
    assert _full(_drawn([[2, 1], [0, 3]], [name, "Other"])).sum() > 100


def test_dollar_signs_are_drawn_as_they_are():
    # Between two of them, matplotlib would take a formula and leave them out.
    formula, without = (_drawn([[1]], [name]) for name in ("$x$ or $y$", "x or y"))
    assert formula.shape != without.shape or (formula != without).any()


def test_a_name_of_one_line_keeps_its_letters_and_loses_what_breaks_lines():
    from preprocessing.captions import one_line

    assert one_line("cost_$5_vs_$10 歩く") == "cost_$5_vs_$10 歩く"
    assert one_line("walk\r\nrun\0") == "walk run"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("half \ud800 a pair") == "half a pair"


def test_a_failure_to_draw_is_a_warning_of_one_line(tmp_path, caplog):
    path = tmp_path / "nowhere" / "confusion.png"
    with plots.never_fatal(path):
        plots.draw_confusion([[1]], ["A"], path)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "\n" not in record.getMessage()
    assert f"{path} was not drawn (FileNotFoundError" in record.getMessage()


def test_curves_are_drawn_as_a_whole_file(tmp_path):
    history = [
        {"stage": stage, "loss": "1", "val_loss": "nan", "accuracy": "0.5", "val_accuracy": "0.4"}
        for stage in (0, 0, 1)
    ]
    plots.draw_curves(history, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    plain = cv2.imread(str(tmp_path / "curves.png"))
    training, validation = (180, 119, 31), (14, 127, 255)  # BGR of tab:blue and tab:orange
    assert all((plain == color).all(2).sum() > 100 for color in (training, validation))
    plots.draw_curves(history, tmp_path / "curves.png", "validation (trained on too)")
    assert (cv2.imread(str(tmp_path / "curves.png")) != plain).any()


def test_the_bars_of_reliability_are_as_high_as_the_accuracy():
    rows = [
        {"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None},
        {"low": 0.5, "high": 1.0, "count": 4, "confidence": 0.75, "accuracy": 0.5},
    ]
    file = io.BytesIO()
    plots.draw_reliability(rows, 0.25, file)
    image = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    blue = (image == (180, 119, 31)).all(2)  # tab:blue
    tall, wide = blue.any(1).sum(), blue.any(0).sum()
    fully = io.BytesIO()
    plots.draw_reliability([rows[0], {**rows[1], "accuracy": 1.0}], 0.25, fully)
    image = cv2.imdecode(np.frombuffer(fully.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    twice = (image == (180, 119, 31)).all(2)
    assert twice.any(1).sum() == pytest.approx(2 * tall, rel=0.02)
    assert twice.any(0).sum() == wide


def test_a_rate_is_as_long_as_it_is_high_and_a_missing_one_has_no_bar():
    file = io.BytesIO()
    bars = [
        plots.Bar("theirs\nelsewhere", 80.0, "80.0"),
        plots.Bar("ours $x$", 40.0, "40.0", (30.0, 50.0), emphasised=True),
        plots.Bar("none", None, "– not run", emphasised=True),
    ]
    plots.draw_rates("rates", bars, file)
    image = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    silver, blue = ((image == color).all(2) for color in ((192, 192, 192), (180, 119, 31)))
    assert silver.sum(1).max() == pytest.approx(2 * blue.sum(1).max(), rel=0.03)
    rows = np.flatnonzero(blue.any(1))
    assert (np.diff(rows) <= 5).all()  # one bar, but for the line of its interval
    assert rows.min() > np.flatnonzero(silver.sum(1) > 100).max()


def _timeline(num_classes, windows, end):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(num_classes, 0.1), windows).astype(np.float32)
    names = tuple(NAMES[k % len(NAMES)] + str(k) for k in range(num_classes))
    return Timeline(names, np.linspace(0, end, windows + 1), probabilities)


def _draw_timeline(times, path):
    plots.draw_timeline(times.classes, times.edges, times.probabilities, times.rows(), path)


@pytest.mark.parametrize(
    ("num_classes", "windows", "end"), [(2, 1, 0.4), (3, 30, 75), (101, 3000, 3600), (5, 9, 1e6)]
)
def test_timelines_of_any_length_and_number_of_classes_are_drawn(
    tmp_path, num_classes, windows, end
):
    path = tmp_path / "timeline.png"
    _draw_timeline(_timeline(num_classes, windows, end), path)
    image = cv2.imread(str(path))
    assert image.shape[1] == 12 * plots.DPI
    assert image.shape[0] <= (1.5 + 0.45 * plots.LANES) * plots.DPI
    assert _full(image).any()


def test_a_timeline_is_blue_where_its_class_is_probable(tmp_path):
    # The first class in the first half, the other in the second.
    times = Timeline(("A", "B"), np.array([0.0, 10, 20]), np.array([[1, 0], [0, 1]], np.float32))
    _draw_timeline(times, tmp_path / "timeline.png")
    image = cv2.imread(str(tmp_path / "timeline.png"))
    full = _full(image)
    columns = full.sum(0)
    full[:, columns < columns.max() / 2] = False  # the end of the colour bar
    rows, columns = np.nonzero(full)
    middle = (rows.min() + rows.max()) / 2
    apart = abs(rows - middle) > 2  # Matplotlib's versions round where the bands meet
    rows, columns = rows[apart], columns[apart]
    first = rows < middle
    assert abs(columns[first].max() - columns[~first].min()) <= 10  # an orange line between
    assert columns[first].min() < columns[~first].min()
    assert abs(first.sum() - (~first).sum()) < 0.05 * len(rows)
