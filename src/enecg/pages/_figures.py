"""Small pictures as SVG: intervals, shares, reliability and precision-recall curves. Their unit is a pixel.

Each has its numbers beside it in words or in a table; none is told by colour alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from enecg.evaluation import Curves
from enecg.pages._html import Html, element
from enecg.pages._lines import Double, path_of, short

_SIZE, _LEFT, _BELOW, _TOP = 176.0, 44.0, 30.0, 8.0
"""Of a square plot, and the room beside and below it for its axes' words."""


@dataclass(frozen=True)
class Scale:
    """A range of values along `length` pixels, the ends `margin` away from the first and the last."""

    low: float
    high: float
    length: float = 140.0
    margin: float = 6.0

    @classmethod
    def of(cls, values: Sequence[float], length: float = 140.0) -> "Scale":
        """Which all finite ones fit on."""
        there = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(there), max(there)
        room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, length)

    def at(self, value: float) -> float:
        """Pixels from the left; what is beyond an end is drawn there."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.margin + share * (self.length - 2 * self.margin)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on it, a few."""
        size = 10.0 ** math.floor(math.log10(self.high - self.low))
        for step in (size * part for part in (0.1, 0.2, 0.5, 1, 2, 5)):
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first < most:
                break
        return [round(k * step, 10) for k in range(first, last + 1)]


def interval(
    scale: Scale, value: float, low: float | None = None, high: float | None = None, ring: bool = False
) -> Html:
    """A dot, or a ring, on a bar from low to high where these are known. Its numbers stand beside it."""
    parts = [_line(scale.margin, 9, scale.length - scale.margin, 9, "axis")]
    if low is not None and high is not None:
        start, end = scale.at(low), scale.at(high)
        parts.append(element("rect", x=short(start), y="5", width=short(max(end - start, 1)), height="8", class_="bar"))
    class_ = "ring" if ring else "dot"
    parts.append(element("circle", cx=short(scale.at(value)), cy="9", r="3.5", class_=class_))
    return _svg(parts, scale.length, 18)


def axis(scale: Scale) -> Html:
    """The scale that the intervals above it have."""
    parts = []
    for tick in next(ticks for most in (5, 4, 3, 2) if _fit(ticks := scale.ticks(most), scale.length) or most == 2):
        x = scale.at(tick)
        parts += [_line(x, 0, x, 4, "axis"), _word(_said(tick), x, 14, "middle")]
    return _svg(parts, scale.length, 17)


def share(value: float, marks: Sequence[float] = (), likely: bool = True, length: float = 140.0) -> Html:
    """A bar from 0 to 1, filled or hollow, with a small ring for each mark."""
    scale = Scale(0.0, 1.0, length)
    start, end = scale.at(0), scale.at(value)
    parts = [
        element("rect", x=short(start), y="3", width=short(scale.at(1) - start), height="10", class_="track"),
        element(
            "rect", x=short(start), y="3", width=short(end - start), height="10", class_="full" if likely else "faint"
        ),
    ]
    parts += [element("circle", cx=short(scale.at(mark)), cy="8", r="3", class_="ring") for mark in marks]
    return _svg(parts, length, 16)


def reliability(curves: Curves) -> Html:
    """How many were of the class, by how likely it was said to be; below, how often that was said."""
    plot = _Square(0, 1, 0, 1)
    parts = [plot.frame("said", "found"), plot.diagonal()]
    most = max(one.n for one in curves.bins)
    for one in curves.bins:
        x = plot.x(one.chance)
        tall = max(1.0, 22 * one.n / most)
        parts.append(
            element("rect", x=short(x - 4), y=short(_TOP + _SIZE - tall), width="8", height=short(tall), class_="count")
        )
    for one in curves.bins:
        x = plot.x(one.chance)
        if math.isfinite(one.share.low):
            parts.append(_line(x, plot.y(one.share.low), x, plot.y(one.share.high), "reach"))
        parts.append(element("circle", cx=short(x), cy=short(plot.y(one.share.value)), r="3.2", class_="dot"))
    return plot.svg(parts, f"Reliability of {curves.name}: share found against probability said, in tenths")


def precision_recall(curves: Curves) -> Html:
    """Precision against recall, what chance would give, and the operating points by number."""
    plot = _Square(0, 1, 0, 1)
    chance = plot.y(curves.positives / curves.n)
    parts = [plot.frame("recall (sensitivity)", "precision"), _line(plot.x(0), chance, plot.x(1), chance, "dash")]
    # In steps, as average precision counts them: up to a threshold's recall, its precision.
    parts.append(plot.curve(np.repeat(np.r_[0.0, curves.recall], 2)[1:-1], np.repeat(curves.precision, 2)))
    for number, point in enumerate(curves.points, 1):
        if math.isfinite(point.precision.value):
            across, down = plot.x(point.sensitivity.value), plot.y(point.precision.value)
            parts.append(element("circle", cx=short(across), cy=short(down), r="6", class_="point"))
            parts.append(_word(str(number), across, down + 3.2, "middle", "number"))
    return plot.svg(parts, f"Precision against recall of {curves.name}")


