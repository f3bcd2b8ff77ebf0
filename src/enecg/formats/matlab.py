"""MATLAB files as public data sets have them: versions 4 and 5 (`_mat.py`), and 7.3, which is HDF5, through h5py.

Known are the struct `ECG` of CPSC 2018 (sex, age, data) and the `feats` of fairseq-signals (CODE-15% as ECG-FM reads
it). `val` beside a header is WFDB's and not read here. Of other files the one array that can be a signal is taken, and
the caller says what it is; a variable `fs`, `unit` or `leads` counts too.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from enecg.errors import EnECGError
from enecg.formats import _description, _hdf5, _mat, _variables, wfdb
from enecg.formats._ask import Ask
from enecg.formats._bytes import Cursor, contents
from enecg.formats._candidate import Candidate
from enecg.formats._description import Description
from enecg.formats._mat import Variable
from enecg.recording import STANDARD_LEADS, Recording, legible

NAME = "MATLAB"
EXPECTED = "a MATLAB file (.mat) with a signal [lead, sample]"

parts = _description.parts

_V73 = b"MATLAB 7.3 MAT-file"
_TOLD = 64
"""Values of a variable that says something; larger ones are samples."""

_CPSC2018 = Description(rate=500.0, units=("mV",), leads=STANDARD_LEADS)


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins as a MATLAB file does and is not the signal of a WFDB record."""
    is_matlab = candidate.head.startswith((_mat.V5, _V73)) or _mat.is_v4(candidate.head)
    return is_matlab and not wfdb.recognise(candidate)


def likely(candidate: Candidate) -> bool:
    """Whether a MATLAB file that nobody has asked for by name is an ECG: by layout or shape, or described as one."""
    arrays: dict[str, Variable] = {}
    try:
        if candidate.head.startswith(_V73):
            with _hdf5.opened(candidate.path) as file:
                arrays = _v73(candidate.path, file)
        else:
            beginning = Cursor(candidate.head, candidate.path, NAME)
            for variable in _mat.variables(beginning, whole=False):
                arrays[variable.name] = variable
    except EnECGError:
        pass  # the beginning ends within a variable; or the file is damaged, and what was seen counts
    known = "ECG" in arrays or {"feats", "curr_sample_rate"} <= arrays.keys()
    return known or _variables.like_an_ecg(arrays) or _description.is_described(candidate.path)


def items(path: Path) -> list[str | None]:
    """What to pass as `item` for each recording of a stack; [None] for one, or if reading tells what is wrong."""
    try:
        with _opened(path) as arrays:
            return [None] if "ECG" in arrays else _variables.items(arrays)
    except EnECGError:
        return [None]


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    with _opened(path) as arrays:
        ecg = arrays["ECG"].value if "ECG" in arrays and ask.item is None else None
        if isinstance(ecg, dict) and hasattr(ecg.get("data"), "shape"):
            notes = [f"{NAME} in the layout of CPSC 2018: 500 Hz, mV, leads I to V6"]
            facts = _description.facts_of({key: _description.plain(ecg[key]) for key in ("sex", "age") if key in ecg})
            return _description.recorded(path, NAME, ecg["data"], replace(_CPSC2018, facts=facts), ask, notes)
        name, number = _variables.signal(path, arrays, ask)
        said, notes = _said(path, arrays, name), []
        if name == "feats" and "curr_sample_rate" in arrays and len(STANDARD_LEADS) in arrays[name].shape:
            said = said.joined(Description(leads=STANDARD_LEADS), path)
            notes.append(f"{NAME} in the layout of fairseq-signals: leads I to V6")
        said = said.joined(_description.beside(path), path)
        array = arrays[name].value
        if number is None:
            return _description.recorded(path, NAME, array, said, ask, notes)
        return _description.recorded(path, NAME, array[number], said, ask, notes, f"{legible(path.stem)}#{ask.item}")


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Variable]]:
    """The variables of a file of any version. Raises ReadError for a damaged one."""
    with path.open("rb") as file:
        is_v73 = file.read(len(_V73)) == _V73
    if is_v73:
        with _hdf5.opened(path) as hdf5:
            yield _v73(path, hdf5)
    else:
        yield {variable.name: variable for variable in _mat.variables(contents(path, _mat.LARGEST, NAME))}


def _said(path: Path, arrays: Mapping[str, Variable], signal: str) -> Description:
    """What the other variables say: a few numbers or texts each."""
    how = f"; or say it in {_description.sidecar(path).name} beside it"
    if signal == "val":
        how = f"; or, if it is of a WFDB record, copy its header {path.stem}.hea beside it"
    small = [one for name, one in arrays.items() if name != signal and math.prod(one.shape) <= _TOLD]
    return _description.described(path, {one.name: one.value for one in small}, how)


class _Turned:
    """An array of HDF5 with its axes in MATLAB's order, which is the reverse; read as far as it is used."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.shape, self.dtype = found.shape[::-1], found.dtype

    def __getitem__(self, part: Any) -> Any:
        part = part if isinstance(part, tuple) else (part,)
        every = part + (slice(None),) * (len(self.shape) - len(part))
        return self._found[every[::-1]].T


def _v73(path: Path, file: Any) -> dict[str, Variable]:
    """The variables of version 7.3: arrays, and structs as groups of them."""
    arrays = {name: _array(name, found) for name, found in _hdf5.datasets(path, file).items()}
    for name in _hdf5.groups(file):
        arrays[name] = Variable(name, "struct", (1, 1), partial(_struct, path, file, name))
    return arrays


def _array(name: str, found: Any) -> Variable:
    kind = found.attrs.get("MATLAB_class", b"")
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    if not kind:  # written by another program
        kind = {"f8": "double", "f4": "single"}.get(found.dtype.str[1:], str(found.dtype))
    shape = found.shape[::-1]

    def decode() -> Any:
        if math.prod(shape) > _TOLD:
            return _Turned(found)
        values = found[...]
        return "".join(chr(int(letter)) for letter in np.ravel(values)) if kind == "char" else values.T

    return Variable(name, kind, shape, decode)


def _struct(path: Path, file: Any, name: str) -> dict[str, Any]:
    return {field: _array(field, found).value for field, found in _hdf5.datasets(path, file[name]).items()}
