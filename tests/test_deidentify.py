"""Nothing of who it was stays, in any format; and what research needs stays: order, intervals, one id a patient."""

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.deidentify import DEIDENTIFIED, deidentify, new_key
from enecg.errors import RecordingError
from enecg.formats import read, write
from enecg.formats.writing import WRITERS
from enecg.recording import Recording, Source
from enecg.simulation import simulate_one

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
WHEN = datetime(2019, 8, 17, 13, 57, 49)


def recording(**facts) -> Recording:
    return Recording(**{"signal": [[0.0, 1.0]], "rate": 100, "leads": ("I",), "id": "a", "subject": "file:1"} | facts)


@given(
    patients=st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2, unique=True),
    dates=st.lists(st.datetimes(min_value=datetime(1950, 1, 1)), min_size=2, max_size=2),
)
def test_one_patient_has_one_new_id_and_one_shift_of_whole_days(patients, dates):
    mine = [deidentify(recording(subject=patients[0], id=str(n), acquired=when), KEY) for n, when in enumerate(dates)]
    other = deidentify(recording(subject=patients[1], acquired=dates[0]), KEY)
    assert mine[0].subject == mine[1].subject != other.subject
    assert mine[0].id != mine[1].id
    assert mine[1].acquired - mine[0].acquired == dates[1] - dates[0]
    shift = mine[0].acquired - dates[0]
    assert timedelta(days=-3650) <= shift <= timedelta(days=-365)
    assert shift % timedelta(days=1) == timedelta(0)


def test_shifts_differ_between_patients_and_keys_and_reach_over_the_whole_range():
    shifts = {
        (deidentify(recording(subject=f"file:{n}", acquired=WHEN), key).acquired - WHEN).days
        for n in range(300)
        for key in (KEY, OTHER_KEY)
    }
    assert len(shifts) > 450
    assert min(shifts) < -3500
    assert max(shifts) > -500


def test_another_key_gives_other_ids_and_none_without_the_key_is_a_hash_of_the_old_one():
    mine, other = (deidentify(recording(), key) for key in (KEY, OTHER_KEY))
    assert {mine.id, mine.subject} & {other.id, other.subject} == set()
    assert re.fullmatch(r"file:[0-9a-f]{20}", mine.subject)
    assert re.fullmatch(r"[0-9a-f]{20}", mine.id)


def test_the_same_name_of_two_patients_files_gives_two_ids():
    assert deidentify(recording(subject="file:1"), KEY).id != deidentify(recording(subject="file:2"), KEY).id


def test_a_time_zone_and_the_time_of_day_stay():
    when = WHEN.replace(tzinfo=timezone(timedelta(hours=2)), microsecond=123)
    assert deidentify(recording(acquired=when), KEY).acquired.timetz() == when.timetz()


def test_a_date_without_a_day_before_it_is_left_out():
    assert deidentify(recording(acquired=datetime(1, 3, 1)), KEY).acquired is None


@pytest.mark.parametrize(
    ("age", "left"), [(None, None), (0.0, 0.0), (89.0, 89.0), (89.5, 90.0), (90.0, 90.0), (104.0, 90.0)]
)
def test_ages_over_89_become_90(age, left):
    assert deidentify(recording(age=age), KEY).age == left


@pytest.mark.parametrize(
    ("device", "left"),
    [
        ("GE MAC 5500", "GE MAC 5500"),
        ("Mortara ELI250", "Mortara ELI250"),
        ("Philips PageWriter TC70 SN: US00401234", "Philips PageWriter TC70"),
        ("CardioSoft 6.51 serial no. 12", "CardioSoft 6.51"),
        ("Cardiofax #77", "Cardiofax"),
        ("ECG-1250K S/N 0815", "ECG-1250K"),
        ("Monitor 1234567", "Monitor"),
        ("Holter 2019-08-17 3ch", "Holter 3ch"),
        ("Bedside_of_Meier", None),
        ("ECG of Hans Huber, Klinikum Graz", "ECG"),
        ("AliveCor KardiaMobile 6L", "AliveCor KardiaMobile 6L"),
        ("Apple Watch6,2", "Apple Watch6,2"),
        ("Huber7 MAC 1600", "MAC 1600"),
        ("MAC 2000 - 2019 *", "MAC 2000"),
        ("SN1234", None),
        (None, None),
    ],
)
def test_a_device_keeps_its_model_and_loses_its_number(device, left):
    assert deidentify(recording(device=device, subject="file:Meier", acquired=WHEN), KEY).device == left


