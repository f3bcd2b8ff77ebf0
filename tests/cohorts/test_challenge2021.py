import shutil

import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.cohorts.challenge2021 import source_of, subject_of
from enecg.errors import CohortError
from enecg.tasks import get_task


@pytest.fixture
def challenge(tmp_path, data):
    """A copy of the four records, to be changed."""
    shutil.copytree(data / "challenge2021", tmp_path / "challenge")
    return tmp_path / "challenge"


def test_published_headers_become_targets(data):
    cohort = load_cohort("challenge2021", data / "challenge2021")
    rows = cohort.targets.rows(named=True)
    assert [(row["id"], row["subject"], row["age"], row["sex"], row["rhythm"], row["source"]) for row in rows] == [
        ("A2712", "cpsc_2018:A2712", 55, "female", "atrial fibrillation", "cpsc_2018"),
        ("E00271", "georgia:E00271", 83, "female", None, "georgia"),  # a bundle branch block names no rhythm
        ("JS13888", "ningbo:JS13888", 86, "female", None, "ningbo"),  # Ningbo's flutter may be fibrillation
    ]
    assert rows[2]["codes"] == [39732003, 55930002, 164890007]
    assert np.isfinite(get_task("rhythm").encode(cohort.targets["rhythm"])).all(axis=1).tolist() == [True, False, False]
    assert cohort.origins == {"challenge2021", "cpsc_2018", "georgia", "ningbo"}
    assert cohort.notes[0] == (
        "3 of 88,253 recordings published: cpsc_2018 1 of 6,877, georgia 1 of 10,344, ningbo 1 of 34,905"
    )


def test_recordings_are_read_later_with_their_subject(data):
    cohort = load_cohort("challenge2021", data / "challenge2021")
    found = [lazy.read() for lazy in cohort]
    assert [(one.id, one.subject, one.seconds, one.n_leads) for one in found] == [
        ("A2712", "cpsc_2018:A2712", 12, 12),
        ("E00271", "georgia:E00271", 10, 12),
        ("JS13888", "ningbo:JS13888", 10, 12),
    ]


def test_ptbxl_s_records_are_left_out_with_the_reason_and_the_remedy(data):
    cohort = load_cohort("challenge2021", data / "challenge2021")
    assert not any(lazy.id.startswith("HR") for lazy in cohort)
    assert any("1 recordings of PTB-XL left out" in note and "pass ptbxl=" in note for note in cohort.notes)


@pytest.mark.parametrize("where", ["ptbxl", "ptbxl/ptbxl_database.csv"])
def test_ptbxl_s_records_are_ptbxl_s_patients_where_the_table_is_given(data, where):
    cohort = load_cohort("challenge2021", data / "challenge2021", ptbxl=data / where)
    assert cohort.targets.row(3, named=True) == {
        "id": "HR00001",
        "subject": "ptbxl:15709",
        "age": 56.0,
        "sex": "female",
        "rhythm": "sinus rhythm",
        "codes": [251146004, 426783006],
        "cinc2021": ["LQRSV", "NSR"],
        "source": "ptb-xl",
    }
    assert "ptbxl" in cohort.origins
    # The copy and the original: one recording, one subject, one set of labels.
    original = load_cohort("ptbxl", data / "ptbxl", rate=500)
    assert cohort[3].read().digest == original[0].read().digest
    for column in ("subject", "age", "sex", "rhythm"):
        assert cohort.targets[column][3] == original.targets[column][0]


def test_a_record_of_ptbxl_that_the_table_does_not_have_stays_out(challenge, data):
    for ending in ("hea", "mat"):
        source = challenge / f"ptb-xl/HR00001.{ending}"
        (challenge / f"ptb-xl/HR21837.{ending}").write_bytes(source.read_bytes().replace(b"HR00001", b"HR21837"))
    cohort = load_cohort("challenge2021", challenge, ptbxl=data / "ptbxl")
    assert "HR21837" not in cohort.targets["id"].to_list()
    assert "1 recordings of PTB-XL left out: the table given with ptbxl= has no row of theirs" in cohort.notes


def test_a_folder_of_ptbxl_s_records_only_says_what_to_pass(data):
    with pytest.raises(CohortError, match=r"1 recordings of PTB-XL left out.*pass ptbxl="):
        load_cohort("challenge2021", data / "challenge2021/ptb-xl")


