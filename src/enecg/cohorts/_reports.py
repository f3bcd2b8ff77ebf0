"""From the sentences of an ECG machine to one of the 15 rhythm classes.

Written for the statements of MIMIC-IV-ECG (`Sinus rhythm with PVC(s)`, `- premature ventricular contractions`,
`Probable atrial tachycardia`), whose machines say a rhythm, what is beside it, and how sure they are.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from enecg.cohorts._labels import SINUS_RHYTHMS, first_class

_RHYTHMS = {
    "paced rhythm": r"\bpac(ed|ing)\b|(?<!wandering )(?<!wandering atrial )(?<!junctional )\bpacemaker",
    "ventricular tachycardia": r"\bventricular tachycardia|\bwide[- ](qrs|complex) tachy",
    "AV block of 2nd or 3rd degree": r"\b(2nd|3rd|second|third|high|advanced) degree (a-?v|heart)\b"
    r"|\b(complete|advanced) (a-?v|heart) block|\bcomplete \(third degree|(mobitz|wenckebach)(?!.*\bs-?a block)",
    "atrial flutter": r"\batrial flutter",
    "atrial fibrillation": r"\batrial fib",
    "supraventricular tachycardia": r"\b(supraventricular|atrial) tachycardia|\bp?svt\b",
    "junctional rhythm": r"\bjunctional (escape )?(rhythm|tachycardia|bradycardia)",
    "ectopic atrial rhythm": r"\batrial (rhythm|bradycardia)|\bwandering (atrial )?pacemaker",
    "sinus arrhythmia": r"\bsinus arrhythmia",
    "sinus bradycardia": r"\bsinus brady",
    "sinus tachycardia": r"\bsinus tachy",
    "sinus rhythm": r"\bsinus rhythm",
}
_BESIDE_SINUS = {
    "AV block of 2nd or 3rd degree": r"\b\d:1 a-?v (block|conduction)",
    "sinus with ventricular premature beats": r"\b(pvc|vpc)|\bpremature ventricular"
    r"|\bventricular (premature|extrasystole|ectop|couplet|bigemin|trigemin)",
    "sinus with atrial premature beats": r"\bpac(s|\(s\))?(?!\w)|\bapc|\bpremature (supraventricular|atrial)"
    r"|\b(supraventricular|atrial) (premature|extrasystole|ectop|couplet|bigemin|trigemin)",
    "1st degree AV block": r"\b(1st|first) degree|\b(prolonged|long) pr\b",
}
"""What these are beside another rhythm (a flutter's 4:1 conduction, a fibrillation's PVCs) is that rhythm."""

_NO_CLASS = (
    r"\b(undetermined|unknown|irregular|supraventricular|idioventricular|ventricular) rhythm|\bventricular fib"
    r"|\ba-?v dissociation|\bescape (beat|complex)|\bsinus (pause|arrest)|\bs-?a block|\basystole"
    r"|\bpremature (junctional|complex|beat)|\bjunctional premature"
)
"""Where no rhythm of a class is named, these rule out that it is a sinus rhythm."""

_HEDGE = (
    r"\b(possibl[ey]|probabl[ey]|cannot (rule out|be excluded)|rule out|consider|suggests?|suspect(ed)?|may|might|could"
    r"|likely|or|versus|vs|borderline|questionable|no longer|replac\w+|previous)\b|\?|fib\w*\W+flutter|flutter\W+fib"
)
_POOR = r"\b(data quality|quality data|poor quality|if rhythm is confirmed)\b"
_PARTS = re.compile(r"\s+-+\s+|[,;]|:\s|\bwith\b|\band\b")

_NAMED = {name: re.compile(pattern) for name, pattern in _RHYTHMS.items()}
_BESIDE = {name: re.compile(pattern) for name, pattern in _BESIDE_SINUS.items()}
_UNCLASSED, _HEDGED, _DOUBTFUL = re.compile(_NO_CLASS), re.compile(_HEDGE), re.compile(_POOR)


class _Said(NamedTuple):
    """What a part of a sentence says of the rhythm."""

    named: frozenset[str]
    beside: frozenset[str]
    unclassed: bool
    hedged: bool


def rhythm_of_report(statements: Iterable[str], *, hedged: bool = False) -> str | None:
    """The rhythm class of a report; None where it names none, or not for certain.

    A part of a sentence is hedged by "possible", "probable", "cannot rule out", "borderline", "or" and the like, and a
    whole report by a warning of poor data. Where the class would be another if hedged parts were true, it is None.
    hedged : take them for true.
    """
    sentences = _sentences(statements)
    doubtful = any(_DOUBTFUL.search(sentence) for sentence in sentences)
    said = [_said(part) for sentence in sentences for part in _PARTS.split(sentence)]
    loose = _class(said)
    strict = _class([one for one in said if not (one.hedged or doubtful)])
    return loose if hedged or loose == strict else None


def _sentences(statements: Iterable[str]) -> list[str]:
    """In lower case without ornaments; one that begins with "or" goes on with the sentence before."""
    found: list[str] = []
    for statement in statements:
        text = " ".join(statement.lower().split()).strip("*-. ")
        if text.startswith("or ") and found:
            found[-1] += f" {text}"
        elif text:
            found.append(text)
    return found


@lru_cache(maxsize=4096)
def _said(part: str) -> _Said:
    beside = frozenset(name for name, pattern in _BESIDE.items() if pattern.search(part))
    return _Said(
        named=frozenset(name for name, pattern in _NAMED.items() if pattern.search(part)),
        beside=beside,
        unclassed=not beside and _UNCLASSED.search(part) is not None,
        hedged=_HEDGED.search(part) is not None,
    )


def _class(said: Sequence[_Said]) -> str | None:
    named = {name for one in said for name in one.named}
    if named & SINUS_RHYTHMS:
        named |= {name for one in said for name in one.beside}
    return first_class(named, no_sinus=any(one.unclassed for one in said))
