"""Answers in words: the table that a person reads. No numbers of its own.

Imports native and predictions; imported by plot and cli.
"""

import math
import textwrap
from collections.abc import Sequence

from enecg.native import NativeAnswers
from enecg.predictions import Prediction, TaskPrediction

_SMALLEST = 0.01
"""Classes less likely than this are not shown to a person; files hold them all."""


REMARKS = {
    "simulated": "learned from simulated recordings only",
    "uncalibrated": "these experts were not calibrated together: the coverage stated is not promised",
}
"""What the marks mean."""


def percent(share: float) -> str:
    """0.912 as 91%; never 0% or 100% for what is neither."""
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "<1%" if share < 0.5 else ">99%"
    return f"{share * 100:.0f}%"


def number(value: float, width: float | None = None) -> str:
    """A value with as many decimals as its interval's width gives sense to: two digits of it, three of the value."""
    scale = abs(width) if width else abs(value) / 10
    decimals = 0 if not scale or not math.isfinite(scale) else max(0, min(6, 1 - math.floor(math.log10(scale))))
    return f"{value:.{decimals}f}"


def value_text(answer: TaskPrediction) -> str:
    """The answer: `616 ms`, `female 76%`, `NORM 81%`, `none of them`, `no answer: ...`."""
    if answer.abstained is not None:
        return f"no answer: {answer.abstained}"
    if isinstance(answer.value, float):
        return f"{number(answer.value, _width(answer))} {answer.task.unit or ''}".rstrip()
    found = answer.value if isinstance(answer.value, tuple) else (str(answer.value),)
    return ", ".join(f"{name} {percent(answer.probabilities[name])}" for name in found) or "none of them"


def others(answer: TaskPrediction) -> list[tuple[str, float]]:
    """The classes that are not the answer, and merged groups, with their probabilities; the likeliest first."""
    found = answer.value if isinstance(answer.value, tuple) else (answer.value,)
    rest = [(name, p) for name, p in answer.probabilities.items() if name not in found and p >= _SMALLEST]
    return sorted(rest, key=lambda pair: -pair[1])


def certainty_text(answer: TaskPrediction) -> str:
    """What else may be true at the stated coverage: `593 to 641`, `or sinus tachycardia`, `undecided: HYP`."""
    if answer.abstained is not None:
        return ""
    if answer.low is not None and answer.high is not None:
        width = _width(answer)
        return f"{number(answer.low, width)} to {number(answer.high, width)}"
    if answer.task.kind == "multilabel":
        return f"undecided: {', '.join(answer.undecided)}" if answer.undecided else ""
    # An empty set is no proof of anything: the answer itself is then as unlikely as all others.
    if not answer.members:
        return "none is likely"
    left = [name for name in answer.members if name != answer.value]
    return f"or {', '.join(left)}" if left else "no other"


def remarks(answer: TaskPrediction) -> list[str]:
    """Short marks of an answer, keys of REMARKS: what its reader must know."""
    said = ["simulated"] if answer.simulated else []
    return said if answer.calibrated or answer.abstained is not None else [*said, "uncalibrated"]


def weights_text(answer: TaskPrediction) -> str:
    """The experts' weights, the heaviest first."""
    ranked = sorted(answer.weights.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {percent(weight)}" for name, weight in ranked)


def abstention(prediction: Prediction) -> str | None:
    """The reason, where one and the same keeps every answer back."""
    reasons = {answer.abstained for answer in prediction.answers.values()}
    return reasons.pop() if len(reasons) == 1 else None


def as_text(prediction: Prediction, width: int = 110) -> str:
    """One recording's answers as a table of at most `width` columns, or 72 where that is less."""
    width = max(72, width)
    title = str(prediction.path or prediction.id)
    if prediction.refused is not None:
        refused = _indented(f"refused: {prediction.refused}", width)
        return "\n".join([title, *refused, *_doubtful(prediction.doubts, width)])
    quality = "" if prediction.quality is None else f"quality {prediction.quality:.2f}; "
    lines = [title, *_indented(f"{quality}experts: {', '.join(prediction.experts)}", width)]
    lines += _doubtful(prediction.doubts, width)
    lines += [line for note in prediction.notes for line in _indented(note, width)]
    reason = abstention(prediction)
    if reason is not None:
        return "\n".join([*lines, *_indented(f"no answers: {reason}", width)])
    answers = prediction.answers
    covers = " / ".join(sorted({percent(answer.coverage) for answer in answers.values()}))
    rows = [_row(name, answer) for name, answer in answers.items()]
    lines += _table([("task", "answer", f"within {covers}", "weights"), *rows], width)
    marks = dict.fromkeys(mark for answer in answers.values() for mark in remarks(answer))
    return "\n".join([*lines, *(line for mark in marks for line in _indented(f"[{mark}] {REMARKS[mark]}", width))])


def native_text(found: NativeAnswers, row: int, width: int = 110, most: int = 10) -> str:
    """An expert's own answers to one recording: the likeliest `most`, and how many others there are."""
    width = max(72, width)
    title, refused, abstained = str(found.paths[row] or found.ids[row]), found.refused[row], found.abstained[row]
    if refused is not None:
        return "\n".join([title, *_indented(f"refused: {refused}", width), *_doubtful(found.doubts[row], width)])
    lines = [title, *_indented(f"quality {found.quality[row]:.2f}; labels of {found.expert}, not calibrated", width)]
    lines += _doubtful(found.doubts[row], width)
    lines += [line for note in found.notes for line in _indented(note, width)]
    if abstained is not None:
        return "\n".join([*lines, *_indented(f"no answers: {abstained}", width)])
    ranked = found.likeliest(row)
    lines += [f"  {percent(chance):>4}  {label}" for label, chance in ranked[:most]]
    rest = ranked[most:]
    return "\n".join([*lines, f"        {len(rest)} others, {percent(rest[0][1])} at most"] if rest else lines)


def _row(name: str, answer: TaskPrediction) -> tuple[str, ...]:
    rest = ", ".join(f"{label} {percent(p)}" for label, p in others(answer)[:4])
    marks = "".join(f" [{mark}]" for mark in remarks(answer))
    said = value_text(answer) + (f" ({rest})" if rest else "") + marks
    return name, said, certainty_text(answer), weights_text(answer)


def _table(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """Columns that wrap: the first as wide as it needs, the rest by shares."""
    first = max(len(row[0]) for row in rows)
    free = max(60, width - first - 8)
    widths = [first, int(free * 0.44), int(free * 0.28), int(free * 0.28)]
    lines = []
    for row in rows:
        cells = [
            textwrap.wrap(cell, wide, break_on_hyphens=False) or [""] for cell, wide in zip(row, widths, strict=True)
        ]
        for k in range(max(map(len, cells))):
            parts = [(cell[k] if k < len(cell) else "").ljust(wide) for cell, wide in zip(cells, widths, strict=True)]
            lines.append("  " + "  ".join(parts).rstrip())
    return lines


def _doubtful(doubts: Sequence[str], width: int) -> list[str]:
    return [line for doubt in doubts for line in _indented(f"doubt: {doubt}", width)]


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _width(answer: TaskPrediction) -> float | None:
    return None if answer.low is None or answer.high is None else answer.high - answer.low
