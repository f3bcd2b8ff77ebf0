"""What the header of an EDF file says of patient, device and time, where it has the subfields of EDF+."""

import re
from datetime import date, datetime, timedelta
from typing import Any

from enecg.formats._edf_header import File, text
from enecg.formats._finish import age_at, moment, person, sex_of

_THREE_NUMBERS = re.compile(r"\s*(\d{1,2})[-.:/' ](\d{1,2})[-.:/' ](\d{1,2})\s*")


def facts_of(file: File, origin: float) -> dict[str, Any]:
    """Of the patient and the device, where the header has EDF+'s subfields (code, sex, birth date, name)."""
    acquired = _acquired(file, origin)
    equipment = file.edf.recording.equipment_code if text(file.header[88:97]) == "Startdate" else "X"
    facts: dict[str, Any] = {"acquired": acquired, "device": None if equipment == "X" else equipment.replace("_", " ")}
    patient = file.edf.patient
    if len(file.edf.local_patient_identification.split()) < 4 or patient.sex not in ("M", "F", "X"):
        return facts
    try:
        birth: date | None = patient.birthdate
    except ValueError:
        birth = None
    return facts | {"subject": person(patient.code), "sex": sex_of(patient.sex), "age": age_at(birth, acquired)}


def _acquired(file: File, origin: float) -> datetime | None:
    """When the first sample was taken; None if the date is left out (`Startdate X`) or impossible."""
    if file.edf.local_recording_identification.split()[:2] == ["Startdate", "X"]:
        return None
    clock = _THREE_NUMBERS.fullmatch(text(file.header[176:184]))
    try:
        day: date | None = file.edf.recording.startdate
    except ValueError:
        day = _day(text(file.header[168:176]))
    if day is None or clock is None:
        return None
    begin = moment(day.year, day.month, day.day, *map(int, clock.groups()))
    try:
        return None if begin is None else begin + timedelta(seconds=origin)
    except OverflowError:
        return None


def _day(written: str) -> date | None:
    """`dd.mm.yy`, of the years 1985 to 2084; None for what is no date."""
    found = _THREE_NUMBERS.fullmatch(written)
    if found is None:
        return None
    day, month, year = map(int, found.groups())
    return moment(year + (1900 if year >= 85 else 2000), month, day)
