"""Which of a file's signals are ECG leads, in EDF and WFDB, where breath, pressure and sleep stand beside the ECG."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from enecg.errors import LeadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._shown import shown
from enecg.recording import millivolts_per, standard_lead

_ECG = re.compile(r"\b(ecg|ekg)", re.IGNORECASE)
_EKG = re.compile(r"\s*ekg\b", re.IGNORECASE)


def known_lead(name: str) -> str | None:
    """The standard spelling of a lead's name; None for what is called like no lead."""
    try:
        return standard_lead(name)
    except LeadError:
        return None


def leads_among(
    path: Path, names: Mapping[int, str], voltages: Collection[int], ask: Ask
) -> tuple[dict[int, str], list[int]]:
    """Leads by the numbers of their signals, in order; and which signals are ECGs that do not say their lead.

    names : of the signals, by number;  voltages : those whose unit is a voltage's, or not said.
    The caller's names are for the ECGs that do not say their lead (or have no name at all); where nothing is called an
    ECG or like a lead, for all voltages. Raises LeadError if these are not as many, or if no signal is a lead.
    """
    leads = {n: lead for n, name in names.items() if (lead := known_lead(_EKG.sub("ecg", name, 1))) is not None}
    nameless = [n for n in voltages if n not in leads and (not names[n] or _ECG.search(names[n]))]
    if ask.leads is not None and (nameless or not leads):
        nameless = nameless or [*voltages]
        if len(nameless) != len(ask.leads):
            raise LeadError(
                f"{path}: {len(ask.leads)} names in leads= for {len(nameless)} signals that do not say their lead "
                f"({called(names, nameless)}); expected one for each"
            )
        leads |= dict(zip(nameless, ask.leads, strict=True))
        nameless = []
    if not leads:
        which = f"for {called(names, nameless)}" if nameless else "if they are leads"
        raise LeadError(f"{path}: no signal is called like a lead (found {called(names, names)}); pass leads= {which}")
    return dict(sorted(leads.items())), nameless


def of_one_rate(
    leads: Mapping[int, str], counts: Mapping[int, int], hertz: Callable[[int], float]
) -> tuple[dict[int, str], list[str]]:
    """The leads of the rate that most of them have, of equals the higher; and a note on the others.

    counts : samples in a frame or data record, by a signal's number;  hertz : the rate that such a count means.
    """
    often = Counter(counts[n] for n in leads)
    most = max(often, key=lambda count: (often[count], count))
    kept = {n: lead for n, lead in leads.items() if counts[n] == most}
    other = [f"{lead} ({hertz(counts[n]):g} Hz)" for n, lead in leads.items() if n not in kept]
    told = f"left out, for their rate is not the {hertz(most):g} Hz of the others: {shown(other)}"
    return kept, [told] if other else []


def is_voltage(unit: str | None) -> bool:
    """Whether a unit is a voltage's, or is not said."""
    try:
        return not unit or not unit.strip() or millivolts_per(unit) > 0
    except UnitError:
        return False


def called(names: Mapping[int, str], numbers: Collection[int]) -> str:
    """Some signals by name, for errors and notes."""
    return shown([names[n] or f"signal {n + 1}, which has no name" for n in numbers])
