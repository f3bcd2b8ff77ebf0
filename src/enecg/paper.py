"""What stands where on ECG paper: a recording's leads in millimetres, 25 of them a second and 10 a millivolt.

Draws nothing: plot.py and the pages do. Imports recording and signal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass

MM_PER_S, MM_PER_MV = 25.0, 10.0
PULSE_MM = 10.0
"""Left of the traces, for the calibration pulse."""
SECONDS, PAPER_MM = 10.0, 265.0
ROW_MM = 20.0
"""How far a row's zero line is from its neighbours' at least; tall traces take more, so that rows never overlap."""
LIMIT_MM = 32.0
"""What is further from the zero line is cut off, and `said_of` says so."""
BASELINE_HZ = 0.5

Layout = list[list[tuple[str, float, float]]]
Array = npt.NDArray[np.float32]


@dataclass
class Trace:
    """A lead's piece in mm. x from the paper's left edge, y upwards from the row's zero line, NaN where missing.

    label : mm from the zero line up to the lead's name.
    """

    lead: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    label: float
    cut: bool

    @property
    def name(self) -> str:
        """Of the lead, and that it has no samples where it has none."""
        return self.lead if np.isfinite(self.y).any() else f"{self.lead} (no samples)"


@dataclass
class Row:
    """Traces side by side. above, below : mm that they need;  zero : mm from the paper's top to their zero line."""

    traces: list[Trace]
    above: float
    below: float
    zero: float = 0.0


def rows_of(recording: Recording) -> list[Row]:
    """The rows of a recording's paper, from top to bottom.

    Twelve leads become four columns, one after the other in time, and a strip of lead II below; further leads beside
    them a column more; fewer leads a row each. Of the first ten seconds, without the slow baseline (zero phase).
    """
    signal = recording.signal[:, : round(SECONDS * recording.rate)]
    if recording.seconds > 1:
        signal = highpass(signal, recording.rate, BASELINE_HZ)
    rows = []
    for pieces in _layout(recording):
        traces = [_trace(signal[recording.leads.index(piece[0])], recording.rate, *piece) for piece in pieces]
        highest = max([MM_PER_MV, *(trace.label + 3 for trace in traces), *(_top(trace.y) for trace in traces)])
        lowest = max([3.0, *(_top(-trace.y) for trace in traces)])
        rows.append(Row(traces, highest + 1, lowest + 1))
    zero, before = 0.0, None
    for row in rows:
        distance = row.above if before is None else max(ROW_MM, before.below + row.above)
        row.zero = zero = 5.0 * np.ceil((zero + distance) / 5)
        before = row
    return rows


def height_of(rows: list[Row]) -> float:
    """Of the paper that holds them, whole squares of 5 mm."""
    return float(5.0 * np.ceil((rows[-1].zero + rows[-1].below) / 5))


def pulse(zero: float) -> tuple[list[float], list[float]]:
    """The calibration pulse, x and y: 1 mV for 200 ms."""
    return [1, 3, 3, 8, 8, PULSE_MM], [zero - (MM_PER_MV if 1 < k < 4 else 0) for k in range(6)]


def said_of(recording: Recording, rows: list[Row]) -> str:
    """What whoever reads the paper must know of it: scale, filter, what was cut off."""
    drawn = f"   high-pass {BASELINE_HZ:g} Hz" if recording.seconds > 1 else ""
    said = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV{drawn}"
    cut = list(dict.fromkeys(trace.lead for row in rows for trace in row.traces if trace.cut))
    return f"{said}   cut off at {LIMIT_MM / MM_PER_MV:g} mV: {', '.join(cut)}" if cut else said


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


def _trace(samples: Array, rate: float, lead: str, start: float, length: float) -> Trace:
    part = samples[round(start * rate) : round((start + length) * rate)].astype(np.float64) * MM_PER_MV
    x = PULSE_MM + (start + np.arange(len(part)) / rate) * MM_PER_S
    y = np.clip(part, -LIMIT_MM, LIMIT_MM)
    # The name stands above whatever the trace does below it.
    under = _top(y[x - x[0] < 3 + 2 * len(lead)])
    return Trace(lead, x, y, max(7.0, under + 1), cut=bool((np.abs(part) > LIMIT_MM).any()))


def _top(y: npt.NDArray[np.float64]) -> float:
    return float(np.nanmax(y, initial=0.0))