def test_free_text_is_left_out_unless_it_is_wanted():
    said = recording(
        statements=("Sinus rhythm, Dr Meier",),
        measurements={"qt_ms": 400.0, "st_v1_mv": 0.1, "Hans Meier": 1.0, "mrn_4711": 4711.0},
        notes=("simulated", "derived from the other limb leads: III, aVR", "ECG Meier: left out", "simulated Meier"),
    )
    found = deidentify(said, KEY)
    assert found.statements == ()
    assert dict(found.measurements) == {"qt_ms": 400.0, "st_v1_mv": 0.1}
    assert found.notes == ("simulated", "derived from the other limb leads: III, aVR", DEIDENTIFIED)
    assert deidentify(said, KEY, keep_statements=True).statements == said.statements


def test_samples_leads_rate_and_sex_stay():
    before = simulate_one(3, seconds=2).recording
    after = deidentify(before, KEY)
    assert (after.digest, after.sex) == (before.digest, before.sex)


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 15])
def test_a_key_that_can_be_guessed_is_refused(key):
    with pytest.raises(RecordingError, match=f"a key of {len(key)} bytes; expected 16 or more"):
        deidentify(recording(), key)


def test_new_keys_are_random():
    assert len({new_key() for _ in range(100)}) == 100
    assert all(len(new_key()) == 32 for _ in range(3))


# -- in the files ------------------------------------------------------------------------------------------------------

NAMES = ("Meier", "Ottokar", "MEIER", "Größl", "MRN4711", "4711", "08151234", "US0040", "Klinikum")
DATES = ("2019-08-17", "20190817", "17-AUG-2019", "17.08.19", "17/08/2019", "08/17/2019", "17.08.2019", "2019")
HOSTILE = (
    "Meier, Ottokar *17.08.2019",
    "Größl\0Meier",
    "<name>Meier</name>",
    'enecg subject: [0, 0, "Meier"]',
    "Meier\\MRN4711",
    "MRN4711\nPatient: Meier",
    "Meier" * 400,
    "\ud800Meier",
    "enecg note: de-identified",
)


@pytest.mark.parametrize("format_", WRITERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_the_old_id_name_or_date_is_in_the_bytes_of_a_file(format_, text, tmp_path):
    before = replace(
        simulate_one(5, seconds=2).recording,
        id=f"2019-08-17_MRN4711_{text}",
        subject=f"file:{text}",
        acquired=WHEN,
        device=f"Klinikum-Meier ELI {text} SN US0040-08151234",
        statements=(text, "Compared with 2019-08-17: unchanged. Dr Meier"),
        measurements={"qt_ms": 401.0, text: 4711.0},
        notes=("simulated", text, "/data/Meier/2019-08-17.xml: header repaired"),
        source=Source(tmp_path / "Meier.xml", "HL7 aECG"),
        age=93.0,
    )
    after = deidentify(before, KEY)
    folder = tmp_path / "out"
    folder.mkdir()
    path = write(after, folder / f"{after.id}{WRITERS[format_].ENDING}")
    for file in folder.iterdir():
        content = file.name.encode() + file.read_bytes()
        for word in (*NAMES, *DATES):
            for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
                assert word.encode(encoding).lower() not in content.lower(), (file.name, word)
        assert str(tmp_path).encode() not in content
    again = read(path)
    assert (again.subject, again.age, again.acquired) == (after.subject, 90.0, after.acquired)
    assert {"simulated", DEIDENTIFIED} <= {*again.notes}
    assert dict(again.measurements) == {"qt_ms": 401.0}
    assert np.abs(again.signal - before.signal).max() < 1.01e-4
