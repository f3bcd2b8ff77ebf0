"""From the labels of data sets to the classes of the built-in tasks."""

from collections.abc import Collection, Mapping

from enecg.tasks import RHYTHMS

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
    "BIGU": "sinus with ventricular premature beats",
    "TRIGU": "sinus with ventricular premature beats",
    "PAC": "sinus with atrial premature beats",
    "1AVB": "1st degree AV block",
}
"""Those that do so beside a sinus rhythm (SR, SARRH, SBRAD or STACH). PTB-XL's BIGU and TRIGU do not say which beats
are premature; ventricular ones are by far the commoner."""

SINUS = ("SR", "SARRH", "SBRAD", "STACH")

RHYTHM_OF_CODE: Mapping[int, str] = {code: name for name, code in RHYTHMS.items()} | {
    195042002: "AV block of 2nd or 3rd degree",
    27885002: "AV block of 2nd or 3rd degree",
    713422000: "supraventricular tachycardia",
    67198005: "supraventricular tachycardia",
    17338001: "sinus with ventricular premature beats",
    63593006: "sinus with atrial premature beats",
}
"""SNOMED CT codes of a rhythm class, those that mean the same included."""


def first_match(found: Collection[str]) -> str | None:
    """The rhythm class that counts where several apply: the first of the task's list."""
    return next((name for name in RHYTHMS if name in found), None)


def rhythm_of_statements(statements: Collection[str]) -> str | None:
    """The rhythm class of a set of PTB-XL statements; None where they name none."""
    found = [RHYTHM_OF_STATEMENT[code] for code in statements if code in RHYTHM_OF_STATEMENT]
    if any(code in statements for code in SINUS):
        found += [WITH_SINUS[code] for code in statements if code in WITH_SINUS]
    return first_match(found)


def rhythm_of_codes(codes: Collection[int]) -> str | None:
    """The rhythm class of a set of SNOMED CT codes; premature beats and 1st degree block mean a sinus rhythm, as the
    challenge's labels leave that out. None where no code names a rhythm.
    """
    return first_match([RHYTHM_OF_CODE[code] for code in codes if code in RHYTHM_OF_CODE])
