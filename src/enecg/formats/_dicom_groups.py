"""The multiplex groups of a DICOM waveform: channels of one rate, which of them are leads, which groups are read.

Described in DICOM PS3.3, C.10.9; codes of leads in PS3.16, CID 3001.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from enecg.errors import LeadError, ReadError
from enecg.formats._ask import Ask
from enecg.formats._dicom_elements import first_of, items_of, number_of, text_of, title_of, unit_of
from enecg.formats._lead_codes import LEADS
from enecg.formats._lead_signals import is_voltage, known_lead
from enecg.formats._shown import shown

if TYPE_CHECKING:
    from pydicom import Dataset

_LEAD_CODE = re.compile(r"(?:2:|5\.6\.3-9-)0*(\d{1,3})")
"""The schemes MDC (partition 2) and SCPECG number leads alike, up to EASI's and those that the device derived."""

EASI = {131: "ES", 132: "AS", 133: "AI", 134: "S"}
_DERIVED = dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 31))
_DERIVED |= dict(enumerate(("III", "aVR", "aVL", "aVF"), 111))

_AVERAGED = re.compile(r"median|averag|representative|template|mean beat", re.IGNORECASE)


@dataclass(eq=False)
class Group:
    """A multiplex group; `leads` by the place of their channels, and what was left out of it."""

    where: str
    number: int
    item: "Dataset"
    n_samples: int
    leads: dict[int, str] = field(default_factory=dict)
    nameless: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What the group is called."""
        return text_of(self.item, "MultiplexGroupLabel")

    @property
    def title(self) -> str:
        """Number and label, for notes."""
        return f"group {self.number}{f' ({self.label})' if self.label else ''}"

    @property
    def derived(self) -> bool:
        """Whether it was computed from another."""
        return text_of(self.item, "WaveformOriginality") == "DERIVED"

    @property
    def rate(self) -> float | None:
        """Hz; None if the group does not say."""
        return number_of(self.item, "SamplingFrequency")

    @property
    def channels(self) -> "Sequence[Dataset]":
        """Their definitions."""
        return items_of(self.item, "ChannelDefinitionSequence")


def group_of(path: Path, number: int, item: "Dataset", ask: Ask) -> Group:
    """A group, with the leads among its channels. Raises ReadError for one that does not hold what it announces."""
    n_channels, n_samples = (int(number_of(item, f"NumberOfWaveform{what}") or 0) for what in ("Channels", "Samples"))
    group = Group(f"{path}: multiplex group {number}", number, item, n_samples)
    if n_channels != len(group.channels) or n_samples < 1:
        raise ReadError(
            f"{group.where}: announces {n_channels} channels of {n_samples} samples and defines {len(group.channels)}; "
            "expected a definition of each, and samples. Copy the file again"
        )
    others = []
    for place, channel in enumerate(group.channels):
        lead, note = _lead(channel)
        title = lead or title_of(channel) or str(place + 1)
        if not is_voltage(unit_of(channel)):
            others.append(f"{title} ({unit_of(channel)})")
        elif lead is None:
            group.nameless.append(place)
        elif lead in group.leads.values():
            group.notes.append(f"{group.title}: channel {place + 1} is lead {lead} once more; left out")
        else:
            group.leads[place] = lead
            group.notes += [f"{group.title}: channel {place + 1}: {note}"] if note else []
    if others and group.leads:
        group.notes.append(f"{group.title}: left out, for they are no voltages: {shown(others)}")
    if not group.leads and ask.leads is not None and len(ask.leads) == len(group.nameless):
        group.leads = dict(zip(group.nameless, ask.leads, strict=True))
    elif group.leads and group.nameless:
        names = shown([title_of(group.channels[place]) or str(place + 1) for place in group.nameless])
        group.notes.append(f"{group.title}: left out, for they are no leads that are known: {names}")
    return group


def _lead(channel: "Dataset") -> tuple[str | None, str | None]:
    """The lead of a channel, and a note where it was not plain. The code counts; a label may say a modified lead."""
    source = first_of(channel, "ChannelSourceSequence")
    code = _LEAD_CODE.fullmatch(text_of(source, "CodeValue"))
    number = int(code.group(1)) if code else 0
    coded = LEADS.get(number) or EASI.get(number) or _DERIVED.get(number)
    texts = (text_of(channel, "ChannelLabel"), text_of(source, "CodeMeaning"), text_of(source, "CodeValue"))
    named = next((lead for text in texts if (lead := _spelled(text))), None)
    if coded is None or named == f"ML{coded}":
        return named, None
    if number in _DERIVED:
        return coded, f"lead {coded} was derived by the device"
    if named is not None and named != coded.removeprefix("-"):
        return coded, f"called {named} and coded as {coded}; the code counts"
    return coded, None


def _spelled(text: str) -> str | None:
    """The lead in a text such as `Lead I (Einthoven)` or `MDC_ECG_LEAD_V1`; None if there is none."""
    return known_lead(re.sub(r"^MDC_|\(.*\)", "", text))


def chosen(path: Path, groups: list[Group], ask: Ask) -> tuple[list[Group], list[str]]:
    """The groups to read, and what was left out. Raises ReadError or LeadError if there is none."""
    usable = [group for group in groups if group.leads]
    found = shown([group.title for group in groups])
    if not usable:
        names = [title_of(channel) or "?" for group in groups for channel in group.channels]
        raise LeadError(f"{path}: no channel says that it is a lead (found {shown(names)}); pass leads= if they are")
    if ask.item is not None:
        asked_for = [one for one in usable if ask.item in (str(one.number), one.label)]
        if not asked_for:
            raise ReadError(f"{path}: no group {ask.item!r} with leads; found {found}")
        return asked_for[:1], asked_for[0].notes
    rhythms = [group for group in usable if not _AVERAGED.search(group.label)]
    rhythms = [group for group in rhythms if not group.derived] or rhythms
    if not rhythms:
        raise ReadError(f"{path}: averaged beats only (found {found}); item={usable[0].number} reads the first")
    rates: Counter[float | None] = Counter()
    for group in rhythms:
        rates[group.rate] += len(group.leads)
    rate = max(rates, key=lambda rate: (rates[rate], rate or 0.0))
    kept = [group for group in rhythms if group.rate == rate]
    notes = [note for group in kept for note in group.notes]
    notes += [f"{group.title} is derived; there is no original one" for group in kept if group.derived]
    notes += [
        f"{group.title} left out: {_why(group, rhythms)}; item={group.number} reads it"
        for group in usable
        if group not in kept
    ]
    return kept, notes


def _why(group: Group, rhythms: list[Group]) -> str:
    if group in rhythms:
        return f"its rate of {group.rate or math.nan:g} Hz is not that of most leads"
    return "an averaged beat" if _AVERAGED.search(group.label) else "derived from the others"
