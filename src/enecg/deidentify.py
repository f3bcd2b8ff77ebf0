"""A recording without what tells who it is of: ids replaced, dates shifted, free text left out.

Ids become keyed hashes (HMAC-SHA256): who does not have the key cannot find a patient's new id by trying old ones, and
under one key a patient has one new id in all recordings. Dates are shifted by a whole number of days that the key and
the patient decide, so that the time of day and the intervals between one patient's recordings stay. Ages over 89 and
serial numbers go as the safe harbour of the United States' HIPAA asks (45 CFR 164.514(b)(2)); shifted dates are usual
in research, but not what its letter asks for. The ECG itself may still tell who someone is to those who have another of
the same heart. Imports recording and errors.
"""

import hmac
import re
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from enecg.errors import RecordingError
from enecg.recording import STANDARD_LEADS, Recording

DEIDENTIFIED = "de-identified: ids replaced, dates shifted by days"
"""The note that such a recording has."""

SHORTEST_KEY = 16
"""Bytes."""

_DIGITS = 20
"""Hexadecimal ones of a new id: 80 bits, so that two of a million patients have the same once in a trillion times."""

_FEWEST_DAYS, _MOST_DAYS = 365, 3650
_OLDEST = 89.0
"""Years; whoever is older is 90."""

_LEAD = "|".join(STANDARD_LEADS[:6])
_KNOWN_NOTE = re.compile(rf"simulated|derived from the other limb leads: ({_LEAD})(, ({_LEAD}))*")
"""Notes that cannot hold a name; others may, for they quote files."""

_MEASUREMENT = re.compile(r"([a-z]+\d?_)+(ms|bpm|deg|mv|uv)")
"""Likewise."""

_SERIAL = re.compile(
    r"\b(s/?n|ser(ial)?|no|nr|number|id)(\b|(?=\d))[\s.:#=]*((no|nr|number)\b)?[\s.:#=]*\S*|#\s*\S+", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]+")

_DEVICES = {
    *"ge healthcare marquette mac muse case cardiosoft philips pagewriter intellivue hp agilent mortara eli el".split(),
    *"burdick welch allyn hillrom baxter schiller cardiovit nihon kohden cardiofax fukuda denshi cardimax".split(),
    *"mindray beneheart edan contec lepu viatom biocare imac comen bionet norav cardioline spacelabs draeger".split(),
    *"siemens sicard custo mesi zoll physio control lifepak corpuls apple watch alivecor kardia kardiamobile".split(),
    *"samsung galaxy withings scanwatch fitbit irhythm zio bittium faros getemed dms medilog simulated".split(),
    *"ecg ekg electrocardiograph holter monitor recorder patient resting stress medical instrument inc system".split(),
}
"""Words in the names of makers, models and kinds of devices; any other may be a person's or a place's."""

_MODEL_LETTERS, _MODEL_DIGITS = 4, 4
"""Of the name of a model, such as TC70 or ECG-1250K, that no such word is; serial numbers have more digits."""


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(32)


def deidentify(recording: Recording, key: bytes, *, keep_statements: bool = False) -> Recording:
    """The recording with other ids and dates, and without its source.

    key : secret, 16 bytes or more; whoever has it can tell which new id belongs to an old one.
    keep_statements : the machine's sentences, left out otherwise, for they are free text and may hold names.

    A recording that names no patient (`subject`) is taken as the only one of its patient. An age over 89 becomes 90; a
    device keeps the words that makers and models have; measurements with names of their own are left out.
    Raises RecordingError for a key that could be guessed.
    """
    if len(key) < SHORTEST_KEY:
        raise RecordingError(f"a key of {len(key)} bytes; expected {SHORTEST_KEY} or more, at random")
    patient = recording.subject or f"{recording.id or recording.digest}"
    new_id = _hash(key, "recording", recording.subject or "", recording.id or recording.digest)
    notes = [note for note in recording.notes if _KNOWN_NOTE.fullmatch(note)]
    return replace(
        recording,
        id=new_id.hex()[:_DIGITS],
        subject=None if recording.subject is None else f"file:{_hash(key, 'patient', patient).hex()[:_DIGITS]}",
        age=None if recording.age is None else 90.0 if recording.age > _OLDEST else recording.age,
        acquired=_shifted(recording.acquired, _hash(key, "days", patient)),
        device=_plain_device(recording),
        measurements={name: value for name, value in recording.measurements.items() if _MEASUREMENT.fullmatch(name)},
        statements=recording.statements if keep_statements else (),
        source=None,
        notes=(*notes, DEIDENTIFIED),
    )


def _hash(key: bytes, *what: str) -> bytes:
    return hmac.new(key, "\0".join(what).encode("utf-8", "surrogatepass"), sha256).digest()


def _shifted(when: datetime | None, seed: bytes) -> datetime | None:
    """So many days earlier; None for a date that has no such day before it."""
    if when is None:
        return None
    days = _FEWEST_DAYS + int.from_bytes(seed) % (_MOST_DAYS - _FEWEST_DAYS + 1)
    try:
        return when - timedelta(days=days)
    except OverflowError:
        return None


def _plain_device(recording: Recording) -> str | None:
    """Maker and model: known words, and short ones with a number; nothing that is in the ids."""
    words = _SERIAL.sub(" ", recording.device or "").split()
    year = "" if recording.acquired is None else recording.acquired.year
    own = {part.lower() for part in re.findall(r"\w+", f"{recording.id} {recording.subject} {year}")}
    kept = [word for word in words if _is_of_a_device(word) and not own & {*re.findall(r"\w+", word.lower())}]
    return " ".join(kept) or None


def _is_of_a_device(word: str) -> bool:
    n_digits = sum(letter.isdigit() for letter in word)
    parts = [part.lower() for part in _WORD.findall(word)]
    longest = _MODEL_LETTERS if n_digits else 0
    return (
        bool(parts or n_digits)
        and n_digits <= _MODEL_DIGITS
        and all(part in _DEVICES or len(part) <= longest for part in parts)
    )