def test_a_table_of_ptbxl_that_is_none_is_an_error(data, tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text("number,patient\n1,2\n")
    with pytest.raises(CohortError, match=r"ptbxl_database\.csv: no column 'ecg_id' \(found number, patient\)"):
        load_cohort("challenge2021", data / "challenge2021", ptbxl=tmp_path)


@pytest.mark.parametrize(
    ("record", "source"),
    [
        ("A0001", "cpsc_2018"),
        ("Q3581", "cpsc_2018_extra"),
        ("I0001", "st_petersburg_incart"),
        ("S0549", "ptb"),
        ("HR21837", "ptb-xl"),
        ("E10344", "georgia"),
        ("JS00001", "chapman_shaoxing"),
        ("JS10646", "chapman_shaoxing"),
        ("JS10647", "ningbo"),
        ("JS45551", "ningbo"),
        ("S23074", "ningbo"),
        ("X1", "g1"),
    ],
)
def test_a_record_s_name_tells_its_source_whatever_the_folders_are_called(tmp_path, record, source):
    assert source_of(tmp_path / f"g1/{record}.hea", tmp_path) == source


def test_a_single_source_s_folder_is_read_too(data):
    cohort = load_cohort("challenge2021", data / "challenge2021/ningbo")
    assert cohort.targets["source"].to_list() == ["ningbo"]
    assert cohort.targets["rhythm"].to_list() == [None]


def test_records_of_the_same_samples_are_of_one_person():
    assert subject_of("E07510", "georgia", None) == subject_of("E07509", "georgia", None)
    assert subject_of("E07511", "georgia", None) != subject_of("E07509", "georgia", None)
    assert subject_of("S23074", "ningbo", None) == "ningbo:JS23074"


def test_scored_diagnoses_are_the_26_with_equivalent_codes_as_one(header, tmp_path):
    header("georgia/E00001.hea", "Dx: 164909002,63593006,17338001,713427006")
    header("georgia/E00002.hea", "Dx: 733534002,284470004,427172004,59118001")
    header("georgia/E00003.hea", "Dx: 55827005")  # known, and not scored: none of the 26
    header("georgia/E00004.hea", "Age: 50")  # not known
    rows = load_cohort("challenge2021", tmp_path).targets["cinc2021"].to_list()
    assert rows == [["LBBB", "RBBB", "PAC", "PVC"], ["LBBB", "RBBB", "PAC", "PVC"], [], None]
    encoded = get_task("cinc2021").encode(rows)
    assert encoded.sum(axis=1)[:3].tolist() == [4, 4, 0]
    assert np.isnan(encoded[3]).all()


def test_sources_that_do_not_say_whose_their_recordings_are_are_told(header, tmp_path):
    header("ptb/S0001.hea", "Dx: 426783006")
    cohort = load_cohort("challenge2021", tmp_path)
    assert any(note.startswith("ptb has 516 recordings of 290 people or fewer") for note in cohort.notes)


@pytest.mark.parametrize(
    ("comments", "column", "note"),
    [
        (["Age: 300", "Sex: Male", "Dx: 426783006"], "age", "1 x 'Age: 300', which cannot be understood; left missing"),
        (["Age: NaN", "Sex: Male", "Dx: 426783006"], "age", None),
        (
            ["Age: 50", "Sex: Other", "Dx: 426783006"],
            "sex",
            "1 x 'Sex: Other', which cannot be understood; left missing",
        ),
        (["Age: 50", "Sex: Male", "Dx: NSR"], "rhythm", "1 x code 'NSR', which is no SNOMED CT code; passed over"),
        (["Age: 50", "Sex: Male"], "rhythm", "1 x no diagnosis; labels left missing"),
        (["Age: 50", "Sex: Male", "Dx: 39732003"], "rhythm", None),
    ],
)
def test_what_a_header_cannot_mean_is_missing_and_told(header, tmp_path, comments, column, note):
    header("georgia/E00001.hea", "Age: 40", "Sex: Female", "Dx: 426783006")
    header("georgia/E00002.hea", *comments)
    cohort = load_cohort("challenge2021", tmp_path)
    assert cohort.targets[column].is_null().to_list() == [False, True]
    assert any(
        text.startswith(note or "2 of 88,253") and "E00002" in (text if note else "E00002") for text in cohort.notes
    )


def test_over_89_is_90(header, tmp_path):
    header("georgia/E00001.hea", "Age: 97", "Dx: 426783006")
    assert load_cohort("challenge2021", tmp_path).targets["age"].to_list() == [90]


def test_codes_with_spaces_are_codes(header, tmp_path):
    header("georgia/E00001.hea", "Dx: 426177001, 39732003 ,")
    row = load_cohort("challenge2021", tmp_path).targets.row(0, named=True)
    assert (row["codes"], row["rhythm"]) == ([39732003, 426177001], "sinus bradycardia")


def test_records_that_cannot_be_read_cost_the_others_nothing(challenge):
    (challenge / "georgia/E00271.mat").unlink()
    (challenge / "ningbo/JS13888.hea").write_bytes(bytes(range(256)))
    cohort = load_cohort("challenge2021", challenge)
    assert [lazy.id for lazy in cohort] == ["A2712"]
    told = [note for note in cohort.notes if "cannot be read and were left out" in note]
    assert any("E00271.hea" in note and "is not there" in note for note in told)
    assert any("JS13888.hea" in note and "not a WFDB header" in note for note in told)


def test_the_same_fault_of_many_files_is_told_once(header, tmp_path):
    for number in range(1, 6):
        header(f"georgia/E0000{number}.hea", "Dx: 426783006").with_suffix(".dat").unlink()
    header("georgia/E00009.hea", "Dx: 426783006")
    notes = load_cohort("challenge2021", tmp_path).notes
    assert len(notes) == 2
    assert notes[1].startswith("5 x recordings that cannot be read")


def test_a_record_that_is_there_twice_is_an_error(challenge):
    shutil.copytree(challenge / "georgia", challenge / "copy")
    with pytest.raises(CohortError, match="record E00271 is there more than once"):
        load_cohort("challenge2021", challenge)


def test_a_folder_of_something_else_is_an_error(data, tmp_path):
    with pytest.raises(CohortError, match="no header has a line 'Dx:' with SNOMED CT codes"):
        load_cohort("challenge2021", data / "ludb")
    with pytest.raises(CohortError, match="no records; expected one folder for each source"):
        load_cohort("challenge2021", tmp_path)
