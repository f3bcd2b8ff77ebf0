"""ECG paper: a recording's leads at 25 mm/s and 10 mm/mV, with the answers below.

The unit of every axis here is a millimetre. At the default resolution (127 dpi) it is five pixels, so that the paper's
lines fall on whole ones. The page is as wide as A4 on its side and as long as its contents need.

Imports paper, predictions and report; imported by cli.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from enecg import report
from enecg._version import __version__
from enecg.paper import PAPER_MM, PULSE_MM, SECONDS, Row, Trace, height_of, pulse, rows_of, said_of
from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 127
PAGE_MM = 297.0
MARGIN_MM, HEAD_MM, FOOT_MM = 16.0, 14.0, 10.0

_INCH = 25.4
_GRID, _FINE, _INK, _GREY, _MARK = "#e0968f", "#f7dcd9", "#15151f", "#5a5a66", "#0b4f8a"
_GAP_MM, _COLUMNS = 5.0, 4
_LEADING = 0.46
"""Millimetres from line to line for each point of letter size."""


def plot_recording(
    recording: Recording, prediction: Prediction | None = None, path: str | Path | None = None, dpi: int = DPI
) -> "Figure":
    """Draw a recording on ECG paper, true to scale when printed at `dpi`.

    Twelve leads become four columns, one after the other in time, and a strip of lead II below; further leads beside
    them a column more; fewer leads a row each. The first ten seconds are drawn, without the slow baseline (0.5 Hz, zero
    phase), as the foot says. Missing samples are gaps. With a prediction its answers stand below.
    path : file to write (.png, .svg, .pdf). Returns matplotlib's Figure, which no window shows.
    """
    from matplotlib.figure import Figure

    rows = rows_of(recording)
    paper_mm = height_of(rows)
    blocks = [] if prediction is None else _blocks(prediction)
    answers_mm = _place(blocks)
    height = HEAD_MM + paper_mm + FOOT_MM + answers_mm
    figure = Figure(figsize=(PAGE_MM / _INCH, height / _INCH), dpi=dpi, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE_MM), ylim=(height, 0))
    page.set_axis_off()
    paper = figure.add_axes(
        (MARGIN_MM / PAGE_MM, 1 - (HEAD_MM + paper_mm) / height, PAPER_MM / PAGE_MM, paper_mm / height),
        xlim=(0, PAPER_MM),
        ylim=(paper_mm, 0),
    )
    _grid(paper, paper_mm)
    for row in rows:
        paper.plot(*pulse(row.zero), color=_INK, linewidth=0.8, solid_joinstyle="miter")
        for trace in row.traces:
            _draw(paper, trace, row.zero)
    _head(page, recording)
    _foot(page, recording, rows, HEAD_MM + paper_mm + 4.5)
    for block in blocks:
        for line in block.lines:
            _text(page, block.x, HEAD_MM + paper_mm + FOOT_MM + block.y + line.y, line)
    if path is not None:
        figure.savefig(path)
    return figure


# -- the traces ----------------------------------------------------------------------------------------------------


def _draw(axes: "Axes", trace: Trace, zero: float) -> None:
    axes.plot(trace.x, zero - trace.y, color=_INK, linewidth=0.8, solid_joinstyle="round", gid=f"lead {trace.lead}")
    first = trace.x[0]
    axes.text(first + 1, zero - trace.label, trace.name, fontsize=8, fontweight="bold", color=_INK, va="baseline")
    if first > PULSE_MM:
        axes.plot([first, first], [zero - 2, zero + 2], color=_INK, linewidth=0.8)


def _grid(axes: "Axes", height: float) -> None:
    """Lines every millimetre, stronger ones every five."""
    from matplotlib.collections import LineCollection

    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    for step, colour, width in ((1, _FINE, 0.4), (5, _GRID, 0.6)):
        upright = [[(x, 0), (x, height)] for x in np.arange(0, PAPER_MM + 0.5, step)]
        across = [[(0, y), (PAPER_MM, y)] for y in np.arange(0, height + 0.5, step)]
        axes.add_collection(LineCollection(upright + across, colors=colour, linewidths=width, zorder=0, snap=True))


# -- the words -----------------------------------------------------------------------------------------------------


@dataclass
class _Line:
    """Text whose baseline is `y` mm below its block's top."""

    text: str
    size: float = 7.5
    bold: bool = False
    colour: str = _INK
    y: float = 0.0
    align: str = "left"


@dataclass
class _Block:
    """Lines that stay together: one task."""

    lines: list[_Line]
    height: float
    x: float = 0.0
    y: float = 0.0


def _head(page: "Axes", recording: Recording) -> None:
    facts = [recording.id or "recording"]
    age = "" if recording.age is None else f"{recording.age:.0f} years"
    facts.append(", ".join(part for part in (recording.sex, age) if part))
    facts.append("" if recording.acquired is None else recording.acquired.strftime("%Y-%m-%d %H:%M"))
    drawn = f"first {SECONDS:g} s of " if recording.seconds > SECONDS else ""
    facts.append(f"{drawn}{recording.seconds:.1f} s at {recording.rate:g} Hz")
    simulated = "simulated" in (*recording.notes, *recording.statements)
    room = PAPER_MM - (35 if simulated else 0)
    line = "   ·   ".join(part for part in facts if part)
    _text(page, MARGIN_MM, HEAD_MM - 4, _Line(_shortened(line, 9, room), 9))
    if simulated:
        _text(page, PAGE_MM - MARGIN_MM, HEAD_MM - 4, _Line("SIMULATED", 9, bold=True, colour=_MARK, align="right"))


