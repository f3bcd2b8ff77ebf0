"""GE MUSE XML (root RestingECG): leads as Base64 of 16-bit integers, each with its CRC-32, and the machine's findings.

A file holds the rhythm and, before it, a median beat that looks just like one: they are told apart by WaveformType.
Eight leads are stored; the other limb leads follow from I and II. GE does not publish the layout: it is that of files
which MUSE 9 has exported.
"""

import zlib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, in_years, lead_of, person, sex_of
from enecg.formats._pieces import Piece, joined
from enecg.formats._shown import shown
from enecg.formats._xml import decoded, elements, measured, millivolts, number, root_of, said
from enecg.recording import Recording

NAME = "GE MUSE XML"
EXPECTED = "a GE MUSE export (XML with the root RestingECG)"

_UNITS = {"MICROVOLTS": "uV", "MILLIVOLTS": "mV", "VOLTS": "V", "NANOVOLTS": "nV"}

_MEASURED = {
    "heart_rate_bpm": ("RestingECGMeasurements/VentricularRate",),
    "atrial_rate_bpm": ("RestingECGMeasurements/AtrialRate",),
    "rr_ms": ("QRSTimesTypes/GlobalRR",),
    "pr_ms": ("RestingECGMeasurements/PRInterval",),
    "qrs_ms": ("RestingECGMeasurements/QRSDuration",),
    "qt_ms": ("RestingECGMeasurements/QTInterval",),
    "qtc_ms": ("RestingECGMeasurements/QTCorrected",),
    "qtc_fridericia_ms": ("RestingECGMeasurements/QTcFrederica",),
    "p_axis_deg": ("RestingECGMeasurements/PAxis",),
    "qrs_axis_deg": ("RestingECGMeasurements/RAxis",),
    "t_axis_deg": ("RestingECGMeasurements/TAxis",),
    "qrs_count": ("RestingECGMeasurements/QRSCount",),
}


def recognise(candidate: Candidate) -> bool:
    """Whether the root element is MUSE's."""
    return root_of(candidate) == "RestingECG"


def read(path: Path, ask: Ask) -> Recording:
    """The rhythm in this file, or with `item="median"` its median beat."""
    root = elements(path)
    waveform, notes = _waveform(path, root, ask.item or "Rhythm")
    rate = _rate(path, waveform, ask)
    pieces = [_piece(path, lead, rate, ask) for lead in waveform.iterfind("LeadData")]
    signal, leads = joined(path, pieces)
    first, last = ask.span(signal.shape[1], rate, path)
    acquired = _acquired(root)
    return finished(
        path,
        NAME,
        signal[:, first:last],
        rate,
        leads,
        [*notes, *_notes(waveform)],
        subject=person(said(root, "PatientDemographics/PatientID")),
        age=_age(root, acquired),
        sex=sex_of(said(root, "PatientDemographics/Gender")),
        acquired=acquired,
        device=said(root, "TestDemographics/AcquisitionDevice"),
        measurements=measured(root, _MEASURED),
        statements=tuple(_statements(root)),
    )


# -- samples -----------------------------------------------------------------------------------------------------------


def _waveform(path: Path, root: Element, kind: str) -> tuple[Element, list[str]]:
    """The first waveform of this kind, and a note if there are more. Raises ReadError if there is none."""
    kinds = [(said(found, "WaveformType") or "", found) for found in root.iterfind("Waveform")]
    wanted = [found for name, found in kinds if name.lower() == kind.lower()]
    if not wanted:
        found = shown([name or "one without a type" for name, _ in kinds])
        raise ReadError(f"{path}: no waveform of type {kind} (found {found}); export the ECG with its waveforms")
    return wanted[0], [f"{len(wanted)} waveforms of type {kind}; the first is read"] if len(wanted) > 1 else []


def _rate(path: Path, waveform: Element, ask: Ask) -> float:
    """Hz: SampleBase x 10^SampleExponent."""
    base, exponent = number(waveform, "SampleBase"), number(waveform, "SampleExponent") or 0
    if not -9 <= exponent <= 9:
        raise ReadError(f"{path}: SampleExponent {exponent:g}; expected 0, or a power of ten near it")
    return ask.hertz(None if base is None else base * 10**exponent, path)


