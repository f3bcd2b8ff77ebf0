"""ECGs of an Apple Watch as the Health app exports them: lines of what is told, then one sample to a line, as CSV.

What is told is in the language of the telephone, and numbers are written as in its country (`512,844 Hertz`,
`-180,596`). So lines are known by their values and their order, not by their names: name, birth, time, class, symptoms,
program, watch, rate; lead and unit; samples. Source: exports in English and German as published with readers of them.
"""

import csv
import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import contents
from enecg.formats._candidate import Candidate, decoded
from enecg.formats._decimals import MINUS, decimal_mark, plain
from enecg.formats._finish import age_at, finished
from enecg.recording import Recording, millivolts_per

NAME = "Apple Watch CSV"
EXPECTED = "an ECG as Apple's Health app exports it, with lines of a rate and a unit before the samples"

_LARGEST = 2**23
"""Bytes; half a minute has 120,000."""

_RATE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:hert?z|herci?|hz|герц|赫|ヘルツ|헤르츠|χερτζ|هرتز|הרץ)\w*", re.IGNORECASE)
_UNIT = re.compile(r"[µμu]V|mV", re.IGNORECASE)
_LEAD = re.compile(r"(?<![A-Za-z])(I{1,3}|aV[RLF]|V[1-6])(?![A-Za-z])")
_WATCH = re.compile(r"Watch\d+,\d+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}")
_HEART_RATE = re.compile(r"(\d+(?:[.,]\d+)?)\s*bpm", re.IGNORECASE)
_SAMPLE = re.compile(rf"[-+{MINUS}]?(\d+([.,]\d+)?|\d{{1,3}}(,\d{{3}})+(\.\d+)?|\d{{1,3}}(\.\d{{3}})+(,\d+)?)")
_BIRTH = (
    re.compile(r"(?P<month>[A-Z][a-z]{2})[a-z]*\.? (?P<day>\d{1,2}), (?P<year>\d{4})"),
    re.compile(r"(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]{2})[a-z]*\.? (?P<year>\d{4})"),
    re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})"),
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def recognise(candidate: Candidate) -> bool:
    """Whether lines of names and values, a rate and then a unit among them, stand before lines of one number."""
    text = candidate.text[:4000]
    if "," not in text or "\0" in text:
        return False
    told, samples = _parted(text)
    return bool(samples) and {"rate", "unit"} <= _meant(told).keys()


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    file = contents(path, _LARGEST, NAME)
    told, samples = _parted(decoded(file.take(file.left)))
    meant = _meant(told)
    if not samples or not {"rate", "unit"} <= meant.keys():
        raise ReadError(f"{path}: expected {EXPECTED}; copy the file again")
    rate = float(meant["rate"].replace(",", "."))
    signal = _numbers(path, samples, meant["rate"]) * millivolts_per(meant["unit"])
    first, last = ask.span(len(signal), rate, path)
    [lead] = ask.names([meant.get("lead")], path)
    return finished(path, NAME, signal[None, first:last], rate, [lead], **_facts(meant))


def _parted(text: str) -> tuple[list[list[str]], list[str]]:
    """The lines before the samples, each in its cells, and the samples' lines; blank lines are passed over."""
    lines = [line.strip() for line in text.splitlines()]
    begin = next((row for row, line in enumerate(lines) if _SAMPLE.fullmatch(line.strip('"'))), len(lines))
    try:
        told = [[cell.strip() for cell in cells] for cells in csv.reader(lines[:begin])]
    except csv.Error:
        return [], []
    return told, [line.strip('"') for line in lines[begin:] if line]


def _meant(told: Sequence[Sequence[str]]) -> dict[str, str]:
    """What is told, by what it must be: rate, unit, lead, watch, time, class, birth, heart rate."""
    meant: dict[str, str] = {}
    values = [row[1] if len(row) == 2 else "" for row in told if any(row)]
    for number, value in enumerate(values):
        if rate := _RATE.fullmatch(value):
            meant["rate"] = rate[1]
        elif _UNIT.fullmatch(value):
            meant["unit"] = value
            if number and (lead := _LEAD.search(values[number - 1])):
                meant["lead"] = lead[1]
        elif _WATCH.fullmatch(value):
            meant["watch"] = value
        elif heart := _HEART_RATE.fullmatch(value):
            meant["heart rate"] = heart[1].replace(",", ".")
        elif _TIME.fullmatch(value):
            meant["time"] = value
            meant["birth"], meant["class"] = "".join(values[:number][-1:]), "".join(values[number + 1 : number + 2])
    return meant


def _numbers(path: Path, texts: list[str], rate: str) -> npt.NDArray[np.float64]:
    """[sample]; the rate is written in the same way. Raises ReadError for what is no number, or could be two."""
    for number, text in enumerate(texts, start=1):
        if not _SAMPLE.fullmatch(text):
            raise ReadError(f"{path}: sample {number} is {text!r:.40}; expected a number, copy the file again")
    texts = [text.replace(MINUS, "-") for text in texts]
    mark = decimal_mark(texts) or next((mark for mark in ",." if mark in rate), None)
    if mark is None:
        raise ReadError(f"{path}: commas and points do not tell which parts decimals; write all numbers with points")
    try:
        return np.array([plain(text, mark) for text in texts], dtype=np.float64)
    except ValueError as error:
        raise ReadError(f"{path}: samples that are no numbers ({error}); copy the file again") from error


def _facts(meant: dict[str, str]) -> dict[str, Any]:
    acquired = _moment(meant.get("time", ""))
    facts: dict[str, Any] = {"acquired": acquired, "age": age_at(_birth(meant.get("birth", "")), acquired)}
    facts["device"] = f"Apple {meant['watch']}" if "watch" in meant else None
    facts["statements"] = (meant["class"],) if meant.get("class") else ()
    if "heart rate" in meant:
        facts["measurements"] = {"heart_rate_bpm": float(meant["heart rate"])}
    return facts


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def _birth(text: str) -> date | None:
    """A date with the month in English, or in numbers parted by points; others can be read in two ways."""
    for form in _BIRTH:
        if found := form.fullmatch(text):
            month = found["month"]
            if not month.isdigit() and month not in _MONTHS:
                return None
            try:
                number = int(month) if month.isdigit() else _MONTHS.index(month) + 1
                return date(int(found["year"]), number, int(found["day"]))
            except ValueError:
                return None
    return None
