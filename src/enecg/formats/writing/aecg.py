"""HL7 annotated ECG: XML with each lead as digits, an origin and a scale.

Digits cannot say that a sample is missing. A recording with gaps is written as the standard has leads that were not
recorded all the time: in several sets, each with its own beginning. Of what the schema asks for, nothing is invented: a
trial, site or person that is not known is said to be unknown (nullFlavor).
Described in B. Brown, F. Badilini: HL7 aECG Implementation Guide, 2005 (schema PORT_MT020001).
"""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from enecg.errors import WriteError
from enecg.files import write_whole
from enecg.formats._finish import age_of, possible
from enecg.formats._lines import lines_of, statement_lines
from enecg.formats._xml import LARGEST
from enecg.formats.aecg import LEAD, MEASURED, REPORTED_AGE, STATEMENT
from enecg.formats.writing._about import identity, named, patient_id, printable, subject_held
from enecg.formats.writing._steps import Steps, in_steps
from enecg.recording import Recording

NAME, ENDING = "HL7 aECG", ".xml"

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_HL7 = "2.16.840.1.113883"
_GENDER, _ACT, _LOINC, _CPT, _MDC = f"{_HL7}.5.1", f"{_HL7}.5.4", f"{_HL7}.6.1", f"{_HL7}.6.12", f"{_HL7}.6.24"
"""Object identifiers of code systems."""

_CODES = named({code: name for code, name in MEASURED.items() if code.startswith("MDC_")})
_UNKNOWN = {"nullFlavor": "UNK"}


def write(recording: Recording, path: Path) -> None:
    """The whole document at once."""
    runs = _runs(path, recording)
    _check_size(path, 2 * int(np.count_nonzero(~np.isnan(recording.signal))))  # a digit and a blank, at the least
    root = Element("AnnotatedECG", {"xmlns": "urn:hl7-org:v3", "xmlns:xsi": _XSI, "type": "Observation"})
    _add(root, "id", root=str(uuid.uuid5(uuid.NAMESPACE_OID, identity(recording))))
    _add(root, "code", code="93000", codeSystem=_CPT)
    _add_time(root, recording)
    held = _add_subject(root, recording)
    series = _add(root, "component/series")
    _add(series, "code", code="RHYTHM", codeSystem=_ACT)
    _add_time(series, recording)
    if printable(recording.device or ""):
        _add(series, "author/seriesAuthor/manufacturedSeriesDevice/manufacturerModelName", recording.device)
        held["device"] = recording.device
    rows = in_steps(path, recording)
    for (begin, end), leads in runs:
        _add_set(series, recording, [rows[at] for at in leads], begin, end)
    _add_annotations(series, recording, held)
    content = tostring(root, encoding="utf-8", xml_declaration=True)
    _check_size(path, len(content))
    write_whole(path, content)


def _check_size(path: Path, n_bytes: int) -> None:
    """Raises WriteError for a document that would be too long to be read."""
    if n_bytes > LARGEST:
        raise WriteError(
            f"{path}: {n_bytes >> 20} MiB of XML or more; {LARGEST >> 20} MiB are read at most. Write a part of "
            "the recording, or another format"
        )


def _runs(path: Path, recording: Recording) -> list[tuple[tuple[int, int], list[int]]]:
    """First and last sample (exclusive) of each set, and the places of the leads in it.

    In one set, if no sample is missing in some leads only; else each stretch of a lead in its own, so that the order of
    the leads stays. Raises WriteError where missing samples would be lost: at the ends, or in all of a lead.
    """
    there = ~np.isnan(recording.signal)
    empty = [lead for lead, row in zip(recording.leads, there, strict=True) if not row.any()]
    if empty or not (there[:, 0].any() and there[:, -1].any()):
        where = f"all samples of lead {empty[0]}" if empty else "the first or last samples of all leads"
        raise WriteError(f"{path}: {where} are missing, which aECG cannot say; cut them off, or write another format")
    together = bool((there == there[0]).all())
    runs = []
    for at, row in enumerate(there[:1] if together else there):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
        leads = [*range(recording.n_leads)] if together else [at]
        runs += [((int(begin), int(end)), leads) for begin, end in edges.reshape(-1, 2)]
    return runs


