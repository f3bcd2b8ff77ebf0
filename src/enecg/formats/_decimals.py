"""Numbers as people and their programs write them: with a decimal comma, with marks between thousands."""

import re
from collections.abc import Sequence

MINUS = "\u2212"
"""The minus sign that Swedish, Norwegian and other locales write for a hyphen."""

_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")


def decimal_mark(texts: Sequence[str]) -> str | None:
    """The decimal mark of numbers that were written in one way: "." or ","; None where both readings are possible.

    Where both marks are in one number the latter is it. Commas alone are decimal ones, unless all of them could part
    thousands and some numbers have none: `1,234` beside `56` is either.
    """
    for text in texts:
        if "," in text and "." in text:
            return "," if text.rindex(",") > text.rindex(".") else "."
    if any("." in text for text in texts):
        return None if any("," in text for text in texts) else "."
    marked = [text for text in texts if "," in text]
    if any(text.count(",") > 1 for text in marked):
        return "."
    unsure = marked and len(marked) < len(texts) and all(_GROUPED.fullmatch(text) for text in marked)
    return None if unsure else "," if marked else "."


def plain(text: str, mark: str) -> str:
    """A number as Python writes it."""
    if mark == ",":
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "")


def is_plain(text: str) -> bool:
    """Whether Python reads it as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
