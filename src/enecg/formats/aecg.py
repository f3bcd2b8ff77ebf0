"""HL7 annotated ECG (aECG), the FDA's XML: series of leads as digits with origin and scale, and what a device found.

Described in B. Brown, F. Badilini: HL7 aECG Implementation Guide, 2005 (schema PORT_MT020001). A series may consist of
several sets of leads that were recorded one after the other; they are put on one time axis. A series that is derived
from it (the representative beat) is read on request only.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError
from enecg.formats._ask import Ask
from enecg.formats._calibration import ecg_ends
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, in_years, person, possible, sex_of
from enecg.formats._lead_signals import known_lead
from enecg.formats._pieces import joined
from enecg.formats._shown import shown
from enecg.formats._xml import elements, millivolts, number, numbers, root_of, said
from enecg.recording import Recording

NAME = "HL7 aECG"
EXPECTED = "an HL7 annotated ECG (XML with the root AnnotatedECG)"

LEAD = "MDC_ECG_LEAD_"
REPORTED_AGE = "21612-7"
"""LOINC's code."""

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME = re.compile(r"(\d{14})(?:\.(\d{1,6})\d*)?(?:[+-]\d{4})?")
"""HL7's date and time to the second, with a fraction and the time zone where known."""

MEASURED = {
    "MDC_ECG_HEART_RATE": "heart_rate_bpm",
    "MDC_ECG_TIME_PD_RR": "rr_ms",
    "MDC_ECG_TIME_PD_P": "p_ms",
    "MDC_ECG_TIME_PD_PR": "pr_ms",
    "MDC_ECG_TIME_PD_QRS": "qrs_ms",
    "MDC_ECG_TIME_PD_QT": "qt_ms",
    "MDC_ECG_TIME_PD_QTC": "qtc_ms",
    "MDC_ECG_TIME_PD_QTCB": "qtc_bazett_ms",
    "MDC_ECG_TIME_PD_QTCF": "qtc_fridericia_ms",
    "MDC_ECG_ANGLE_P_FRONT": "p_axis_deg",
    "MDC_ECG_ANGLE_QRS_FRONT": "qrs_axis_deg",
    "MDC_ECG_ANGLE_T_FRONT": "t_axis_deg",
    "MINDRAY_ECG_P_AXIS": "p_axis_deg",
    "MINDRAY_ECG_QRS_AXIS": "qrs_axis_deg",
    "MINDRAY_ECG_T_AXIS": "t_axis_deg",
}
STATEMENT = "MDC_ECG_INTERPRETATION_STATEMENT"
_STATED = (STATEMENT, "MDC_ECG_INTERPRETATION_SUMMARY")

_LOOSE = 0.0125
"""mV by which a calibration pulse can be off after another program has resampled or rounded it."""


def recognise(candidate: Candidate) -> bool:
    """Whether the root element is an annotated ECG's."""
    return root_of(candidate) == "AnnotatedECG"


def read(path: Path, ask: Ask) -> Recording:
    """The rhythm series of this file; `item` is its number where there are several, or `REPRESENTATIVE_BEAT`."""
    root = elements(path)
    series = _series(path, root, ask.item)
    sets = [_set(path, found, ask) for found in series.iterfind("component/sequenceSet")]
    signal, leads, rate = _together(path, sets)
    notes = [note for one in sets for note in one.notes]
    acquired = _acquired(root, series)
    age, of_age = _age(root, acquired)
    measurements, of_values = _measurements(series)
    first, last = ask.span(signal.shape[1], rate, path)
    end = ecg_ends(signal, rate, _LOOSE)
    if end is not None and end < last:
        notes.append(
            f"from {end / rate:.2f} s on all leads hold zeros and a calibration pulse of 1 mV, which is no ECG; it is "
            "kept, and start= and seconds= can leave it out"
        )
    return finished(
        path,
        NAME,
        signal[:, first:last],
        rate,
        leads,
        [*notes, *of_age, *of_values],
        subject=person(_patient(root)),
        age=age,
        sex=sex_of(said(root, f"{_SUBJECT}/subjectDemographicPerson/administrativeGenderCode@code")),
        acquired=acquired,
        device=_device(series),
        measurements=measurements,
        statements=tuple(_statements(series)),
    )


