"""ECG paper: a recording's leads at 25 mm/s and 10 mm/mV, with the answers beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM_PER_S, MM_PER_MV = 25.0, 10.0
_INCH = 25.4
_ROW_MM = 25.0
_LEFT_MM, _TOP_MM, _BOTTOM_MM, _PANEL_MM = 12.0, 14.0, 8.0, 92.0
_PULSE_MM = 7.0
_GRID, _FINE, _INK = "#e58a8a", "#f6d5d5", "#15151f"

Layout = list[list[tuple[str, float, float]]]


def plot_recording(
    recording: Recording, prediction: Prediction | None = None, path: str | Path | None = None, dpi: int = 150
) -> "Figure":
    """Draw a recording on ECG paper, true to scale when printed at `dpi`.

    Twelve leads of ten seconds become four columns of 2.5 s and a strip of lead II below; other recordings one row for
    each lead, of the first ten seconds. Missing samples are gaps. With a prediction its answers stand beside.
    path : file to write (.png, .svg, .pdf). Returns matplotlib's Figure, which no window shows.
    """
    from matplotlib.figure import Figure

    rows = _layout(recording)
    seconds = max(start + length for row in rows for _, start, length in row)
    paper_mm = seconds * MM_PER_S + _PULSE_MM + 3
    height = _TOP_MM + _BOTTOM_MM + _ROW_MM * len(rows)
    width = _LEFT_MM + paper_mm + (_PANEL_MM if prediction is not None else 6)
    figure = Figure(figsize=(width / _INCH, height / _INCH), dpi=dpi, facecolor="white")
    paper = figure.add_axes((_LEFT_MM / width, _BOTTOM_MM / height, paper_mm / width, _ROW_MM * len(rows) / height))
    _paper(paper, paper_mm, _ROW_MM * len(rows))
    # Drawn without the slow baseline, as an electrocardiograph does, so that rows do not run into each other.
    signal = highpass(recording.signal, recording.rate, 0.5) if recording.seconds > 1 else recording.signal
    for number, row in enumerate(rows):
        middle = _ROW_MM * (len(rows) - number - 0.55)
        paper.plot(*_pulse(middle), color=_INK, linewidth=0.7)
        for name, start, length in row:
            _lead(paper, signal[recording.leads.index(name)], recording.rate, name, start, length, middle)
    _heading(figure, recording, 1 - 5 / height, _LEFT_MM / width)
    if prediction is not None:
        _panel(figure, prediction, (_LEFT_MM + paper_mm + 5) / width, 1 - _TOP_MM / height, height)
    if path is not None:
        figure.savefig(path)
    return figure


def _layout(recording: Recording) -> Layout:
    """Rows of (lead, where it starts, how long it is), in s."""
    length = min(recording.seconds, 10.0)
    if set(STANDARD_LEADS) <= set(recording.leads) and length >= 4:
        quarter = length / 4
        columns = [STANDARD_LEADS[start : start + 3] for start in (0, 3, 6, 9)]
        rows = [[(column[row], place * quarter, quarter) for place, column in enumerate(columns)] for row in range(3)]
        return [*rows, [("II", 0.0, length)]]
    return [[(name, 0.0, length)] for name in recording.leads]


def _paper(axes: "Axes", width: float, height: float) -> None:
    from matplotlib.collections import LineCollection

    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    for step, colour, line in ((1, _FINE, 0.35), (5, _GRID, 0.5)):
        upright = [[(x, 0), (x, height)] for x in np.arange(0, width + 0.01, step)]
        across = [[(0, y), (width, y)] for y in np.arange(0, height + 0.01, step)]
        axes.add_collection(LineCollection(upright + across, colors=colour, linewidths=line, zorder=0))


def _pulse(middle: float) -> tuple[list[float], list[float]]:
    """The calibration pulse: 1 mV for 200 ms."""
    x = [0.5, 1.5, 1.5, 6.5, 6.5, _PULSE_MM]
    return x, [middle + (MM_PER_MV if 1 < k < 4 else 0) for k in range(6)]


def _lead(
    axes: "Axes",
    samples: npt.NDArray[np.float32],
    rate: float,
    name: str,
    start: float,
    length: float,
    middle: float,
) -> None:
    first, last = round(start * rate), round((start + length) * rate)
    part = samples[first:last]
    x = _PULSE_MM + 1 + (start + np.arange(len(part)) / rate) * MM_PER_S
    axes.plot(x, middle + np.clip(part, -4, 4) * MM_PER_MV, color=_INK, linewidth=0.7, solid_joinstyle="round")
    axes.text(x[0] + 1, middle + 9.5, name, fontsize=7.5, fontweight="bold", color=_INK, va="center")
    if start > 0:
        axes.plot([x[0], x[0]], [middle - 2, middle + 2], color=_INK, linewidth=0.6)


def _heading(figure: "Figure", recording: Recording, y: float, x: float) -> None:
    facts = [recording.id or "recording"]
    if recording.age is not None or recording.sex is not None:
        age = "" if recording.age is None else f" {recording.age:.0f} y"
        facts.append(f"{recording.sex or ''}{age}".strip())
    facts.append(f"{recording.seconds:.1f} s at {recording.rate:g} Hz")
    if recording.acquired is not None:
        facts.append(recording.acquired.strftime("%Y-%m-%d %H:%M"))
    facts.append("25 mm/s   10 mm/mV")
    figure.text(x, y, "   |   ".join(facts), fontsize=8, color=_INK, va="center")
    if "simulated" in recording.notes:
        figure.text(0.995, y, "SIMULATED", fontsize=8, color="#b00020", fontweight="bold", ha="right", va="center")


def _panel(figure: "Figure", prediction: Prediction, x: float, top: float, height: float) -> None:
    """Answers as text; 4 mm for each line."""
    y = top
    for text, style in _lines(prediction):
        figure.text(x, y, text, va="top", **style)
        y -= (5.0 if style["fontsize"] > 8 else 4.0) / height


def _lines(prediction: Prediction) -> list[tuple[str, dict[str, Any]]]:
    bold: dict[str, Any] = {"fontsize": 8.5, "fontweight": "bold", "color": _INK}
    plain: dict[str, Any] = {"fontsize": 7.5, "color": _INK}
    small: dict[str, Any] = {"fontsize": 6.5, "color": "#666672"}
    if prediction.refused is not None:
        return [("Refused", bold), *((part, plain) for part in _wrapped(prediction.refused))]
    lines: list[tuple[str, dict[str, Any]]] = []
    for name, answer in prediction.answers.items():
        lines.append((name.replace("_", " "), bold))
        if answer.abstained is not None:
            lines += [(part, plain) for part in _wrapped(f"no answer: {answer.abstained}")]
            continue
        lines += [(part, plain) for part in _answer(answer)]
        weights = ", ".join(f"{expert} {weight:.0%}" for expert, weight in answer.weights.items() if weight >= 0.005)
        lines.append((weights + ("" if answer.calibrated else "   not calibrated"), small))
    quality = "" if prediction.quality is None else f"quality {prediction.quality:.2f}   "
    lines.append((quality + "research use only, not a medical device", small))
    return lines


def answer_lines(prediction: Prediction) -> list[str]:
    """The answers as lines of text."""
    return [text for text, _ in _lines(prediction)]


def _answer(answer: TaskPrediction) -> list[str]:
    if answer.task.kind == "regression":
        reach = "" if answer.low is None else f"   ({answer.low:.0f} to {answer.high:.0f}, {answer.coverage:.0%})"
        return [f"{answer.value:.0f} {answer.task.unit or ''}{reach}"]
    if answer.task.kind == "multilabel":
        found = ", ".join(f"{name} {answer.probabilities[name]:.0%}" for name in answer.value or ())  # type: ignore[union-attr]
        return _wrapped(found or "none")
    chance = answer.probabilities[str(answer.value)]
    others = [name for name in answer.members if name != answer.value]
    made = [f"{answer.value}   {chance:.0%}"]
    return made + (_wrapped(f"not ruled out: {', '.join(others)}") if others else [])


def _wrapped(text: str, width: int = 52) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)[:4]
