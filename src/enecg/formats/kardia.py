"""Kardia JSON: recordings of KardiaMobile as AliveCor's interface hands them out.

Source: the documentation of the Kardia API, whose field table and example response spell keys in two ways (`leadI` and
`lead_I`, `mainsFrequency` and `mains_freq`); both are read. Samples are integers, `amplitudeResolution` is nanovolts in
one of them.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from enecg.errors import LeadError, ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import contents
from enecg.formats._candidate import Candidate
from enecg.formats._finish import finished
from enecg.recording import Recording

NAME = "Kardia JSON"
EXPECTED = "Kardia JSON, with data.raw.samples of each lead"

_LARGEST = 2**24
"""Bytes; half a minute of six leads has 250,000."""

_SAMPLES = re.compile(
    r'"(?:raw|enhanced)"\s*:\s*\{[^][]{0,1000}?"samples"\s*:\s*\{\s*"(?:lead_?)?(?:I{1,3}|aV[RLF])"\s*:\s*\[', re.I
)
_NANOVOLT = 1e-6


def recognise(candidate: Candidate) -> bool:
    """Whether the file is an object in which a lead's samples stand where Kardia's do."""
    return (
        candidate.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and _SAMPLES.search(candidate.text) is not None
    )


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path, unfiltered where the file has both; see `enecg.read`."""
    file = contents(path, _LARGEST, NAME)
    try:
        document = json.loads(file.take(file.left).removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path}: no JSON ({error}); it is cut short or damaged: copy it again") from error
    kinds = _object(path, document, "data")
    kind = "raw" if "raw" in kinds else "enhanced"
    block = _object(path, kinds, kind)
    rate = ask.hertz(_number(path, block, "frequency"), path)
    resolution = _number(path, block, "amplitudeResolution")
    factor = resolution * _NANOVOLT if resolution else ask.millivolts(path)
    leads = {_lead(key): _samples(path, key, values) for key, values in _object(path, block, "samples").items()}
    lengths = {name: len(values) for name, values in leads.items()}
    if not leads or 0 in lengths.values() or len(set(lengths.values())) > 1:
        raise ReadError(f"{path}: samples in its leads: {lengths}; expected some, and equally many in all")
    expected = _number(path, block, "numLeads")
    if expected and expected != len(leads):
        raise LeadError(f"{path}: {len(leads)} leads ({', '.join(leads)}); {expected:g} are announced, copy it again")
    first, last = ask.span(next(iter(lengths.values())), rate, path)
    signal = np.array([values[first:last] for values in leads.values()]) * factor
    notes = []
    if kind == "enhanced":
        notes.append("only the signal as AliveCor filters it is in the file")
    elif "enhanced" in kinds:
        notes.append("the unfiltered signal is read; the file also holds it as AliveCor filters it")
    return finished(path, NAME, signal, rate, list(leads), notes, **_facts(document))


def _object(path: Path, inside: Any, key: str) -> dict[str, Any]:
    found = inside.get(key) if isinstance(inside, dict) else None
    if not isinstance(found, dict):
        raise ReadError(f"{path}: no object {key!r} where it belongs; expected {EXPECTED}")
    return found


def _number(path: Path, block: dict[str, Any], key: str) -> float | None:
    """A number, or None where there is none."""
    value = block.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        raise ReadError(f"{path}: {key} is {value!r:.40}; expected a number, 0 or more")
    return float(value)


def _lead(key: str) -> str:
    """`leadII`, `lead_II` and `AVR` as a lead's name."""
    return re.sub(r"^lead_?", "", key, flags=re.IGNORECASE)


def _samples(path: Path, key: str, values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[sample]; null is missing."""
    if not isinstance(values, list) or not all(v is None or type(v) in (int, float) for v in values):
        raise ReadError(f"{path}: samples of {key} are not all numbers; expected a list of numbers")
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise ReadError(f"{path}: {key}: amplitudes beyond measure; expected numbers of some thousands") from error


def _facts(document: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if isinstance(document.get("patientID"), str) and document["patientID"].strip():
        facts["subject"] = f"file:{document['patientID'].strip()}"
    facts["acquired"] = _moment(document.get("recordedAt"))
    device = document.get("deviceInfo")
    kind = device.get("hardwareType") if isinstance(device, dict) else None
    facts["device"] = f"AliveCor {kind}" if isinstance(kind, str) and kind else None
    found = document.get("algorithmDetermination")
    facts["statements"] = (found,) if isinstance(found, str) and found else ()
    facts["measurements"] = dict(_measurements(document))
    return facts


def _measurements(document: dict[str, Any]) -> list[tuple[str, float]]:
    """Heart rate, and the intervals of newer files, which nest each value in an object."""
    intervals = document.get("qtMeasurement")
    intervals = intervals if isinstance(intervals, dict) else {}
    told = [("heart_rate_bpm", document.get("heartRate"))]
    for key, name in (("rr", "rr_ms"), ("qt", "qt_ms"), ("qtcb", "qtc_bazett_ms"), ("qtcf", "qtc_fridericia_ms")):
        value = intervals.get(key)
        told.append((name, value.get("Value") if isinstance(value, dict) else value))
    return [(name, float(v)) for name, v in told if isinstance(v, int | float) and 0 < v < 1e6]


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
