"""HDF5 as public data sets have it: CODE-15% (many recordings in a file) and SPH (one in each).

CODE-15%, Zenodo 4916206: `exam_id` [exam] and `tracings` [exam, 4096, 12], DI to V6 at 400 Hz, zeros at both ends of
what is shorter, and a last row without an exam. SPH, doi 10.1038/s41597-022-01403-5: `ecg` [12, sample], I to V6 at 500
Hz. Neither says its unit: the caller has to.

CODE-15% was made from millivolts by `generate_h5.py --scale 2` (README of github.com/antonior92/ecg-preprocessing, of
its authors), so its unit is 0.5 mV. Five of its recordings bear that out. Beats (median over the leads, peak to peak)
are 0.65 to 1.05 mV high in it, within the 0.60 to 1.54 mV of nine tenths of 200 patients of PTB-XL, of whom the lowest
has 0.44 mV; in 0.1 mV they would be 0.13 to 0.21 mV high. What rounding has left of Goldberger's equations comes in
halves of 10 / 1024, a step of 4.88 uV: 12 bits over 20 mV. The same authors' README of automatic-ecg-diagnosis says
both "1e-4V" and "V times 1000", which contradict each other.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats import _description, _hdf5, _variables
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._description import Description
from enecg.formats._shown import shown
from enecg.recording import STANDARD_LEADS, Recording, legible

NAME = "HDF5"
EXPECTED = "HDF5 in the layout of CODE-15% (exam_id, tracings) or SPH (ecg)"

CODE15_UNIT = "0.5 mV"
"""Of the samples of CODE-15%."""

_MAGIC = b"\x89HDF\r\n\x1a\n"
_CODE15 = Description(
    rate=400.0,
    leads=STANDARD_LEADS,
    how=f'. The authors of CODE-15% scaled millivolts by 2, which is unit="{CODE15_UNIT}"',
)
_SPH = Description(rate=500.0, leads=STANDARD_LEADS)
_MOST_EXAMS = 2**22


def recognise(candidate: Candidate) -> bool:
    """Whether the file is HDF5."""
    return candidate.head.startswith(_MAGIC)


def likely(candidate: Candidate) -> bool:
    """Whether it holds arrays called as in these data sets; HDF5 of anything else is passed over in a folder."""
    head = candidate.head
    return recognise(candidate) and ((b"tracings\0" in head and b"exam_id\0" in head) or b"ecg\0" in head)


def items(path: Path) -> list[str | None]:
    """The exams in a file of CODE-15%; [None] for a file with one recording, and where reading tells what is wrong."""
    try:
        with _hdf5.opened(path) as file:
            arrays = _hdf5.datasets(path, file)
            return [str(exam) for exam in _exams(path, arrays) if exam] if _is_code15(arrays) else [None]
    except ReadError:
        return [None]


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    with _hdf5.opened(path) as file:
        arrays = _hdf5.datasets(path, file)
        if _is_code15(arrays):
            return _exam(path, arrays, ask)
        ecg = arrays.get("ecg")
        if ecg is not None and len(ecg.shape) == 2 and ecg.shape[0] == len(STANDARD_LEADS):
            notes = [f"{NAME} in the layout of SPH: 500 Hz, leads I to V6"]
            return _description.recorded(path, NAME, ecg, _SPH, ask, notes)
        inside = _variables.listed(arrays)
        if groups := [f"{name}/" for name in _hdf5.groups(file)]:
            inside += f", {shown(groups)}"
        raise ReadError(f"{path}: HDF5 of an unknown layout; {inside}. Expected {EXPECTED}, or save the signal as NPY")


def _is_code15(arrays: dict[str, Any]) -> bool:
    return {"exam_id", "tracings"} <= arrays.keys()


def _exams(path: Path, arrays: dict[str, Any]) -> Sequence[int]:
    """Exam ids in order, 0 where a row holds none."""
    exams, tracings = arrays["exam_id"], arrays["tracings"]
    if len(tracings.shape) != 3 or tracings.shape[2] != len(STANDARD_LEADS) or exams.shape != tracings.shape[:1]:
        told = f"exam_id {_description.told(exams.shape)}, tracings {_description.told(tracings.shape)}"
        raise ReadError(f"{path}: {told}; expected [exam] and [exam, sample, 12 leads]")
    if 12 * tracings.shape[1] > _description.MOST_VALUES:
        raise ReadError(f"{path}: tracings of {tracings.shape[1]:,} samples; expected 4096, copy the file again")
    if exams.dtype.kind not in "iu" or exams.shape[0] > _MOST_EXAMS:
        raise ReadError(
            f"{path}: {exams.shape[0]:,} exam_id of {exams.dtype}; expected integers, {_MOST_EXAMS:,} at most"
        )
    return [int(exam) for exam in exams[:]]


def _exam(path: Path, arrays: dict[str, Any], ask: Ask) -> Recording:
    exams = _exams(path, arrays)
    known = [exam for exam in exams if exam]
    rows = [row for row, exam in enumerate(exams) if exam and ask.item in (None, str(exam))]
    if len(rows) != 1:
        wrong = f"{len(rows) or 'no'} exams {ask.item}; " if ask.item is not None else ""
        some = shown([*map(str, known)])
        raise ReadError(f"{path}: {wrong}it holds {len(known):,} exams; pass item= with the exam_id of one ({some})")
    tracing, before, after = _unpadded(path, arrays["tracings"][rows[0]])
    notes = [f"{NAME} in the layout of CODE-15%: 400 Hz, leads I to V6"]
    if before or after:
        notes.append(f"padding left out: {before} samples of 0 in all leads at the beginning, {after} at the end")
    id_ = f"{legible(path.stem)}#{exams[rows[0]]}" if ask.item is not None else None
    return _description.recorded(path, NAME, tracing.T, _CODE15, ask, notes, id_)


def _unpadded(path: Path, tracing: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int, int]:
    """A tracing [sample, lead] without the zeros at its ends, and how many there were before and after it."""
    measured = np.flatnonzero((tracing != 0).any(axis=1))
    if len(measured) == 0:
        raise ReadError(f"{path}: all samples are 0; expected a recording")
    first, last = int(measured[0]), int(measured[-1]) + 1
    return tracing[first:last], first, len(tracing) - last
