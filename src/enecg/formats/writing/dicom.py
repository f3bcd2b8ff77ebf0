"""DICOM waveform objects, written with `pydicom`: a 12-lead, general or ambulatory ECG, whichever the recording fits.

Of what the standard asks for, nothing is invented: a time, name or date of birth that is not known stays empty or away.
Described in DICOM PS3.3, A.34 (what each kind may hold) and C.10.9, C.10.10; codes of leads in PS3.16, CID 3001.
"""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from enecg.deidentify import DEIDENTIFIED
from enecg.errors import MissingPackageError, WriteError
from enecg.files import write_whole
from enecg.formats._dicom_facts import MEANT, MEASURED
from enecg.formats._dicom_groups import EASI
from enecg.formats._finish import age_of, in_years, possible
from enecg.formats._lead_codes import LEADS
from enecg.formats._lines import lines_of, statement_lines
from enecg.formats.writing._about import identity, named, patient_id, printable, subject_held
from enecg.formats.writing._steps import Steps, in_steps
from enecg.recording import STANDARD_LEADS, Recording

if TYPE_CHECKING:
    from pydicom import Dataset

NAME, ENDING = "DICOM", ".dcm"

_LONG_STRING, _SHORT_TEXT, _DECIMAL = 64, 1_024, 16
"""Letters of the value representations LO, ST and DS."""

_EMPTY = (
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "Manufacturer"),
    *("PatientID", "PatientName", "PatientBirthDate"),
)
"""That an object must have, if only without a value."""

_RATE = "{:.15g}"

_CODES = {lead: code for code, lead in (LEADS | EASI).items()}
_MEASURES = named({code: name for code, name in MEASURED.items() if not code.startswith("5.")})
_MEANINGS = named(MEANT)
_UNITS = {"ms": "ms", "bpm": "{H.B.}/min", "deg": "deg"}
"""UCUM's, by how a measurement's name ends."""


class _Kind(NamedTuple):
    """A kind of object, and what its content may be."""

    uid: str
    rates: tuple[float, float]
    most_leads: int
    most_samples: int | None = None
    bits: int = 16


_STORAGE = "1.2.840.10008.5.1.4.1.1.9.1."
_TWELVE_LEAD = _Kind(f"{_STORAGE}1", (200, 1_000), 13, 16_384)
_KINDS = (
    _Kind(f"{_STORAGE}2", (200, 1_000), 24),  # general
    _Kind(f"{_STORAGE}3", (50, 1_000), 12),  # ambulatory
    _Kind(f"{_STORAGE}4", (0, np.inf), 24, bits=32),  # general, in 32 bits: any rate
)


