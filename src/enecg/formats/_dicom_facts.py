"""What a DICOM object says of patient, time and device, and what machine or reader measured and stated.

Described in DICOM PS3.3, C.10.10 (annotations); codes in PS3.16, CID 3228, 3229 and 3689.
"""

import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from enecg.formats._dicom_elements import first_of, items_of, number_of, text_of
from enecg.formats._finish import age_at, age_of, in_years, moment, person, possible, sex_of

if TYPE_CHECKING:
    from pydicom import Dataset

MEASURED = {
    # SCPECG, as DICOM's older objects have it
    "5.10.2.1-3": "rr_ms",
    "5.10.2.1-5": "pp_ms",
    "5.10.2.5-5": "qtc_ms",
    "5.13.5-7": "pr_ms",
    "5.13.5-9": "qrs_ms",
    "5.13.5-11": "qt_ms",
    "5.10.3-11": "p_axis_deg",
    "5.10.3-13": "qrs_axis_deg",
    "5.10.3-15": "t_axis_deg",
    # MDC, CID 3228, 3229 and 3689
    "2:16000": "rr_ms",
    "2:16168": "rr_ms",
    "2:16140": "pp_ms",
    "2:16184": "p_ms",
    "2:15872": "pr_ms",
    "2:16156": "qrs_ms",
    "2:16160": "qt_ms",
    "2:16128": "p_axis_deg",
    "2:16132": "qrs_axis_deg",
    "2:16136": "t_axis_deg",
    # LOINC
    "8867-4": "heart_rate_bpm",
    "8625-6": "pr_ms",
    "8633-0": "qrs_ms",
    "8634-8": "qt_ms",
    "8636-3": "qtc_ms",
}
MEANT = {
    "heart rate": "heart_rate_bpm",
    "ventricular rate": "heart_rate_bpm",
    "ventricular heart rate": "heart_rate_bpm",
    "atrial rate": "atrial_rate_bpm",
    "rr interval": "rr_ms",
    "pp interval": "pp_ms",
    "p duration": "p_ms",
    "pr interval": "pr_ms",
    "qrs duration": "qrs_ms",
    "qt interval": "qt_ms",
    "qtc interval": "qtc_ms",
    "p axis": "p_axis_deg",
    "qrs axis": "qrs_axis_deg",
    "t axis": "t_axis_deg",
}
"""By a code's meaning, for codes of a maker's own."""

_MILLISECONDS = {"ms": 1.0, "s": 1e3}
_PER_MINUTE = re.compile(r"bpm|(\{.*\}|1)?/min")

_DAY = re.compile(r"(\d{4})[.:]?(\d\d)[.:]?(\d\d)")
_CLOCK = re.compile(r"(\d\d):?(\d\d):?(\d\d)?(?:\.(\d{1,6}))?(?:[+-]\d{4})?")


def facts_of(dataset: "Dataset") -> dict[str, Any]:
    """Of patient, time and device."""
    day, acquired = _acquired(dataset)
    birth = _DAY.fullmatch(text_of(dataset, "PatientBirthDate"))
    told = re.fullmatch(r"(\d{1,3})([DWMY])", text_of(dataset, "PatientAge"))
    age = age_of(in_years(int(told[1]), "mo" if told[2] == "M" else told[2])) if told else None
    maker = (text_of(dataset, "Manufacturer"), text_of(dataset, "ManufacturerModelName"))
    return {
        "subject": person(text_of(dataset, "PatientID")),
        "sex": sex_of(text_of(dataset, "PatientSex")),
        "age": age if age is not None else age_at(moment(*map(int, birth.groups())) if birth else None, day),
        "acquired": acquired,
        "device": " ".join(filter(None, maker)) or None,
    }


def _acquired(dataset: "Dataset") -> tuple[date | None, datetime | None]:
    """Day, and day with time by the clock on the wall, of the first that is said: acquisition, content, study."""
    both = text_of(dataset, "AcquisitionDateTime")
    pairs = [(both[:8], both[8:])]
    kinds = ("Acquisition", "Content", "Study")
    pairs += [(text_of(dataset, f"{kind}Date"), text_of(dataset, f"{kind}Time")) for kind in kinds]
    known: date | None = None
    for day, clock in pairs:
        parts, hours = _DAY.fullmatch(day), _CLOCK.fullmatch(clock)
        if parts is None:
            continue
        known = known or moment(*map(int, parts.groups()))
        if hours is not None:
            numbers = [int(part or 0) for part in hours.groups()[:3]]
            found = moment(*map(int, parts.groups()), *numbers, int((hours[4] or "").ljust(6, "0")))
            if found is not None:
                return found, found
    return known, None


def _annotations(dataset: "Dataset") -> list["Dataset"]:
    """Those of the whole recording; those of a point or part in time are marks."""
    return [one for one in items_of(dataset, "WaveformAnnotationSequence") if not text_of(one, "TemporalRangeType")]


def measurements_of(dataset: "Dataset") -> tuple[dict[str, float], list[str]]:
    """By name; what the file gives several values of, lead by lead or beat by beat, is left out with a note."""
    values: dict[str, list[float]] = {}
    odd: list[str] = []
    for annotation in _annotations(dataset):
        concept, value = first_of(annotation, "ConceptNameCodeSequence"), number_of(annotation, "NumericValue")
        meaning = text_of(concept, "CodeMeaning")
        name = MEASURED.get(text_of(concept, "CodeValue")) or MEANT.get(meaning.lower())
        if name is None or value is None:
            continue
        unit = text_of(first_of(annotation, "MeasurementUnitsCodeSequence"), "CodeValue")
        if name.endswith("_ms"):
            value *= _MILLISECONDS.get(unit, math.nan)
        elif name.endswith("_bpm") and not _PER_MINUTE.fullmatch(unit):
            value = math.nan
        elif name.endswith("_deg") and unit != "deg":
            odd.append(meaning or name)
        if possible(name, value) and value not in values.setdefault(name, []):
            values[name].append(value)
    several = [name for name, found in values.items() if len(found) > 1]
    notes = [f"several values of {name}: left out" for name in several]
    if odd:
        notes.append(f"{', '.join(odd)}: not in degrees by the file; taken as degrees, for an axis is in nothing else")
    return {name: found[0] for name, found in values.items() if len(found) == 1}, notes


def statements_of(dataset: "Dataset") -> Iterator[str]:
    """The sentences of the machine or of who read it, in the file's order."""
    for annotation in _annotations(dataset):
        coded = text_of(first_of(annotation, "ConceptCodeSequence"), "CodeMeaning")
        yield from (" ".join(text.split()) for text in (text_of(annotation, "UnformattedTextValue"), coded) if text)
