"""From the labels of data sets to the classes of the built-in tasks."""

from collections.abc import Collection, Mapping

from enecg.tasks import RHYTHMS, SCORED_DIAGNOSES

RHYTHM_OF_STATEMENT: Mapping[str, str] = {
    "PACE": "paced rhythm",
    "2AVB": "AV block of 2nd or 3rd degree",
    "3AVB": "AV block of 2nd or 3rd degree",
    "AFLT": "atrial flutter",
    "AFIB": "atrial fibrillation",
    "SVTAC": "supraventricular tachycardia",
    "PSVT": "supraventricular tachycardia",
    "SARRH": "sinus arrhythmia",
    "SBRAD": "sinus bradycardia",
    "STACH": "sinus tachycardia",
    "SR": "sinus rhythm",
}
"""PTB-XL's statements that name a rhythm by themselves."""

WITH_SINUS: Mapping[str, str] = {
    "PVC": "sinus with ventricular premature beats",
    "PAC": "sinus with atrial premature beats",
    "1AVB": "1st degree AV block",
    "LPR": "1st degree AV block",
}
"""Those that do so beside a sinus rhythm (SR, SARRH, SBRAD or STACH). A long PR interval defines the block."""

SINUS = ("SR", "SARRH", "SBRAD", "STACH")
SINUS_RHYTHMS = frozenset(RHYTHM_OF_STATEMENT[code] for code in SINUS)
"""The classes of a sinus rhythm without anything beside it."""

RHYTHM_OF_CODE: Mapping[int, str] = {code: name for name, code in RHYTHMS.items()} | {
    251266004: "paced rhythm",  # ventricular pacing pattern
    251268003: "paced rhythm",  # atrial pacing pattern
    425856008: "ventricular tachycardia",  # paroxysmal
    195042002: "AV block of 2nd or 3rd degree",  # 2nd
    426183003: "AV block of 2nd or 3rd degree",  # Mobitz II
    28189009: "AV block of 2nd or 3rd degree",  # type two
    54016002: "AV block of 2nd or 3rd degree",  # Mobitz I, Wenckebach
    27885002: "AV block of 2nd or 3rd degree",  # complete
    426749004: "atrial fibrillation",  # chronic
    314208002: "atrial fibrillation",  # rapid
    713422000: "supraventricular tachycardia",  # atrial tachycardia
    67198005: "supraventricular tachycardia",  # paroxysmal
    251166008: "supraventricular tachycardia",  # AV node re-entry
    233896004: "supraventricular tachycardia",  # AV node re-entry
    233897008: "supraventricular tachycardia",  # AV re-entry
    426664006: "junctional rhythm",  # accelerated
    426648003: "junctional rhythm",  # junctional tachycardia
    233892002: "ectopic atrial rhythm",  # accelerated atrial escape
    195101003: "ectopic atrial rhythm",  # wandering atrial pacemaker
    17366009: "ectopic atrial rhythm",  # wandering from the sinus node to the atria
    17338001: "sinus with ventricular premature beats",  # ventricular premature beats
    164884008: "sinus with ventricular premature beats",  # ventricular ectopics
    251182009: "sinus with ventricular premature beats",  # in pairs
    11157007: "sinus with ventricular premature beats",  # bigeminy
    251180001: "sinus with ventricular premature beats",  # trigeminy
    63593006: "sinus with atrial premature beats",  # supraventricular premature beats
    251170000: "sinus with atrial premature beats",  # blocked
    251173003: "sinus with atrial premature beats",  # atrial bigeminy
    251168009: "sinus with atrial premature beats",  # supraventricular bigeminy
    164947007: "1st degree AV block",  # prolonged PR interval
}
"""SNOMED CT codes of a rhythm class, those that mean the same included."""

WITHOUT_CLASS = frozenset(
    {
        "SVARR",  # supraventricular arrhythmia, of whatever kind
        195080001,  # fibrillation and flutter, which of the two is not said
        282825002,  # paroxysmal fibrillation: the patient's, perhaps not this recording's
        61277005,  # accelerated idioventricular rhythm
        49260003,  # idioventricular rhythm
        81898007,  # ventricular escape rhythm
        75532003,  # ventricular escape beat
        164896001,  # ventricular fibrillation
        111288001,  # ventricular flutter
        426995002,  # junctional escape
        251164006,  # junctional premature beats
        251187003,  # atrial escape beat
        50799005,  # AV dissociation
        204384007,  # congenital incomplete AV block, of 1st or 2nd degree
        74615001,  # brady-tachy syndrome
        698247007,  # cardiac dysrhythmia, of whatever kind
    }
)
"""Statements and codes of rhythms that no class stands for. They rule the sinus classes out, so that a recording with
one of them has no label rather than a wrong one."""

_SINUS_CLASSES = ("1st degree AV block", *(name for name in RHYTHMS if name.startswith("sinus")))
_AV_BLOCK, _FIRST_DEGREE = 233917008, 270492004


def rhythm_of_statements(statements: Collection[str]) -> str | None:
    """The rhythm class of a set of PTB-XL statements; None where they name none.

    BIGU and TRIGU do not say which beats are premature: beside them PVC or PAC tells, else the class is unknown.
    """
    found = [RHYTHM_OF_STATEMENT[code] for code in statements if code in RHYTHM_OF_STATEMENT]
    if any(code in statements for code in SINUS):
        found += [WITH_SINUS[code] for code in statements if code in WITH_SINUS]
    unknown_beats = {"BIGU", "TRIGU"} & set(statements) and not {"PVC", "PAC"} & set(statements)
    return first_class(found, no_sinus=bool(unknown_beats or WITHOUT_CLASS & set(statements)))


def rhythm_of_codes(codes: Collection[int]) -> str | None:
    """The rhythm class of a set of SNOMED CT codes; premature beats and 1st degree block mean a sinus rhythm, as the
    challenge's labels leave that out. None where no code names a rhythm.

    `AV block` beside `1st degree AV block` is the same block's general name, and alone the class of that code.
    """
    known = set(codes) - {_AV_BLOCK} if _FIRST_DEGREE in codes else set(codes)
    found = [RHYTHM_OF_CODE[code] for code in known if code in RHYTHM_OF_CODE]
    return first_class(found, no_sinus=bool(WITHOUT_CLASS & known))


def scored_of_codes(codes: Collection[int]) -> list[str]:
    """The scored diagnoses of the Challenge 2021 among a set of SNOMED CT codes, in the task's order."""
    return [name for name, own in SCORED_DIAGNOSES.items() if any(code in codes for code in own)]


def first_match(found: Collection[str]) -> str | None:
    """The rhythm class that counts where several apply: the first of the task's list."""
    return next((name for name in RHYTHMS if name in found), None)


def first_class(found: Collection[str], *, no_sinus: bool) -> str | None:
    """The first match, the sinus classes left out where something rules them out."""
    return first_match([name for name in found if not (no_sinus and name in _SINUS_CLASSES)])