def _add_set(series: Element, recording: Recording, rows: list[Steps], begin: int, end: int) -> None:
    sequences = _add(series, "component/sequenceSet")
    increment = {"value": np.format_float_positional(1 / recording.rate, trim="-"), "unit": "s"}
    after = begin / recording.rate
    if recording.acquired is None:
        time, head = ("TIME_RELATIVE", "GLIST_PQ"), {"value": np.format_float_positional(after, trim="-"), "unit": "s"}
    else:
        time, head = ("TIME_ABSOLUTE", "GLIST_TS"), {"value": _moment(recording.acquired, after)}
    value = _add_sequence(sequences, time[0], _ACT, time[1])
    _add(value, "head", **head)
    _add(value, "increment", **increment)
    for row in rows:
        value = _add_sequence(sequences, f"{LEAD}{row.lead.upper()}", _MDC, "SLIST_PQ")
        _add(value, "origin", value=f"{row.offset_uv:.10g}", unit="uV")
        _add(value, "scale", value=f"{row.step_uv:.10g}", unit="uV")
        _add(value, "digits", " ".join(map(str, row.numbers[begin:end].tolist())))


def _add_sequence(sequences: Element, code: str, system: str, kind: str) -> Element:
    sequence = _add(sequences, "component/sequence")
    _add(sequence, "code", code=code, codeSystem=system)
    return _add(sequence, "value", **{"xsi:type": kind})


def _add_time(element: Element, recording: Recording) -> None:
    if recording.acquired is None:
        _add(element, "effectiveTime", **_UNKNOWN)
    else:
        time = _add(element, "effectiveTime")
        _add(time, "low", value=_moment(recording.acquired, 0))
        _add(time, "high", value=_moment(recording.acquired, recording.seconds))


def _moment(acquired: datetime, seconds: float) -> str:
    """So many seconds later, by the clock on the wall, as HL7 writes times."""
    when = acquired.replace(tzinfo=None) + timedelta(seconds=seconds)
    return f"{when.year:04}{when:%m%d%H%M%S}" + (f".{when:%f}" if when.microsecond else "")


def _add_subject(root: Element, recording: Recording) -> dict[str, Any]:
    """Trial, patient and age; returns what a reader will find of all facts but device and measurements."""
    held: dict[str, Any] = {"sex": recording.sex, "rate": round(recording.rate, 3)}
    if recording.acquired is not None:
        held["acquired"] = recording.acquired.replace(tzinfo=None)
    assignment = _add(root, "componentOf/timepointEvent/componentOf/subjectAssignment")
    subject = _add(assignment, "subject/trialSubject")
    if printable(code := patient_id(recording)) and code != "trialSubject":
        _add(subject, "id", extension=code)
        held |= subject_held(code)
    else:
        _add(subject, "id", **_UNKNOWN)
    if recording.sex is not None:
        gender = {"code": recording.sex[0].upper(), "codeSystem": _GENDER}
        _add(subject, "subjectDemographicPerson/administrativeGenderCode", **gender)
    _add(assignment, "componentOf/clinicalTrial/id", **_UNKNOWN)
    if (age := age_of(recording.age)) is not None:
        observation = _add(root, "controlVariable/relatedObservation")
        _add(observation, "code", code=REPORTED_AGE, codeSystem=_LOINC)
        _add(observation, "value", **{"xsi:type": "PQ"}, value=f"{age:.15g}", unit="a")
        held["age"] = float(f"{age:.15g}")
    return held


def _add_annotations(series: Element, recording: Recording, held: dict[str, Any]) -> None:
    """Measurements and statements, and what there is no place for."""
    measured = {
        name: value for name, value in recording.measurements.items() if name in _CODES and possible(name, value)
    }
    texts = [
        *statement_lines(recording, printable),
        *lines_of(recording, held | {"measurements": {k: float(f"{v:.15g}") for k, v in measured.items()}}),
    ]
    if not measured and not texts:
        return
    annotations = _add(series, "subjectOf/annotationSet")
    for name, value in measured.items():
        unit = name.rpartition("_")[2]
        _add_annotation(annotations, _CODES[name], **{"xsi:type": "PQ"}, value=f"{value:.15g}", unit=unit)
    if texts:
        interpretation = _add_annotation(annotations, "MDC_ECG_INTERPRETATION")
        for text in texts:
            _add_annotation(interpretation, STATEMENT, text, **{"xsi:type": "ST"})


def _add_annotation(parent: Element, code: str, text: str | None = None, **value: str) -> Element:
    annotation = _add(parent, "component/annotation")
    _add(annotation, "code", code=code, codeSystem=_MDC)
    if value:
        _add(annotation, "value", text, **value)
    return annotation


def _add(parent: Element, place: str, text: str | None = None, **attributes: str) -> Element:
    """New elements `a/b/c` in one another; returns the last, which has the text and the attributes."""
    *outer, last = place.split("/")
    for name in outer:
        parent = SubElement(parent, name)
    element = SubElement(parent, last, attributes)
    element.text = text
    return element