def spread(rows: Double, unit: str) -> Html:
    """True values by what was answered: median, and a line over the middle 80 %. rows : of evaluation's `spread_of`."""
    low, high = float(rows.min()), float(rows.max())
    room = 0.04 * (high - low) or 1.0
    plot = _Square(low - room, high + room, low - room, high + room)
    parts = [plot.frame(f"answered, {unit}".rstrip(", "), f"true, {unit}".rstrip(", ")), plot.diagonal()]
    for answer, tenth, middle, ninetieth in rows:
        x = plot.x(answer)
        parts.append(_line(x, plot.y(tenth), x, plot.y(ninetieth), "reach"))
        parts.append(element("circle", cx=short(x), cy=short(plot.y(middle)), r="3.2", class_="dot"))
    return plot.svg(parts, "True values against answers, in ten bins of as many answers each")


def _said(tick: float) -> str:
    return short(tick, 9)


def _fit(ticks: Sequence[float], length: float) -> bool:
    """Whether their numbers stand beside each other."""
    return sum(6.5 * len(_said(tick)) + 6 for tick in ticks) <= length


class _Square:
    """A plot with two axes."""

    def __init__(self, left: float, right: float, bottom: float, top: float) -> None:
        self.across = Scale(left, right, _SIZE, 0)
        self.up = Scale(bottom, top, _SIZE, 0)

    def x(self, value: float) -> float:
        return _LEFT + self.across.at(value)

    def y(self, value: float) -> float:
        return _TOP + _SIZE - self.up.at(value)

    def frame(self, across: str, up: str) -> Html:
        """The axes with their ticks and words."""
        size = short(_SIZE)
        parts = [element("rect", x=short(_LEFT), y=short(_TOP), width=size, height=size, class_="frame")]
        for tick in self.across.ticks():
            parts += [
                _line(self.x(tick), _TOP + _SIZE, self.x(tick), _TOP + _SIZE + 3, "axis"),
                _word(_said(tick), self.x(tick), _TOP + _SIZE + 13, "middle"),
            ]
        for tick in self.up.ticks():
            parts += [
                _line(_LEFT - 3, self.y(tick), _LEFT, self.y(tick), "axis"),
                _word(f"{tick:g}", _LEFT - 5, self.y(tick) + 3.5, "end"),
            ]
        parts.append(_word(across, _LEFT + _SIZE / 2, _TOP + _SIZE + 26, "middle"))
        turned = f"rotate(-90 8 {short(_TOP + _SIZE / 2)})"
        parts.append(element("text", up, x="8", y=short(_TOP + _SIZE / 2), text_anchor="middle", transform=turned))
        return Html("".join(parts))

    def diagonal(self) -> Html:
        low, high = max(self.across.low, self.up.low), min(self.across.high, self.up.high)
        return _line(self.x(low), self.y(low), self.x(high), self.y(high), "dash")

    def curve(self, x: Double, y: Double) -> Html:
        """Through values, in tenths of a pixel."""
        across = np.array([self.x(value) for value in x])
        down = np.array([self.y(value) for value in y])
        return element("path", d=path_of(across, down, 0.2, 0.1), class_="curve", transform="scale(.1)")

    def svg(self, parts: Sequence[Html], label: str) -> Html:
        return _svg(parts, _LEFT + _SIZE + 10, _TOP + _SIZE + _BELOW, label)


def _svg(parts: Sequence[Html], width: float, height: float, label: str | None = None) -> Html:
    """Without a label it only repeats what stands beside it, and is not read out."""
    said = {"aria_hidden": "true"} if label is None else {"role": "img", "aria_label": label}
    size = {"width": short(width), "height": short(height), "viewBox": f"0 0 {short(width)} {short(height)}"}
    return element("svg", *parts, **size, **said)


def _line(x: float, y: float, to_x: float, to_y: float, class_: str) -> Html:
    return element("line", x1=short(x), y1=short(y), x2=short(to_x), y2=short(to_y), class_=class_)


def _word(said: str, x: float, y: float, anchor: str, class_: str | None = None) -> Html:
    return element("text", said, x=short(x), y=short(y), text_anchor=anchor, class_=class_)
