"""Philips Sierra XML 1.03 and 1.04 (root restingecgdata): leads in one block of Base64, compressed by Philips' XLI.

XLI keeps of each lead what a straight line through the last two samples does not foretell, high bytes before low bytes,
in LZW with codes of 10 bits; of the limb leads that follow from I and II, only the rounding. Philips does not publish
it; it is known from C. Watford's sierra-ecg-tools, whose samples these equal. Blocks may follow that belong to no lead,
and are left alone. Records of 11 s end in a calibration pulse, which is cut off.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._calibration import ecg_ends
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, lead_of, person, sex_of
from enecg.formats._xml import decoded, elements, measured, number, root_of, said
from enecg.recording import STANDARD_LEADS, Recording, millivolts_per

NAME = "Philips Sierra XML"
EXPECTED = "a Philips Sierra export (XML with the root restingecgdata)"

Digital = npt.NDArray[np.int64]

_TYPES = ("SierraECG", "PhilipsECG")
_VERSIONS = ("1.03", "1.04", "1.04.01", "1.04.02")
_TWELVE = ("STD-12", "10-WIRE")
"""Acquisitions of the twelve leads in standard order, as version 1.03 tells its leads."""

_MOST_SAMPLES = 300_000
"""In each lead; a record has 5,500."""

_MOST_LEADS = 16

_CODE_BITS = 10
_LAST_WORD = 2**_CODE_BITS - 2
"""The code after it ends a lead."""

_HEADER = 8
"""Bytes before each lead: size of its block, two that are not known, its first difference."""

_MEASURED = {
    "heart_rate_bpm": ("globalmeasurements/heartrate", "interpretationmeasurements/heartrate"),
    "atrial_rate_bpm": ("globalmeasurements/atrialrate",),
    "rr_ms": ("globalmeasurements/rrint",),
    "p_ms": ("globalmeasurements/pdur",),
    "pr_ms": ("globalmeasurements/print", "interpretationmeasurements/meanprint"),
    "qrs_ms": ("globalmeasurements/qrsdur", "interpretationmeasurements/meanqrsdur"),
    "qt_ms": ("globalmeasurements/qtint", "interpretationmeasurements/meanqtint"),
    "qtc_ms": ("interpretationmeasurements/meanqtc",),
    "qtc_bazett_ms": ("globalmeasurements/qtcb",),
    "qtc_fridericia_ms": ("globalmeasurements/qtcf",),
    "p_axis_deg": ("globalmeasurements/pfrontaxis", "interpretationmeasurements/pfrontaxis"),
    "qrs_axis_deg": ("globalmeasurements/qrsfrontaxis", "interpretationmeasurements/qrsfrontaxis"),
    "t_axis_deg": ("globalmeasurements/tfrontaxis", "interpretationmeasurements/tfrontaxis"),
}
_COUNTED = {
    "qrs_count": (
        "measurements/globalmeasurements/numberofcomplexes",
        "internalmeasurements/crossleadmeasurements/numberofcomplexes",
    )
}


def recognise(candidate: Candidate) -> bool:
    """Whether the root element is Philips'."""
    return root_of(candidate) == "restingecgdata"


def read(path: Path, ask: Ask) -> Recording:
    """The rhythm of this file, without the calibration pulse at its end."""
    root = elements(path)
    _check_version(path, root)
    waves, about = root.find("waveforms/parsedwaveforms"), root.find("dataacquisition/signalcharacteristics")
    if waves is None:
        raise ReadError(f"{path}: no parsedwaveforms; expected the leads' samples. Export the ECG with its waveforms")
    rate = ask.hertz(number(waves, "@samplespersecond") or number(about, "samplingrate"), path)
    leads = _leads(path, waves, about, ask)
    digital = _digital(path, waves, about, leads, rate)
    per_unit = _millivolts(path, waves, about, ask)
    signal, notes = _without_pulse(path, digital.astype(np.float64) * per_unit, rate, per_unit)
    first, last = ask.span(signal.shape[1], rate, path)
    acquired = _acquired(root)
    interpretation = root.find("interpretations/interpretation")
    return finished(
        path,
        NAME,
        signal[:, first:last],
        rate,
        leads,
        notes,
        subject=person(said(root, "patient/generalpatientdata/patientid")),
        age=_age(root, acquired),
        sex=sex_of(said(root, "patient/generalpatientdata/sex")),
        acquired=acquired,
        device=_device(root),
        measurements=measured(interpretation, _MEASURED) | measured(root, _COUNTED),
        statements=tuple(_statements(interpretation)),
    )