def _series(path: Path, root: Element, item: str | None) -> Element:
    """The series that is asked for. Raises ReadError if there is none, or none can be chosen."""
    every = [*root.iterfind("component/series"), *root.iterfind("component/series/derivation/derivedSeries")]
    coded = [((said(series, "code@code") or "").upper(), series) for series in every]
    found = shown([code or "one without a code" for code, _ in coded])
    rhythms = [series for code, series in coded if code == "RHYTHM"]
    if item is not None and not item.isdecimal():
        named = [series for code, series in coded if code == item.upper()]
        if not named:
            raise ReadError(f"{path}: no series {item!r}; found {found}")
        return named[0]
    if not rhythms:
        raise ReadError(f"{path}: no rhythm series (found {found}); expected a series with the code RHYTHM")
    if item is None and len(rhythms) > 1:
        raise ReadError(f"{path}: {len(rhythms)} rhythm series; say which with item=1 to item={len(rhythms)}")
    which = int(item or 1)
    if not 1 <= which <= len(rhythms):
        raise ReadError(f"{path}: no rhythm series {which}; expected 1 to {len(rhythms)}")
    return rhythms[which - 1]


# -- samples -----------------------------------------------------------------------------------------------------------


class _Set(NamedTuple):
    """Leads that were recorded at the same time.

    begin : a time, or seconds from one that is not told; None where the file says neither.
    leads : samples [sample] in mV.
    """

    begin: datetime | float | None
    rate: float
    leads: dict[str, npt.NDArray[np.float64]]
    notes: list[str]


def _set(path: Path, sequence_set: Element, ask: Ask) -> _Set:
    sequences = [(said(found, "code@code") or "", found) for found in sequence_set.iterfind("component/sequence")]
    times = [found for code, found in sequences if code.startswith("TIME_")]
    leads: dict[str, npt.NDArray[np.float64]] = {}
    notes = []
    for code, sequence in sequences:
        name = code.upper().removeprefix(LEAD)
        lead = known_lead(name)
        if code.startswith("TIME_"):
            continue
        if lead is None:
            notes.append(f"{code or 'a sequence without a code'} is no lead that is known; left out")
            continue
        samples = _samples(path, name, sequence, ask)
        if not len(samples):
            notes.append(f"lead {lead} holds no samples; left out")
        elif lead in leads:
            raise LeadError(f"{path}: lead {lead} is there more than once; expected it once")
        else:
            leads[lead] = samples
    if not leads:
        raise LeadError(f"{path}: no lead in a set of sequences; expected codes such as {LEAD}II, with digits")
    _check_lengths(path, leads)
    begin = _begin(times[0]) if times else None
    return _Set(begin, _rate(path, times, ask), leads, notes)


def _samples(path: Path, lead: str, sequence: Element, ask: Ask) -> npt.NDArray[np.float64]:
    """Samples [sample] in mV: origin + scale x digits."""
    scale = number(sequence, "value/scale@value")
    digits = numbers(path, lead, said(sequence, "value/digits"))
    if not len(digits):
        return digits
    if scale is None:
        raise ReadError(f"{path}: lead {lead}: no scale; expected a number, such as 2.5 uV")
    samples = digits * (scale * millivolts(said(sequence, "value/scale@unit"), ask, f"{path}: lead {lead}"))
    origin = number(sequence, "value/origin@value")
    if origin:
        samples += origin * millivolts(said(sequence, "value/origin@unit"), ask, f"{path}: lead {lead}")
    return samples


def _check_lengths(path: Path, leads: dict[str, npt.NDArray[np.float64]]) -> None:
    """Raises LeadError unless all have one length, as what was recorded together has."""
    (first, expected), *others = leads.items()
    for lead, samples in others:
        if len(samples) != len(expected):
            raise LeadError(
                f"{path}: lead {lead} has {len(samples):,} samples, {first} {len(expected):,}; expected as many. "
                "Copy the file again"
            )


def _rate(path: Path, times: list[Element], ask: Ask) -> float:
    """Hz, from the increment of the time axis."""
    increment = number(times[0], "value/increment@value") if times else None
    unit = said(times[0], "value/increment@unit") if times else None
    if increment is None:
        return ask.hertz(None, path)
    seconds = increment * _SECONDS.get((unit or "").lower(), math.nan)
    if not seconds > 0:
        raise ReadError(f"{path}: increment of time {increment:g} {unit}; expected a positive number of s, ms or us")
    return round(1 / seconds, 3)  # to the millihertz: an increment has few digits


def _begin(time: Element) -> datetime | float | None:
    head, unit = said(time, "value/head@value"), (said(time, "value/head@unit") or "s").lower()
    if said(time, "code@code") == "TIME_ABSOLUTE":
        return _moment(head)
    seconds = number(time, "value/head@value")
    return None if seconds is None or unit not in _SECONDS else seconds * _SECONDS[unit]


def _together(path: Path, sets: list[_Set]) -> tuple[npt.NDArray[np.float64], tuple[str, ...], float]:
    """Signal [lead, sample] in mV, leads and rate of all sets, each where it belongs in time."""
    if not sets:
        raise ReadError(f"{path}: a series without sequences; expected a sequenceSet with a time axis and leads")
    rates = {one.rate for one in sets}
    if len(rates) > 1:
        raise ReadError(
            f"{path}: leads of different rates ({', '.join(f'{rate:g}' for rate in rates)} Hz); expected one"
        )
    rate = rates.pop()
    offsets = _offsets(path, sets) if len(sets) > 1 else [0.0]
    pieces = [
        (lead, round(offset * rate), samples)
        for one, offset in zip(sets, offsets, strict=True)
        for lead, samples in one.leads.items()
    ]
    return *joined(path, pieces), rate


