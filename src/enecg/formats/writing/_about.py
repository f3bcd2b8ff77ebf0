"""What several writers say of a recording in the same way."""

from collections.abc import Mapping
from typing import Any

from enecg.formats._finish import person
from enecg.recording import Recording


def patient_id(recording: Recording) -> str:
    """The id that the file has had, or that of another cohort's subject as it is; empty where there is none."""
    return (recording.subject or "").removeprefix("file:")


def printable(text: str) -> bool:
    """Whether a text comes back from any format that holds Unicode: letters only, blanks one by one and inside."""
    return bool(text) and text.isprintable() and " ".join(text.split()) == text


def subject_held(text: str) -> dict[str, Any]:
    """What a reader makes of a patient's id."""
    return {"subject": person(text)}


def identity(recording: Recording) -> str:
    """Text that is another for every recording, by which ids that a format demands are made."""
    said = (recording.id, recording.subject, recording.acquired, recording.age, recording.sex, recording.device)
    return f"{recording.digest} {said} {dict(recording.measurements)} {recording.statements}"


def named(measured: Mapping[str, str]) -> dict[str, str]:
    """A reader's table of codes and the measurements that they mean, turned over; the last code of several."""
    return {name: code for code, name in measured.items()}
