"""GE CardioSoft XML (root CardiologyXML): leads as numbers between commas, one scale for all.

Resting ECGs, as in UK Biobank. GE does not publish the layout; it is that of public readers (BRAVEHEART's
load_cardiosoftxml, the CardioSoftECGXMLReader of P. Brunet and those after it). They agree on StripData, and not on the
order of samples in an exercise test's FullDisclosure (all of a lead's second, then the next lead's; or all leads of a
sample, then the next sample's): that is refused, not guessed.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, in_years, lead_of, moment, person, sex_of
from enecg.formats._xml import elements, measured, millivolts, number, numbers, root_of, said
from enecg.recording import Recording

NAME = "CardioSoft XML"
EXPECTED = "a GE CardioSoft export (XML with the root CardiologyXML)"

_MEASURED = {
    "heart_rate_bpm": ("VentricularRate",),
    "rr_ms": ("RRInterval",),
    "p_ms": ("PDuration",),
    "pr_ms": ("PQInterval",),
    "qrs_ms": ("QRSDuration",),
    "qt_ms": ("QTInterval",),
    "qtc_ms": ("QTCInterval",),
    "p_axis_deg": ("PAxis",),
    "qrs_axis_deg": ("RAxis",),
    "t_axis_deg": ("TAxis",),
}


def recognise(candidate: Candidate) -> bool:
    """Whether the root element is CardioSoft's."""
    return root_of(candidate) == "CardiologyXML"


def read(path: Path, ask: Ask) -> Recording:
    """The strip of a resting ECG."""
    root = elements(path)
    strip, notes = _strip(path, root)
    rate = ask.hertz(number(strip, "SampleRate"), path)
    leads, counts = _counts(path, strip)
    first, last = ask.span(counts.shape[1], rate, path)
    acquired = _moment(root, "ObservationDateTime")
    birth = _moment(root, "PatientInfo/BirthDateTime")
    told = age_of(in_years(number(root, "PatientInfo/Age"), said(root, "PatientInfo/Age@units")))
    with np.errstate(over="ignore"):  # a scale beyond measure is told in the end
        signal = _millivolts(path, strip, ask) * counts[:, first:last]
    return finished(
        path,
        NAME,
        signal,
        rate,
        leads,
        notes,
        subject=person(said(root, "PatientInfo/PID")),
        age=age_at(birth, acquired) if told is None else told,
        sex=sex_of(said(root, "PatientInfo/Gender")),
        acquired=acquired if said(root, "ObservationDateTime/Hour") else None,
        device=said(root, "ClinicalInfo/DeviceInfo/Desc"),
        measurements=measured(root.find("RestingECGMeasurements"), _MEASURED),
        statements=tuple(_statements(root)),
    )


def _strip(path: Path, root: Element) -> tuple[Element, list[str]]:
    """The first strip with leads; the median beat has leads too, but stands elsewhere. Raises ReadError without one."""
    strips = [strip for strip in root.iter("StripData") if strip.find("WaveformData") is not None]
    if strips:
        return strips[0], [f"{len(strips)} strips; the first is read"] if len(strips) > 1 else []
    if root.find("FullDisclosure") is not None:
        raise ReadError(
            f"{path}: an exercise test's FullDisclosure, of which the order of samples is not published; expected "
            "StripData with WaveformData. Export the strip, or another format"
        )
    raise ReadError(f"{path}: no StripData with WaveformData; expected the samples of a resting ECG")


def _counts(path: Path, strip: Element) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Names, and stored numbers [lead, sample]. Raises ReadError or LeadError where lengths are not those announced."""
    waveforms = strip.findall("WaveformData")
    leads = [lead_of(path, said(waveform, "@lead") or "") for waveform in waveforms]
    announced = number(strip, "NumberOfLeads")
    if announced not in (None, len(leads)):
        raise LeadError(f"{path}: {len(leads)} leads, announced {announced:g}; the file is damaged: copy it again")
    rows = [numbers(path, lead, waveform.text, ",") for lead, waveform in zip(leads, waveforms, strict=True)]
    n_samples = number(strip, "ChannelSampleCountTotal") or len(rows[0])
    for lead, row in zip(leads, rows, strict=True):
        if len(row) != n_samples:
            raise LeadError(
                f"{path}: lead {lead}: {len(row):,} samples, expected {n_samples:,.0f}; copy the file again"
            )
    return leads, np.array(rows)


def _millivolts(path: Path, strip: Element, ask: Ask) -> float:
    """In one unit of the stored numbers; the unit is written `uVperLsb`."""
    per_bit, unit = number(strip, "Resolution"), said(strip, "Resolution@units")
    if per_bit is None:
        raise ReadError(f"{path}: no Resolution; expected a number, such as 5 uVperLsb")
    return per_bit * millivolts(unit and unit.lower().removesuffix("perlsb"), ask, f"{path}: Resolution")


def _moment(root: Element, place: str) -> datetime | None:
    """Date and time of day (midnight where it is not told); None unless they are possible."""
    parts = [number(root, f"{place}/{part}") for part in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
    return None if None in parts[:3] else moment(*(int(part or 0) for part in parts))


def _statements(root: Element) -> Iterator[str]:
    """The machine's diagnosis, then what of the reader's conclusion is not in it."""
    texts = (
        (found.text or "").strip()
        for part in ("Diagnosis/DiagnosisText", "Conclusion/ConclusionText")
        for found in root.iterfind(f"Interpretation/{part}")
    )
    yield from dict.fromkeys(text for text in texts if text)