def _check_version(path: Path, root: Element) -> None:
    kind, version = said(root, "documentinfo/documenttype"), said(root, "documentinfo/documentversion")
    if kind not in _TYPES or version not in _VERSIONS:
        raise ReadError(
            f"{path}: a document of type {kind} {version}; expected {' or '.join(_TYPES)} {', '.join(_VERSIONS)}"
        )


def _leads(path: Path, waves: Element, about: Element | None, ask: Ask) -> list[str]:
    """As the file lists them; version 1.03 does not, but for the twelve of a standard acquisition."""
    n_leads = number(waves, "@numberofleads") or number(about, "numberchannelsvalid", "numberchannelsallocated") or 0
    labels = (said(waves, "@leadlabels") or "").split()
    if not labels and n_leads == len(STANDARD_LEADS) and said(about, "acquisitiontype", "leadset") in _TWELVE:
        labels = list(STANDARD_LEADS)
    if not 1 <= n_leads <= min(len(labels) or _MOST_LEADS, _MOST_LEADS):
        raise LeadError(
            f"{path}: announces {n_leads:g} leads and names {len(labels)}; expected 1 to {_MOST_LEADS}, each named"
        )
    named = ask.names(labels[: int(n_leads)] or [None] * int(n_leads), path)
    return [lead_of(path, name) for name in named]


def _millivolts(path: Path, waves: Element, about: Element | None, ask: Ask) -> float:
    """In one unit of the stored samples: the file's resolution is in microvolts."""
    resolution = number(waves, "@resolution") or number(about, "resolution", "signalresolution")
    if not resolution:
        return ask.millivolts(path)
    if resolution < 0:
        raise UnitError(f"{path}: resolution of {resolution:g} uV; expected a positive number")
    return resolution * millivolts_per("uV")


# -- samples -----------------------------------------------------------------------------------------------------------


def _digital(path: Path, waves: Element, about: Element | None, leads: list[str], rate: float) -> Digital:
    """Stored samples [lead, sample] in units of the file's resolution."""
    method = said(waves, "@compressmethod", "@compression")
    for what, found, expected in (
        ("compression", method, "XLI"),
        ("dataencoding", said(waves, "@dataencoding"), "Base64"),
        ("bits to a sample", said(waves, "@bitspersample", "@nbitspersample") or said(about, "bitspersample"), "16"),
        ("signaloffset", said(waves, "@signaloffset") or said(about, "signaloffset") or "0", "0"),
    ):
        if found != expected:
            raise ReadError(f"{path}: {what} is {found}; expected {expected}. Other files of Philips are not known")
    duration = (number(waves, "@durationperchannel") or 0) / 1000
    if not 2 <= duration * rate <= _MOST_SAMPLES:
        raise ReadError(
            f"{path}: durationperchannel is {duration:g} s, at {rate:g} Hz; expected 2 to {_MOST_SAMPLES:,} samples"
        )
    n_samples = round(duration * rate)
    content = decoded(path, "parsedwaveforms", waves.text)
    digital = np.empty((len(leads), n_samples), dtype=np.int64)
    at = 0
    for row, lead in zip(digital, leads, strict=True):
        where = f"{path}: lead {lead}, in its block at byte {at}"
        header = content[at : at + _HEADER]
        size = int.from_bytes(header[:4], "little", signed=True)
        block = content[at + _HEADER : at + _HEADER + max(size, 0)]
        if len(header) < _HEADER or not 0 < size == len(block):
            raise ReadError(f"{where}: {size} bytes announced, {len(block)} there; the file is damaged: copy it again")
        first = int.from_bytes(header[6:8], "little", signed=True)
        row[:] = _integrated(_unpacked(_words(block, 2 * n_samples, where)), first, where)
        at += _HEADER + size
    return _rebuilt(path, digital, leads)


