"""What a format has no place for, written as lines of text among its statements, and taken back by every reader.

A line is `enecg FIELD: VALUE`: a field of a Recording and its value in JSON, such as `enecg age: 51.5`. Texts may be
long, and statements and notes are several: their value is `[number of the text, number of a piece of it, the piece]`.
Lines are ASCII and short, so that any format can hold them.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from enecg.recording import Recording

_LINE = re.compile(r"enecg (\w+): (.+)")
_TEXTS = ("subject", "device", "statement", "note")
_PIECE = 70
"""Letters of a text in a line; each may take twelve in JSON, and DICOM's texts end at 1,024."""

_ENDLESS = 1e300
"""JSON's numbers may be more than a float holds, and none."""


def lines_of(recording: Recording, held: Mapping[str, Any]) -> list[str]:
    """Whatever a recording says (statements aside) and a reader would not find in the file.

    held : by field, what the places that the format has of its own give back; the rate, if they round it.
    """
    lines = [] if held.get("rate", recording.rate) == recording.rate else [_line("rate", recording.rate)]
    for field in ("subject", "age", "sex", "device"):
        value = getattr(recording, field)
        if value is not None and value != held.get(field):
            lines += _pieces(field, 0, value) if field in _TEXTS else [_line(field, value)]
    if recording.acquired is not None and recording.acquired != held.get("acquired"):
        lines.append(_line("acquired", recording.acquired.isoformat()))
    own = held.get("measurements", {})
    lines += [_line("measurements", {k: v}) for k, v in recording.measurements.items() if own.get(k) != v]
    return [*lines, *(line for number, note in enumerate(recording.notes) for line in _pieces("note", number, note))]


def statement_lines(recording: Recording, survives: Callable[[str], bool]) -> list[str]:
    """The statements: as they are, where they come back so, else as lines. A text that is there twice comes back once.

    survives : whether a text comes back as it is from the place that the format has for statements.
    """
    lines: list[str] = []
    for number, text in enumerate(recording.statements):
        plain = survives(text) and text not in lines and not _LINE.fullmatch(text)
        lines += [text] if plain else _pieces("statement", number, text)
    return lines


def taken(statements: Iterable[str]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Facts, notes and statements from a file's statements. What is no line, or a damaged one, is a statement."""
    facts: dict[str, Any] = {}
    rest: list[str] = []
    texts: dict[str, dict[int, dict[int, str]]] = {field: {} for field in _TEXTS}
    for statement in statements:
        found = _LINE.fullmatch(statement)
        value = None if found is None else _value(found[1], found[2])
        if found is None or value is None:
            rest.append(statement)
        elif found[1] in texts:
            number, piece, text = value
            texts[found[1]].setdefault(number, {})[piece] = text
        elif found[1] == "measurements":
            facts["measurements"] = facts.get("measurements", {}) | value
        else:
            facts[found[1]] = value
    for field in ("subject", "device"):
        if texts[field]:
            facts[field] = "".join(text for _, text in _whole(texts[field]))
    for number, text in _whole(texts["statement"]):
        rest.insert(number, text)
    return facts, [text for _, text in _whole(texts["note"])], rest


def _line(field: str, value: Any) -> str:
    # WFDB's comments have tags, and blanks that follow each other become one in EDF and DICOM.
    return f"enecg {field}: " + json.dumps(value).replace("<", "\\u003c").replace("  ", "\\u0020\\u0020")


def _pieces(field: str, number: int, text: str) -> list[str]:
    begins = range(0, max(1, len(text)), _PIECE)
    return [_line(field, [number, piece, text[at : at + _PIECE]]) for piece, at in enumerate(begins)]


def _whole(texts: Mapping[int, Mapping[int, str]]) -> Iterable[tuple[int, str]]:
    """Texts in the order of their numbers, from their pieces."""
    return ((number, "".join(text for _, text in sorted(pieces.items()))) for number, pieces in sorted(texts.items()))


def _value(field: str, text: str) -> Any:
    """What a line says; None for what no line of ours says."""
    try:
        value = json.loads(text)
        if field == "acquired":
            return datetime.fromisoformat(value)
    except (ValueError, TypeError, RecursionError):
        return None
    known = {
        "sex": value in ("male", "female"),
        "age": _is_number(value),
        "rate": _is_number(value),
        "measurements": isinstance(value, dict) and all(map(_is_number, value.values())),
        **dict.fromkeys(_TEXTS, _is_piece(value)),
    }
    return value if known.get(field) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS


def _is_piece(value: Any) -> bool:
    return isinstance(value, list) and [type(one) for one in value] == [int, int, str]
