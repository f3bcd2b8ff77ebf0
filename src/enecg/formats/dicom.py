"""DICOM waveforms (12-lead, general and ambulatory ECG, and ECGs among hemodynamic waveforms), parsed by `pydicom`.

A waveform object holds multiplex groups: channels of one rate, with a definition each (lead, scale, unit). The leads
are found by the codes of their channels, whatever the kind of object; averaged beats are told from rhythms and read on
request only; groups that were recorded one after the other are put on one time axis. Nothing that an object refers to
is opened.
Described in DICOM PS3.3, C.10.9 (waveform) and C.10.10 (annotations); codes of leads in PS3.16, CID 3001.
"""

import zlib
from collections.abc import Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._dicom_elements import items_of, lenient, number_of
from enecg.formats._dicom_facts import facts_of, measurements_of, statements_of
from enecg.formats._dicom_groups import Group, chosen, group_of
from enecg.formats._dicom_samples import samples_of
from enecg.formats._finish import finished
from enecg.formats._lead_codes import upright
from enecg.formats._pieces import Piece, joined
from enecg.recording import Recording

if TYPE_CHECKING:
    from pydicom import Dataset

NAME = "DICOM"
EXPECTED = "a DICOM file (DICM at byte 128) that holds a waveform"

_WAVEFORM_STORAGE = b"1.2.840.10008.5.1.4.1.1.9."
_WAVEFORM_SEQUENCE = b"\x00\x54\x00\x01"
_UNDEFINED = 0xFFFFFFFF
"""Length of an element that ends with a mark of its own."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LARGEST_INFLATED = 2**27
"""Bytes that a deflated object may grow to."""


def recognise(candidate: Candidate) -> bool:
    """Whether this is a DICOM object of a waveform class, or one in whose beginning a waveform is seen."""
    head = candidate.head
    return head[128:132] == b"DICM" and any(sign in head for sign in (_WAVEFORM_STORAGE, _WAVEFORM_SEQUENCE))


def read(path: Path, ask: Ask) -> Recording:
    """The ECG of a waveform object; see `enecg.read`.

    item : number or label of a multiplex group, to read that one alone; without it, all rhythms of the rate that most
    leads have.
    """
    with lenient(path):
        dataset = _dataset(path)
        waveforms = items_of(dataset, "WaveformSequence")
        if not waveforms:
            raise ReadError(f"{path}: holds no waveform; expected a DICOM ECG")
        groups = [group_of(path, number, item, ask) for number, item in enumerate(waveforms, start=1)]
        groups, notes = chosen(path, groups, ask)
        rate = ask.hertz(groups[0].rate, path)
        order = "<" if dataset.original_encoding[1] else ">"
        if len(groups) == 1:
            first, last = ask.span(groups[0].n_samples, rate, path)
            signal: npt.NDArray[np.floating]
            signal, more = samples_of(groups[0], slice(first, last), order, ask)
            leads: Sequence[str] = tuple(groups[0].leads.values())
        else:
            signal, leads, more = _together(path, groups, rate, order, ask)
            first, last = ask.span(signal.shape[1], rate, path)
            signal = signal[:, first:last]
        leads, turned = upright(signal, leads)
        measurements, of_values = measurements_of(dataset)
        return finished(
            path,
            NAME,
            signal,
            rate,
            leads,
            [*notes, *more, *turned, *of_values],
            measurements=measurements,
            statements=tuple(statements_of(dataset)),
            **facts_of(dataset),
        )


def _dataset(path: Path) -> "Dataset":
    """The whole object. Raises ReadError for one that is cut or damaged, or grows beyond measure when inflated."""
    import pydicom

    try:
        # A map ends where the file does: whatever length a damaged element has, no more memory is asked for.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            if _DEFLATED in content[:1024]:
                inflated = zlib.decompressobj(-zlib.MAX_WBITS)
                begin = 144 + int.from_bytes(content[140:144], "little")  # as the group length says, in (0002,0000)
                inflated.decompress(content[begin:], _LARGEST_INFLATED)
                if inflated.unconsumed_tail:
                    raise ReadError(f"{path}: over {_LARGEST_INFLATED >> 20} MiB when inflated; expected less")
            dataset = pydicom.dcmread(content)  # type: ignore[arg-type]
        # pydicom takes what there is of a value that the file's end has cut.
        for element in map(dataset.get_item, dataset.keys()):
            length, value = getattr(element, "length", _UNDEFINED), element.value
            if length != _UNDEFINED and isinstance(value, bytes) and len(value) < length:
                raise ReadError(
                    f"{path}: cut short, {len(value)} bytes of {length} in {element.tag}; copy the file again"
                )
        return dataset
    except ReadError:
        raise
    except Exception as error:
        raise ReadError(f"{path}: cut short or damaged ({error}); copy the file again") from error


def _together(
    path: Path, groups: list[Group], rate: float, order: str, ask: Ask
) -> tuple[npt.NDArray[np.float64], Sequence[str], list[str]]:
    """Groups of one rate on one time axis [lead, sample], NaN where a lead was not recorded, and notes.

    A lead that two groups hold at the same time is taken from the longer one.
    """
    offsets = [number_of(group.item, "MultiplexGroupTimeOffset") or 0.0 for group in groups]
    begins = [round((offset - min(offsets)) / 1e3 * rate) for offset in offsets]
    taken: dict[str, list[tuple[int, int]]] = {}
    notes: list[str] = []
    pieces: dict[int, list[Piece]] = {}
    for place in sorted(range(len(groups)), key=lambda place: -groups[place].n_samples):
        group, begin = groups[place], begins[place]
        end = begin + group.n_samples
        again = [
            lead for lead in group.leads.values() if any(begin < e and b < end for b, e in taken.setdefault(lead, []))
        ]
        if again:
            notes.append(f"{group.title}: left out, for a longer group has them at the same time: {', '.join(again)}")
            group.leads = {channel: lead for channel, lead in group.leads.items() if lead not in again}
        samples, more = samples_of(group, slice(0, group.n_samples), order, ask)
        notes += more
        pieces[place] = [
            (lead, begin, row.astype(np.float64)) for lead, row in zip(group.leads.values(), samples, strict=True)
        ]
        for lead in group.leads.values():
            taken[lead].append((begin, end))
    signal, leads = joined(path, [piece for place in sorted(pieces) for piece in pieces[place]])
    return signal, leads, notes
