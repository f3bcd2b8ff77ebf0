"""Single-lead text of Lepu and Viatom: one line of values parted by commas, `F-0-01,125,II,405,-66,-101,...`.

In order: filter code, Hz, lead, units to the millivolt, samples. Source: the field table published with the files of
viatom-develop/Lepu-AI.
"""

import re
from pathlib import Path

import numpy as np

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import contents
from enecg.formats._candidate import Candidate
from enecg.formats._decimals import is_plain
from enecg.formats._finish import finished
from enecg.recording import Recording

NAME = "Viatom text"
EXPECTED = "a line of Lepu or Viatom, which begins F-0-01,RATE,LEAD,GAIN"

_LARGEST = 2**24
"""Bytes; half a minute at 125 Hz has 13,000."""

_START = re.compile(r"\s*(F-\d{1,2}-\d{2}),(\d+(?:\.\d+)?),(\w{1,8}),(\d+(?:\.\d+)?),\s*(?=-?\d)")


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins with the four values that tell how to read the others."""
    return _START.match(candidate.text) is not None


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    file = contents(path, _LARGEST, NAME)
    text = file.take(file.left).decode("utf-8-sig", "replace")
    start = _START.match(text)
    if start is None:
        raise ReadError(f"{path}: expected {EXPECTED}")
    filter_, rate, lead, gain = start.groups()
    if float(gain) == 0 or float(rate) == 0:
        raise ReadError(f"{path}: rate {rate} Hz and {gain} units to the millivolt; expected positive numbers")
    values = text[start.end() :].strip().rstrip(",").split(",")
    try:
        samples = np.array(values, dtype=np.float64)
    except ValueError:
        wrong = next(number for number, value in enumerate(values, start=1) if not is_plain(value))
        raise ReadError(
            f"{path}: sample {wrong} is {values[wrong - 1]!r:.40}; expected a number, copy the file again"
        ) from None
    first, last = ask.span(len(samples), float(rate), path)
    signal = samples[None, first:last] / float(gain)
    return finished(path, NAME, signal, float(rate), [lead], [f"filter code of the recorder: {filter_}"])