def _offsets(path: Path, sets: list[_Set]) -> list[float]:
    """Seconds from the beginning of the first set to that of each."""
    begins = [one.begin for one in sets]
    times = [begin for begin in begins if isinstance(begin, datetime)]
    seconds = [begin for begin in begins if isinstance(begin, float)]
    if len(times) == len(sets):
        return [(begin - min(times)) / timedelta(seconds=1) for begin in times]
    if len(seconds) == len(sets):
        return [begin - min(seconds) for begin in seconds]
    raise ReadError(f"{path}: several sets of leads without a common time axis; expected a head of time in each")


# -- facts -------------------------------------------------------------------------------------------------------------

_SUBJECT = "componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject"


def _patient(root: Element) -> str | None:
    """The patient's id: the hospital's, where a device adds it (Mindray, Lepu), else that of the trial."""
    found = said(
        root, f"{_SUBJECT}/subjectDemographicPerson/PatientID", f"{_SUBJECT}/id@extension", f"{_SUBJECT}/id@root"
    )
    return None if found == "trialSubject" else found  # which such devices write for everyone


def _moment(text: str | None) -> datetime | None:
    """Local date and time, from HL7's; None unless it is said to the second."""
    found = _TIME.fullmatch(text or "")
    try:
        return None if found is None else datetime.strptime(f"{found[1]}.{found[2] or 0}", "%Y%m%d%H%M%S.%f")
    except ValueError:
        return None


def _acquired(root: Element, series: Element) -> datetime | None:
    """When the series was recorded, else what the whole document says."""
    times = (said(of, f"effectiveTime/{part}@value") for of in (series, root) for part in ("low", "center"))
    return next((moment for text in times if (moment := _moment(text)) is not None), None)


def _age(root: Element, acquired: datetime | None) -> tuple[float | None, list[str]]:
    """The reported age, else that by the date of birth; a note where they differ by more than a year."""
    observations = root.iterfind("controlVariable/relatedObservation")
    reports = [found for found in observations if said(found, "code@code") == REPORTED_AGE]
    reported = age_of(in_years(number(reports[0], "value@value"), said(reports[0], "value@unit"))) if reports else None
    text = said(root, f"{_SUBJECT}/subjectDemographicPerson/birthTime@value") or ""
    try:
        by_birth = age_at(datetime.strptime(text[:8], "%Y%m%d").date(), acquired)
    except ValueError:
        by_birth = None
    if reported is None or by_birth is None or abs(reported - by_birth) <= 1:
        return by_birth if reported is None else reported, []
    return reported, [f"age {reported:g} as reported in the file; by its date of birth it would be {by_birth:g}"]


def _device(series: Element) -> str | None:
    maker = said(series, "author/seriesAuthor/manufacturerOrganization/name")
    model = said(series, "author/seriesAuthor/manufacturedSeriesDevice/manufacturerModelName")
    return " ".join(part for part in (maker, model) if part) or None


def _annotations(element: Element) -> Iterator[Element]:
    """Of the whole ECG, not of single leads, in the file's order."""
    for found in element.iterfind("component/annotation"):
        regions = found.iterfind("support/supportingROI/component/boundary/code")
        if not any((region.get("code") or "").startswith(LEAD) for region in regions):
            yield found
            yield from _annotations(found)


def _global(series: Element) -> Iterator[tuple[str, Element]]:
    for annotation_set in series.iterfind("subjectOf/annotationSet"):
        for found in _annotations(annotation_set):
            yield (said(found, "code@code") or "").upper(), found


def _measurements(series: Element) -> tuple[dict[str, float], list[str]]:
    """By name; what the file gives several values of, beat by beat or reader by reader, is left out with a note."""
    values: dict[str, list[float]] = {}
    for code, found in _global(series):
        name, value = MEASURED.get(code), number(found, "value@value")
        if name is None or value is None:
            continue
        if name.endswith("_ms"):
            value *= 1e3 * _SECONDS.get((said(found, "value@unit") or "ms").lower(), math.nan)
        if possible(name, value) and value not in values.setdefault(name, []):
            values[name].append(value)
    several = {name: found for name, found in values.items() if len(found) > 1}
    notes = [f"{name}: several values in the file; none taken" for name in several]
    return {name: found[0] for name, found in values.items() if len(found) == 1}, notes


def _statements(series: Element) -> Iterator[str]:
    for code, found in _global(series):
        text = said(found, "value") if code in _STATED else None
        if text:
            yield text
