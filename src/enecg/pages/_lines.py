"""Curves as SVG paths: as few points as the eye needs, and few signs for each."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Double = npt.NDArray[np.float64]


def short(value: float, digits: int = 2) -> str:
    """A number without zeros that say nothing."""
    said = f"{value:.{digits}f}"
    said = said.rstrip("0").rstrip(".") if "." in said else said
    return "0" if said in ("-0", "") else said


def thinned(x: Double, y: Double, tolerance: float) -> npt.NDArray[np.intp]:
    """Places of the points without which the curve would be off by more than `tolerance` (Douglas and Peucker 1973)."""
    keep = np.zeros(len(x), dtype=bool)
    keep[[0, -1]] = True
    parts = [(0, len(x) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        away = _distance(x[first : last + 1], y[first : last + 1])[1:-1]
        far = int(away.argmax())
        if away[far] > tolerance:
            place = first + 1 + far
            keep[place] = True
            parts += [(first, place), (place, last)]
    return np.flatnonzero(keep)


def _distance(x: Double, y: Double) -> Double:
    """Of each point from the stretch between the first and the last."""
    dx, dy = x[-1] - x[0], y[-1] - y[0]
    square = dx * dx + dy * dy
    along = np.clip(((x - x[0]) * dx + (y - y[0]) * dy) / square, 0, 1) if square else np.zeros_like(x)
    return np.asarray(np.hypot(x - x[0] - along * dx, y - y[0] - along * dy))


def path_of(x: Double, y: Double, tolerance: float, unit: float = 1.0) -> str:
    """What an SVG path draws through the points, in whole steps of `unit`; where y is NaN there is a gap.

    Steps are relative to the last point as it was rounded, so that roundings do not add up.
    """
    there = np.isfinite(y)
    starts = np.flatnonzero(there & ~np.r_[False, there[:-1]])
    ends = np.flatnonzero(there & ~np.r_[there[1:], False]) + 1
    return "".join(_piece(x[a:b], y[a:b], tolerance, unit) for a, b in zip(starts, ends, strict=True))


def _piece(x: Double, y: Double, tolerance: float, unit: float) -> str:
    kept = thinned(x, y, tolerance)
    points = np.round(np.column_stack([x[kept], y[kept]]) / unit).astype(np.int64)
    steps = np.diff(points, axis=0)
    steps = steps[steps.any(axis=1)]
    # A single sample is a dot, by the round end of a line without length.
    return f"M{_pair(points[0])}" + (f"l{_joined(map(_pair, steps))}" if len(steps) else "h0")


def _pair(point: npt.NDArray[np.int64]) -> str:
    return f"{point[0]}{'' if point[1] < 0 else ' '}{point[1]}"


def _joined(pairs: Iterable[str]) -> str:
    """Pairs one after the other, a minus sign being separation enough."""
    made = ""
    for pair in pairs:
        made += pair if not made or pair.startswith("-") else f" {pair}"
    return made