def write(recording: Recording, path: Path) -> None:
    """The whole object at once."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingPackageError("DICOM files need the package pydicom: pip install 'enecg[dicom]'") from error
    kind = _kind(path, recording)
    dataset = _item(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=kind.uid,
        Modality="ECG",
        SeriesNumber=1,
        InstanceNumber=1,
        AcquisitionContextSequence=[],
        **dict.fromkeys(_EMPTY, ""),
    )
    for part in ("SOPInstance", "StudyInstance", "SeriesInstance"):
        setattr(dataset, f"{part}UID", pydicom.uid.generate_uid(entropy_srcs=[part, identity(recording)]))
    if DEIDENTIFIED in recording.notes:
        dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "enecg"
        dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    held = _add_facts(dataset, recording)
    annotations, measured = _measurements(recording)
    texts = [*statement_lines(recording, _survives), *lines_of(recording, held | {"measurements": measured})]
    if long := next((text for text in texts if len(text) > _SHORT_TEXT), None):
        raise WriteError(f"{path}: {long[:40]}... has {len(long):,} letters; DICOM holds {_SHORT_TEXT:,} at most")
    annotations += [_annotation(UnformattedTextValue=text) for text in texts]
    if annotations:
        dataset.WaveformAnnotationSequence = annotations
    dataset.WaveformSequence = [_group(recording, in_steps(path, recording), kind)]
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    write_whole(path, content.getvalue())


def _kind(path: Path, recording: Recording) -> _Kind:
    """The first kind that may hold it. Raises WriteError if none does."""
    twelve = [_TWELVE_LEAD] if set(STANDARD_LEADS) <= {*recording.leads} else []
    for kind in (*twelve, *_KINDS):
        low, high = kind.rates
        few = recording.n_samples <= (kind.most_samples or recording.n_samples)
        if low <= recording.rate <= high and recording.n_leads <= kind.most_leads and few:
            return kind
    raise WriteError(f"{path}: {recording.n_leads} leads; DICOM holds 24 at most. Leave some out, or write Parquet")


def _add_facts(dataset: "Dataset", recording: Recording) -> dict[str, Any]:
    """Patient, device and time; returns what a reader will find of them."""
    held: dict[str, Any] = {"sex": recording.sex, "rate": float(_RATE.format(recording.rate))}
    dataset.PatientSex = {"male": "M", "female": "F"}.get(recording.sex or "", "")
    if _is_long_string(code := patient_id(recording)):
        dataset.PatientID = code
        held |= subject_held(code)
    if _is_long_string(device := recording.device or ""):
        dataset.ManufacturerModelName = held["device"] = device
    if (age := age_of(recording.age)) is not None:
        units = (("Y", "y"), ("M", "mo"), ("W", "w"), ("D", "d"))
        exact = ((n, unit) for unit, per in units for n in range(1_000) if in_years(n, per) == age)
        number, unit = next(exact, (int(age), "Y"))
        dataset.PatientAge = f"{number:03}{unit}"
        held["age"] = in_years(number, dict(units)[unit])
    if (when := recording.acquired) is not None:
        day, clock = f"{when.year:04}{when:%m%d}", f"{when:%H%M%S.%f}"
        dataset.AcquisitionDateTime = day + clock
        dataset.StudyDate = dataset.ContentDate = day
        dataset.StudyTime = dataset.ContentTime = clock
        held["acquired"] = when.replace(tzinfo=None)
    return held


def _measurements(recording: Recording) -> tuple[list["Dataset"], dict[str, float]]:
    """Those that have a code, as annotations and as a reader finds them."""
    annotations, held = [], {}
    for name, value in recording.measurements.items():
        text, unit = f"{value:.10g}", _UNITS.get(name.rpartition("_")[2])
        if name not in _MEASURES or unit is None or len(text) > _DECIMAL or not possible(name, value):
            continue
        annotations.append(
            _annotation(
                ConceptNameCodeSequence=[_code(_MEASURES[name], _MEANINGS[name])],
                NumericValue=text,
                MeasurementUnitsCodeSequence=[_code(unit, unit, "UCUM")],
            )
        )
        held[name] = float(text)
    return annotations, held


def _group(recording: Recording, rows: list[Steps], kind: _Kind) -> "Dataset":
    """The multiplex group of all leads."""
    missing, dtype = -(2 ** (kind.bits - 1)), f"<i{kind.bits // 8}"
    item = _item(
        MultiplexGroupTimeOffset=0,
        MultiplexGroupLabel="RHYTHM",
        WaveformOriginality="ORIGINAL",
        NumberOfWaveformChannels=recording.n_leads,
        NumberOfWaveformSamples=recording.n_samples,
        SamplingFrequency=_RATE.format(recording.rate),
        ChannelDefinitionSequence=[_channel(row, number, kind.bits) for number, row in enumerate(rows, start=1)],
        WaveformBitsAllocated=kind.bits,
        WaveformSampleInterpretation="SS" if kind.bits == 16 else "SL",
    )
    stored = np.stack([row.stored(missing, dtype) for row in rows], axis=1)  # [sample, lead]
    item.add_new("WaveformPaddingValue", "OW", np.array(missing, dtype).tobytes())
    item.add_new("WaveformData", "OW", stored.tobytes())
    return item


def _channel(row: Steps, number: int, bits: int) -> "Dataset":
    # 0 is the code of leads without one; label and meaning name them.
    return _item(
        WaveformChannelNumber=number,
        ChannelLabel=f"Lead {row.lead}",
        ChannelSourceSequence=[_code(f"2:{_CODES.get(row.lead, 0)}", f"Lead {row.lead}")],
        ChannelSensitivity=f"{row.step_uv:.10g}",
        ChannelSensitivityUnitsSequence=[_code("uV", "microvolt", "UCUM")],
        ChannelSensitivityCorrectionFactor=1,
        ChannelBaseline=f"{row.offset_uv:.10g}",
        ChannelTimeSkew=0,
        WaveformBitsStored=bits,
    )


def _annotation(**elements: Any) -> "Dataset":
    """Of all channels of the group."""
    return _item(ReferencedWaveformChannels=[1, 0], **elements)


def _code(value: str, meaning: str, scheme: str = "") -> "Dataset":
    scheme = scheme or ("MDC" if value.startswith("2:") else "LN")
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**elements: Any) -> "Dataset":
    from pydicom import Dataset

    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _is_long_string(text: str) -> bool:
    return printable(text) and len(text) <= _LONG_STRING and "\\" not in text


def _survives(text: str) -> bool:
    return printable(text) and len(text) <= _SHORT_TEXT
