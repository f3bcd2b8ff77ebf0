"""ECG paper: a recording's leads at 25 mm/s and 10 mm/mV, with the answers below.

The unit of every axis here is a millimetre. At the default resolution (127 dpi) it is five pixels, so that the paper's
lines fall on whole ones. The page is as wide as A4 on its side and as long as its contents need.

Imports predictions and report; imported by cli.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg import report
from enecg._version import __version__
from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM_PER_S, MM_PER_MV = 25.0, 10.0
DPI = 127
PAGE_MM = 297.0
MARGIN_MM, HEAD_MM, FOOT_MM = 16.0, 14.0, 10.0
PULSE_MM = 10.0
"""Left of the traces, for the calibration pulse."""
SECONDS, PAPER_MM = 10.0, 265.0
ROW_MM = 20.0
"""How far a row's zero line is from its neighbours' at least; tall traces take more, so that rows never overlap."""
LIMIT_MM = 32.0
"""What is further from the zero line is cut off, and the foot says so."""
BASELINE_HZ = 0.5

_INCH = 25.4
_GRID, _FINE, _INK, _GREY, _MARK = "#e0968f", "#f7dcd9", "#15151f", "#5a5a66", "#0b4f8a"
_GAP_MM, _COLUMNS = 5.0, 4
_LEADING = 0.46
"""Millimetres from line to line for each point of letter size."""

Layout = list[list[tuple[str, float, float]]]
Array = npt.NDArray[np.float32]


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

    rows = _rows(recording)
    paper_mm = 5.0 * np.ceil((rows[-1].zero + rows[-1].below) / 5)
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
        paper.plot(*_pulse(row.zero), color=_INK, linewidth=0.8, solid_joinstyle="miter")
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


@dataclass
class _Trace:
    """A lead's piece in mm. x from the paper's left edge, y upwards from the row's zero line, NaN where missing."""

    lead: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    label: float
    cut: bool


@dataclass
class _Row:
    """Traces side by side. above, below : mm that they need;  zero : mm from the paper's top to their zero line."""

    traces: list[_Trace]
    above: float
    below: float
    zero: float = 0.0


def _layout(recording: Recording) -> Layout:
    """Rows of (lead, where it starts, how long it is), in s."""
    length = min(recording.seconds, SECONDS)
    more = [name for name in recording.leads if name not in STANDARD_LEADS]
    columns = 4 + -(-len(more) // 3)
    if not set(STANDARD_LEADS) <= set(recording.leads) or length < columns or columns > 6:
        return [[(name, 0.0, length)] for name in recording.leads]
    part = length / columns
    names = [*STANDARD_LEADS, *more]
    rows = [[(name, place * part, part) for place, name in enumerate(names[row::3])] for row in range(3)]
    return [*rows, [("II", 0.0, length)]]


def _rows(recording: Recording) -> list[_Row]:
    signal = recording.signal[:, : round(SECONDS * recording.rate)]
    if recording.seconds > 1:
        signal = highpass(signal, recording.rate, BASELINE_HZ)
    rows = []
    for pieces in _layout(recording):
        traces = [_trace(signal[recording.leads.index(piece[0])], recording.rate, *piece) for piece in pieces]
        highest = max([MM_PER_MV, *(trace.label + 3 for trace in traces), *(_top(trace.y) for trace in traces)])
        lowest = max([3.0, *(_top(-trace.y) for trace in traces)])
        rows.append(_Row(traces, highest + 1, lowest + 1))
    zero, before = 0.0, None
    for row in rows:
        distance = row.above if before is None else max(ROW_MM, before.below + row.above)
        row.zero = zero = 5.0 * np.ceil((zero + distance) / 5)
        before = row
    return rows


def _trace(samples: Array, rate: float, lead: str, start: float, length: float) -> _Trace:
    part = samples[round(start * rate) : round((start + length) * rate)].astype(np.float64) * MM_PER_MV
    x = PULSE_MM + (start + np.arange(len(part)) / rate) * MM_PER_S
    y = np.clip(part, -LIMIT_MM, LIMIT_MM)
    # The name stands above whatever the trace does below it.
    under = _top(y[x - x[0] < 3 + 2 * len(lead)])
    return _Trace(lead, x, y, max(7.0, under + 1), cut=bool((np.abs(part) > LIMIT_MM).any()))


def _top(y: npt.NDArray[np.float64]) -> float:
    return float(np.nanmax(y, initial=0.0))


def _draw(axes: "Axes", trace: _Trace, zero: float) -> None:
    axes.plot(trace.x, zero - trace.y, color=_INK, linewidth=0.8, solid_joinstyle="round", gid=f"lead {trace.lead}")
    first = trace.x[0]
    missing = "" if np.isfinite(trace.y).any() else " (no samples)"
    name = trace.lead + missing
    axes.text(first + 1, zero - trace.label, name, fontsize=8, fontweight="bold", color=_INK, va="baseline")
    if first > PULSE_MM:
        axes.plot([first, first], [zero - 2, zero + 2], color=_INK, linewidth=0.8)


def _pulse(zero: float) -> tuple[list[float], list[float]]:
    """The calibration pulse: 1 mV for 200 ms."""
    return [1, 3, 3, 8, 8, PULSE_MM], [zero - (MM_PER_MV if 1 < k < 4 else 0) for k in range(6)]


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


def _foot(page: "Axes", recording: Recording, rows: list[_Row], y: float) -> None:
    drawn = f"   high-pass {BASELINE_HZ:g} Hz" if recording.seconds > 1 else ""
    said = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV{drawn}"
    cut = list(dict.fromkeys(trace.lead for row in rows for trace in row.traces if trace.cut))
    if cut:
        said += f"   cut off at {LIMIT_MM / MM_PER_MV:g} mV: {', '.join(cut)}"
    _text(page, MARGIN_MM, y, _Line(_shortened(said, 7.5, PAPER_MM - 95)))
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