def _foot(page: "Axes", recording: Recording, rows: list[Row], y: float) -> None:
    _text(page, MARGIN_MM, y, _Line(_shortened(said_of(recording, rows), 7.5, PAPER_MM - 95)))
    right = f"enecg {__version__}, research use only, not a medical device"
    _text(page, PAGE_MM - MARGIN_MM, y, _Line(right, 7, colour=_GREY, align="right"))


def _text(page: "Axes", x: float, y: float, line: _Line) -> None:
    weight = "bold" if line.bold else "normal"
    style: dict[str, Any] = {"fontsize": line.size, "fontweight": weight, "color": line.colour, "ha": line.align}
    # Names of files and classes are no formulas, whatever dollar signs they have.
    page.text(x, y, _drawable(line.text), va="baseline", parse_math=False, **style)


def _column() -> float:
    return (PAPER_MM - (_COLUMNS - 1) * _GAP_MM) / _COLUMNS


def _place(blocks: list[_Block]) -> float:
    """Put blocks into columns from left to right, each to the shortest; the height of the tallest column."""
    ends = [0.0] * _COLUMNS
    for block in blocks:
        column = int(np.argmin(ends))
        block.x, block.y = MARGIN_MM + column * (_column() + _GAP_MM), ends[column]
        ends[column] += block.height + 3.0
    return max(ends) + 2.0 if blocks else 0.0


def _blocks(prediction: Prediction) -> list[_Block]:
    """One for each task, then what holds for all."""
    reason = report.abstention(prediction)
    for title, why in (("Refused", prediction.refused), ("No answers", reason)):
        if why is not None:
            return [_block([(title, 9, True, _INK), (why, 7.5, False, _INK)], PAPER_MM)]
    blocks = [_answer(name, answer) for name, answer in prediction.answers.items()]
    return [*blocks, _block([("about", 7.5, True, _GREY), *((part, 7, False, _GREY) for part in _about(prediction))])]


def _answer(name: str, answer: TaskPrediction) -> _Block:
    marks = "".join(f"   [{mark}]" for mark in report.remarks(answer))
    parts = [(name.replace("_", " ") + marks, 7.5, True, _GREY)]
    parts.append((report.value_text(answer), 9 if answer.abstained is None else 7.5, answer.abstained is None, _INK))
    said = report.certainty_text(answer)
    if said:
        parts.append((said if answer.low is None else f"{said} ({report.percent(answer.coverage)})", 7.5, False, _INK))
    parts.append((report.weights_text(answer), 6.5, False, _GREY))
    return _block(parts)


def _about(prediction: Prediction) -> list[str]:
    answers = prediction.answers.values()
    marks = dict.fromkeys(mark for answer in answers for mark in report.remarks(answer))
    covers = " / ".join(sorted({report.percent(answer.coverage) for answer in answers}))
    said = [f"ranges, and what is not ruled out: {covers} coverage; small print: weights of the experts"]
    said += [] if prediction.quality is None else [f"signal quality {prediction.quality:.2f} of 1"]
    said += [f"doubt: {doubt}" for doubt in prediction.doubts]
    said += [f"[{mark}] {report.REMARKS[mark]}" for mark in marks]
    return said + list(prediction.notes)


def _block(parts: list[tuple[str, float, bool, str]], room: float | None = None) -> _Block:
    """Wrap (text, size, bold, colour) to `room` mm, by default a column's width."""
    lines: list[_Line] = []
    y = 0.0
    for text, size, bold, colour in parts:
        for piece in _wrapped(text, size, bold, room or _column()):
            y += size * _LEADING
            lines.append(_Line(piece, size, bold, colour, y=y))
    return _Block(lines, y)


def _wrapped(text: str, size: float, bold: bool, room: float) -> list[str]:
    """Lines of at most `room` mm, broken between words, or within a word that is too long by itself."""
    lines, line = [], ""
    for word in text.split():
        if line and _mm(f"{line} {word}", size, bold) <= room:
            line = f"{line} {word}"
            continue
        lines.append(line)
        while _mm(word, size, bold) > room:
            most = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or _mm(word[:n], size, bold) <= room)
            lines.append(word[:most])
            word = word[most:]
        line = word
    return [part for part in [*lines, line] if part]


def _shortened(text: str, size: float, room: float) -> str:
    while _mm(text, size, False) > room:
        text = text[:-2].rstrip("…") + "…"
    return text


def _mm(text: str, size: float, bold: bool) -> float:
    """How long a line of text is, a little more than it will be."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(weight="bold" if bold else "normal", size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(_drawable(text), font, ismath=False)
    return float(width) / 72 * _INCH * 1.04


def _drawable(text: str) -> str:
    """The text without what the font has no sign for: a box stands there, as in other programs."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_char_index
    return "".join(sign if known(ord(sign)) else "\N{WHITE SQUARE}" for sign in text)
