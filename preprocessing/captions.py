"""Names of classes and videos, which are any text, as one line of a picture or a table."""

import unicodedata

_READ = 1000  # characters that are looked at: names have no bound


def one_line(text: str, length: int = 200) -> str:
    """The text without line breaks and control characters, shortened with an ellipsis.

    Args:
        text: any.
        length: most characters.
    """
    # Control characters, and halves of surrogate pairs, which no encoding takes.
    unwritable = ("Cc", "Cs")
    signs = (" " if unicodedata.category(sign) in unwritable else sign for sign in text[:_READ])
    line = " ".join("".join(signs).split())
    return line if len(line) <= length else line[: length - 1] + "…"