def _words(block: bytes, n_bytes: int, where: str) -> bytes:
    """What LZW has compressed. Raises ReadError unless it is exactly so many bytes."""
    n_codes = min(8 * len(block) // _CODE_BITS, n_bytes + 1)  # each stands for one byte at least
    bits = np.unpackbits(np.frombuffer(block, np.uint8))[: n_codes * _CODE_BITS].reshape(n_codes, _CODE_BITS)
    words = [bytes([letter]) for letter in range(256)]
    found, last = bytearray(), b""
    for code in (bits @ (1 << np.arange(_CODE_BITS)[::-1])).tolist():
        if code > _LAST_WORD or len(found) > n_bytes:
            break
        if code > len(words) or (code == len(words) and not last):
            raise ReadError(f"{where}: a code that was not made yet; the file is damaged: copy it again")
        word = words[code] if code < len(words) else last + last[:1]
        found += word
        if last and len(words) <= _LAST_WORD:
            words.append(last + word[:1])
        last = word
    if len(found) != n_bytes:
        raise ReadError(
            f"{where}: {len(found):,} bytes or more, expected {n_bytes:,}; the file is damaged: copy it again"
        )
    return bytes(found)


def _unpacked(content: bytes) -> Digital:
    """16-bit integers of which all high bytes stand before all low bytes."""
    halves = np.frombuffer(content, np.uint8).reshape(2, -1)
    return np.ascontiguousarray(halves.T).view(">i2")[:, 0].astype(np.int64)


def _integrated(stored: Digital, first: int, where: str) -> Digital:
    """Samples, from the first two and what each step then falls short of the one before.

    The last value stored is not used: each one tells of the sample after it. All is added in 64 bits, where nothing
    wraps around; a sample beyond 16 bits, of which a whole file has none, is a ReadError.
    """
    short = np.concatenate([[first], stored[2:-1] - 64])[: max(len(stored) - 2, 0)]
    steps = stored[1] - stored[0] - np.concatenate([[0], np.cumsum(short)])
    samples: Digital = stored[0] + np.concatenate([[0], np.cumsum(steps)])
    if np.abs(samples).max() >= 2**15:
        raise ReadError(f"{where}: samples beyond 16 bits; the file is damaged: copy it again")
    return samples


def _rebuilt(path: Path, digital: Digital, leads: list[str]) -> Digital:
    """Limb leads, of which XLI keeps only what rounding has left of Einthoven's and Goldberger's equations."""
    row = {lead: digital[at] for at, lead in enumerate(leads)}
    if not row.keys() & {"III", "aVR", "aVL", "aVF"}:
        return digital
    if not row.keys() >= {"I", "II", "III"}:
        raise LeadError(
            f"{path}: limb leads {', '.join(leads)}, which follow from I, II and III; expected these as well"
        )
    one, two, three = row["I"], row["II"], row["III"]
    three[:] = two - one - three
    for lead, foretold in (("aVR", -((one + two) // 2)), ("aVL", (one - three) // 2), ("aVF", (two + three) // 2)):
        if lead in row:
            row[lead][:] = foretold - row[lead]
    return digital


def _without_pulse(
    path: Path, signal: npt.NDArray[np.float64], rate: float, per_unit: float
) -> tuple[npt.NDArray[np.float64], list[str]]:
    end = ecg_ends(signal, rate, per_unit / 2)
    if end is None:
        return signal, []
    if end == 0:
        raise ReadError(f"{path}: holds a calibration pulse and no ECG")
    seconds = (signal.shape[1] - end) / rate
    return signal[:, :end], [f"the last {seconds:.2f} s cut off: zeros and a calibration pulse of 1 mV on all leads"]


# -- facts -------------------------------------------------------------------------------------------------------------


def _acquired(root: Element) -> datetime | None:
    text = f"{said(root, 'dataacquisition@date')} {said(root, 'dataacquisition@time')}"
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None


def _age(root: Element, acquired: datetime | None) -> float | None:
    """The one told, else that by the date of birth; `defaultage` is only what the device assumes."""
    told = age_of(number(root, "patient/generalpatientdata/age/years"))
    birth = said(root, "patient/generalpatientdata/age/dateofbirth") or ""
    try:
        return age_at(datetime.strptime(birth, "%Y-%m-%d").date(), acquired) if told is None else told
    except ValueError:
        return None


def _device(root: Element) -> str | None:
    """Maker and machine; the maker stands before the model's number and the software's."""
    maker = (said(root, "dataacquisition/machine@detaildescription") or "").partition(":")[0]
    return " ".join(part for part in (maker, said(root, "dataacquisition/machine")) if part) or None


def _statements(interpretation: Element | None) -> Iterator[str]:
    """Sentence and, behind a bar, the reason for it."""
    for found in interpretation.iterfind("statement") if interpretation is not None else ():
        text = " | ".join(part for part in (said(found, "leftstatement"), said(found, "rightstatement")) if part)
        if text:
            yield text