def _piece(path: Path, lead: Element, rate: float, ask: Ask) -> Piece:
    """Name, first sample and samples of one lead. Raises ReadError unless length and checksum agree with them."""
    name = lead_of(path, said(lead, "LeadID") or "")
    content = decoded(path, f"lead {name}", said(lead, "WaveFormData"))
    if number(lead, "LeadSampleSize") not in (None, 2):
        raise ReadError(f"{path}: lead {name}: samples of {said(lead, 'LeadSampleSize')} bytes; expected 2")
    for count, found in (("LeadByteCountTotal", len(content)), ("LeadSampleCountTotal", len(content) / 2)):
        announced = number(lead, count)
        if announced not in (None, found):
            raise ReadError(f"{path}: lead {name}: {count} is {announced:g}, found {found:g}; copy the file again")
    if len(content) % 2:
        raise ReadError(f"{path}: lead {name}: {len(content)} bytes; expected two for each sample. Copy the file again")
    checksum = number(lead, "LeadDataCRC32")
    if checksum is not None and checksum % 2**32 != zlib.crc32(content):
        raise ReadError(
            f"{path}: lead {name}: checksum {checksum:.0f}, expected {zlib.crc32(content)}; its samples are damaged: "
            "copy or export the file again"
        )
    begin = round((number(lead, "LeadTimeOffset") or 0) / 1000 * rate)
    if begin < 0:
        raise ReadError(f"{path}: lead {name} begins {-begin} samples before the recording; expected 0 or later")
    return name, begin, _millivolts(path, name, lead, ask) * np.frombuffer(content, "<i2").astype(np.float64)


def _millivolts(path: Path, name: str, lead: Element, ask: Ask) -> float:
    """In one unit of the stored samples."""
    per_bit, unit = number(lead, "LeadAmplitudeUnitsPerBit"), said(lead, "LeadAmplitudeUnits")
    if per_bit is None:
        raise ReadError(f"{path}: lead {name}: no LeadAmplitudeUnitsPerBit; expected a number, such as 4.88")
    return per_bit * millivolts(unit and _UNITS.get(unit.upper(), unit), ask, f"{path}: lead {name}")


def _notes(waveform: Element) -> Iterator[str]:
    """What the file says against its own leads."""
    for lead in waveform.iterfind("LeadData"):
        name = said(lead, "LeadID")
        if said(lead, "LeadOff") == "TRUE":
            yield f"lead {name}: an electrode was off while recording, says the file"
        for what in ("LeadOffsetFirstSample", "FirstSampleBaseline"):
            if number(lead, what):
                yield f"lead {name}: {what} {number(lead, what):g} was not applied; what it means is not published"


# -- facts -------------------------------------------------------------------------------------------------------------


def _acquired(root: Element) -> datetime | None:
    """Month first, as MUSE writes dates."""
    day, time = said(root, "TestDemographics/AcquisitionDate"), said(root, "TestDemographics/AcquisitionTime")
    try:
        return datetime.strptime(f"{day} {time}", "%m-%d-%Y %H:%M:%S")
    except ValueError:
        return None


def _age(root: Element, acquired: datetime | None) -> float | None:
    """The one that MUSE says, else that by the date of birth."""
    of = root.find("PatientDemographics")
    told = age_of(in_years(number(of, "PatientAge"), said(of, "AgeUnits")))
    return age_at(_birth(said(of, "DateofBirth")), acquired) if told is None else told


def _birth(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%m-%d-%Y").date()
    except ValueError:
        return None


def _statements(root: Element) -> Iterator[str]:
    """Sentences of the confirmed diagnosis, else of the machine's; MUSE keeps one in pieces up to an ENDSLINE."""
    statements = root.findall("Diagnosis/DiagnosisStatement") or root.findall("OriginalDiagnosis/DiagnosisStatement")
    pieces: list[str] = []
    for statement in statements:
        pieces.append(said(statement, "StmtText") or "")
        if any(flag.text == "ENDSLINE" for flag in statement.iterfind("StmtFlag")):
            yield from _sentence(pieces)
            pieces = []
    yield from _sentence(pieces)


def _sentence(pieces: list[str]) -> Iterator[str]:
    whole = " ".join(piece for piece in pieces if piece)
    if whole:
        yield whole
