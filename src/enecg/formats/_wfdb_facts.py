"""What a WFDB header says of patient and time, in its comments and at the end of its first line."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from enecg.formats._finish import age_of, sex_of

_DATE = re.compile(r"(\d{1,2})[-/](\w{3}|\d{1,2})[-/](\d{4})")
_TIME = re.compile(r"\b(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?\b")
_AGE = re.compile(r"(>?)\s*(\d+(?:\.\d+)?)\s*(?:y|yrs?|years?)?", re.IGNORECASE)


def acquired_in(rest: str) -> datetime | None:
    """Date and time of the record line, in either order; None unless both are there and possible."""
    date, time = _DATE.search(rest), _TIME.search(rest)
    if date is None or time is None:
        return None
    day, month, year = date.groups()
    form = "%d %b %Y %H %M %S" if month.isalpha() else "%d %m %Y %H %M %S"
    try:
        return datetime.strptime(f"{day} {month} {year} {' '.join(time.groups())}", form)
    except ValueError:
        return None


def said_in(comments: Sequence[str]) -> dict[str, Any]:
    """Age, sex and what else the comments say. Both `Age: 51` and `<age>: 51 <sex>: F` are known."""
    age, sex, statements = None, None, []
    for key, value in (pair for comment in comments for pair in _pairs(comment)):
        if not value or value.lower() in ("unknown", "nan", "n/a"):
            continue
        word = key.lower()
        if word == "age" and (number := _years(value)) is not None:
            age = number
        elif word in ("sex", "gender") and (found := sex_of(value)) is not None:
            sex = found
        else:
            statements.append(f"{key}: {value}" if key else value)
    return {"age": age, "sex": sex, "statements": statements}


def _pairs(comment: str) -> list[tuple[str, str]]:
    tagged = re.findall(r"<([^<>]+)>\s*:?\s*([^<]*)", comment)
    if tagged:
        return [(key.strip(), value.strip()) for key, value in tagged]
    key, colon, value = comment.partition(":")
    return [(key.strip(), value.strip())] if colon else [("", comment.strip())]


def _years(value: str) -> float | None:
    """`51`, `51 y`, `>89` (which is how 90 and more are hidden) as years; None for what no one lives."""
    found = _AGE.fullmatch(value)
    if found is None:
        return None
    hidden, number = found.groups()
    return age_of(float(number) + (1 if hidden else 0))
