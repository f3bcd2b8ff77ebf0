"""A recording on ECG paper as SVG. Its unit is a millimetre, on the screen and, printed at 100 %, on paper."""

from enecg.pages._html import Html, element
from enecg.pages._lines import path_of, short
from enecg.paper import PAPER_MM, PULSE_MM, Row, height_of, pulse, rows_of, said_of
from enecg.recording import Recording

_STEP = 0.01
"""Millimetres, in which traces are written."""
_TOLERANCE = 0.015
"""Millimetres that a trace may be off: a twentieth of its line's width."""


def paper(recording: Recording) -> Html:
    """The picture, and below it the scale and what was cut off."""
    rows = rows_of(recording)
    height = height_of(rows)
    leads = ", ".join(dict.fromkeys(trace.name for row in rows for trace in row.traces))
    drawn = element(
        "svg",
        _grid(height),
        *(part for row in rows for part in _row(row)),
        class_="paper",
        viewBox=f"0 0 {PAPER_MM:g} {height:g}",
        width=f"{PAPER_MM:g}mm",
        height=f"{height:g}mm",
        role="img",
        aria_label=f"ECG paper with leads {leads}",
    )
    said = said_of(recording, rows).replace("   ", " · ")
    return element("figure", drawn, element("figcaption", f"{said} · true to scale when printed at 100 %"))


def _grid(height: float) -> Html:
    """Lines every millimetre, stronger ones every five."""
    lines = []
    for step, class_ in ((1, "fine"), (5, "grid")):
        upright = "".join(f"M{x} 0V{height:g}" for x in range(0, round(PAPER_MM) + 1, step) if step == 5 or x % 5)
        across = "".join(f"M0 {y}H{PAPER_MM:g}" for y in range(0, round(height) + 1, step) if step == 5 or y % 5)
        lines.append(element("path", d=upright + across, class_=class_))
    return Html("".join(lines))


def _row(row: Row) -> list[Html]:
    """The calibration pulse, the traces, their names, and where one lead begins after another."""
    x, y = pulse(row.zero)
    points = zip(x, y, strict=True)
    parts = [element("path", d="M" + "L".join(f"{short(a)} {short(b)}" for a, b in points), class_="trace")]
    for trace in row.traces:
        line = path_of(trace.x, row.zero - trace.y, _TOLERANCE, _STEP)
        first = float(trace.x[0])
        if line:
            scaled = f"scale({_STEP:g})"
            parts.append(element("path", d=line, class_="trace lead", transform=scaled, data_lead=trace.lead))
        if first > PULSE_MM:
            parts.append(element("path", d=f"M{short(first)} {short(row.zero - 2)}v4", class_="trace"))
        parts.append(element("text", trace.name, x=short(first + 1), y=short(row.zero - trace.label), class_="lead"))
    return parts
