"""Names of classes and videos, which are any text, as one line of a picture or a table; times."""

import unicodedata

import numpy as np

_READ = 1000  # characters that are read: names have no bound


def one_line(text: str, length: int = 200) -> str:
    """Removes line breaks and control characters from a text and shortens it with an ellipsis."""
    # Control characters, and halves of surrogate pairs, which no encoding takes.
    unwritable = ("Cc", "Cs")
    characters = (" " if unicodedata.category(c) in unwritable else c for c in text[:_READ])
    line = " ".join("".join(characters).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def clock(seconds: float) -> str:
    """A time such as 1:02:03, or 02:03 below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def draw_text(
    image: np.ndarray,
    text: str,
    left: int,
    baseline: int,
    size: int,
    color: tuple[int, int, int],
    weight: int = 400,
    width: int | None = None,
    right: bool = False,
) -> None:
    """Draws one line of text in place.

    Args:
        image: uint8 (H, W, 3), RGB.
        text: drawn as one line, whatever it holds; shortened where it is wider than `width`.
        left, baseline: where the line begins, in pixels.
        size: of the letters, in pixels.
        color: RGB.
        weight: 400 normal, 600 bold.
        width: room for the line, in pixels; None for any.
        right: whether the line ends at left + width.
    """
    import cv2  # here: the callers of `one_line` do not need it

    text, face = one_line(text), cv2.FontFace("sans")

    def measure(line: str) -> int:
        return cv2.getTextSize((0, 0), line, (0, 0), face, size, weight)[2]

    if width is not None and measure(text) > width:
        while text and measure(text + "…") > width:
            text = text[:-1]
        text += "…"
    if right and width is not None:
        left += width - measure(text)
    cv2.putText(image, text, (left, baseline), color, face, size, weight)
