import os
import unicodedata
from pathlib import Path

import polars
import pytest

from enecg.cohorts import load_cohort
from enecg.errors import CohortError, UnitError


@pytest.fixture
def clinic(header, tmp_path):
    """A folder of three recordings, and a way to write the table beside it."""
    for name in ("a/0012", "a/0013", "b/0014"):
        header(f"clinic/{name}.hea")

    def load(content: str | bytes | polars.DataFrame, file: str = "targets.csv", **options):
        path = tmp_path / file
        if isinstance(content, polars.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_cohort("folder", tmp_path / "clinic", table=path, **options)

    return load


def ids(cohort) -> list[str]:
    assert [lazy.id for lazy in cohort] == cohort.targets["id"].to_list()
    assert [lazy.read().id for lazy in cohort] == cohort.targets["id"].to_list()
    return cohort.targets["id"].to_list()


def test_a_table_by_id_gives_targets_and_subjects(clinic):
    cohort = clinic("id,subject,age,sex,grade\n0012,p1,50,male,low\n0013,p1,51,male,\n0014,p2,,female,high\n")
    assert ids(cohort) == ["0012", "0013", "0014"]
    assert cohort.subjects == ["folder:p1", "folder:p1", "folder:p2"]
    assert cohort.targets["age"].to_list() == [50, 51, None]
    assert cohort.targets["grade"].to_list() == ["low", None, "high"]
    assert [lazy.read().subject for lazy in cohort] == cohort.subjects
    assert cohort.notes == ["3 recordings with a row"]


@pytest.mark.parametrize(
    "path",
    [
        "a/0012.hea", "a/0012", "a/0012.dat", "a/0012.mat", "./a/0012.hea", "a\\0012.hea", "a//0012.hea", " a/0012 ",
        "{root}/a/0012.hea", "{root}/a/0012", "{root}/a/0012.dat",
    ],
)  # fmt: skip
def test_a_path_may_be_written_in_any_way(clinic, tmp_path, path):
    cohort = clinic(f"path,subject,age\n{path.format(root=tmp_path / 'clinic')},p1,50\n")
    assert ids(cohort) == ["0012"]
    assert cohort.targets.row(0, named=True)["age"] == 50
    assert "2 files have no row" in cohort.notes


def test_a_path_through_a_link_is_the_same_path(clinic, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "clinic")
    (tmp_path / "t.csv").write_text(f"path,subject\n{tmp_path / 'clinic/a/0012.hea'},p1\n")
    assert ids(load_cohort("folder", tmp_path / "link", table=tmp_path / "t.csv")) == ["0012"]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_with_dots_are_the_same_however_a_file_system_writes_them(header, tmp_path, forms):
    on_disk, in_table = (unicodedata.normalize(form, "Müller") for form in forms)
    header(f"clinic/{on_disk}.hea")
    for column in ("id", "path"):
        (tmp_path / "t.csv").write_text(f"{column},subject\n{in_table},p1\n", encoding="utf-8")
        assert len(load_cohort("folder", tmp_path / "clinic", table=tmp_path / "t.csv")) == 1


def test_a_name_that_is_no_text_is_a_recording_too(header, tmp_path):
    header("clinic/one.hea")
    odd = os.fsdecode(b"\xff-two.hea")
    (tmp_path / "clinic/one.hea").rename(tmp_path / "clinic" / odd)
    assert ids(load_cohort("folder", tmp_path / "clinic")) == ["\\udcff-two"]


def test_ids_of_one_s_own_are_kept_beside_paths(clinic):
    cohort = clinic("path,id,subject\na/0012,first,p1\nb/0014,,p2\n")
    assert ids(cohort) == ["first", "0014"]


def test_files_of_one_name_in_different_folders_get_names_of_their_own(clinic, header, tmp_path):
    header("clinic/b/0012.hea")
    cohort = clinic("path,subject\na/0012,p1\nb/0012,p2\na/0013,p1\n")
    assert ids(cohort) == ["a/0012", "b/0012", "0013"]
    header("clinic/b.2/0012.hea")
    assert ids(load_cohort("folder", tmp_path / "clinic")) == ["a/0012", "0013", "b/0012", "0014", "b.2/0012"]
    with pytest.raises(CohortError, match=r"two files are called 0012 \(.*; use a column 'path'"):
        clinic("id,subject\n0012,p1\n")


# -- tables as they come ---------------------------------------------------------------------------------------------

PLAIN = "id,subject,age\n0012,p1,50\n0014,p2,60\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (PLAIN, "t.csv"),
        (PLAIN.replace("\n", "\r\n"), "t.csv"),
        (PLAIN.encode("utf-8-sig"), "t.csv"),
        (PLAIN.replace(",", ";"), "t.csv"),
        (PLAIN.replace(",", "\t"), "t.tsv"),
        (PLAIN.replace(",", "\t"), "T.CSV"),
        (PLAIN.replace("id,subject", " id , subject "), "t.csv"),
        (polars.DataFrame({"id": ["0012", "0014"], "subject": ["p1", "p2"], "age": [50, 60]}), "t.parquet"),
    ],
)
def test_windows_excel_and_parquet_give_the_same_cohort(clinic, content, name):
    cohort = clinic(content, name)
    assert ids(cohort) == ["0012", "0014"]
    assert cohort.subjects == ["folder:p1", "folder:p2"]
    assert cohort.targets["age"].to_list() == [50, 60]
    assert cohort.notes == ["2 recordings with a row", "1 files have no row"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("id,subject,age\n12,p1,50\n14,p2,60\n", "t.csv"),
        (polars.DataFrame({"id": [12, 14], "subject": ["p1", "p2"], "age": [50, 60]}), "t.parquet"),
        (polars.DataFrame({"id": [12.0, 14.0], "subject": ["p1", "p2"], "age": [50, 60]}), "t.parquet"),
    ],
)
def test_ids_that_lost_their_leading_zeros_are_found_and_that_is_told(clinic, content, name):
    cohort = clinic(content, name)
    assert ids(cohort) == ["0012", "0014"]
    assert "2 ids had lost their leading zeros (12 for 0012); they were matched by number" in cohort.notes


def test_a_number_that_could_be_two_files_is_neither(clinic, header):
    header("clinic/a/012.hea")
    cohort = clinic("id,subject\n12,p1\n14,p2\n")
    assert ids(cohort) == ["0014"]
    assert "1 rows of the table have no file" in cohort.notes


def test_an_id_in_full_comes_before_its_number(clinic, header):
    header("clinic/a/12.hea")
    assert ids(clinic("id,subject\n12,p1\n0012,p2\n")) == ["12", "0012"]


def test_a_row_in_full_and_one_by_number_are_two_rows_of_one_file(clinic):
    with pytest.raises(CohortError, match="rows 1 and 2 are both of id '12' and differ"):
        clinic("id,subject,age\n0012,p1,50\n12,p1,51\n")


@pytest.mark.parametrize("subjects", [[7, 7, 8], [7.0, 7.0, 8.0], ["7", "7", "8"]])
def test_subjects_are_the_same_whether_numbers_or_text(clinic, subjects):
    cohort = clinic(polars.DataFrame({"id": ["0012", "0013", "0014"], "subject": subjects}), "t.parquet")
    assert cohort.subjects == ["folder:7", "folder:7", "folder:8"]


def test_subjects_keep_their_leading_zeros(clinic):
    assert clinic("id,subject\n0012,01\n0013,1\n").subjects == ["folder:01", "folder:1"]


# -- what is told ----------------------------------------------------------------------------------------------------


def test_rows_without_file_name_or_use_are_left_out_and_counted(clinic):
    cohort = clinic("id,subject,age\n0012,p1,50\n0012,p1,50\n9999,p9,1\n,p8,2\n0013,p1,51\n")
    assert ids(cohort) == ["0012", "0013"]
    assert cohort.notes == [
        "2 recordings with a row",
        "1 rows of the table have no file",
        "1 rows of the table have no id",
        "1 rows of the table repeat another and were left out",
        "1 files have no row",
    ]


def test_two_rows_of_one_file_that_differ_are_an_error(clinic):
    with pytest.raises(CohortError, match=r"targets\.csv: rows 1 and 3 are both of id '0012' and differ; expected one"):
        clinic("id,subject,age\n0012,p1,50\n0013,p1,50\n0012,p1,51\n")
    with pytest.raises(CohortError, match=r"rows 1 and 2 are both of path 'a/0012\.dat' and differ"):
        clinic("path,age\na/0012.hea,50\na/0012.dat,50\n")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("Path", "found Path, age); rename 'Path'"),
        ("filename", "found filename, age); rename 'filename'"),
        ("ID", "found ID, age); rename 'ID'"),
        ("recording", "found recording, age)"),
    ],
)
def test_a_table_that_does_not_say_whose_a_row_is_names_the_nearest_column(clinic, columns, told):
    with pytest.raises(CohortError, match="no column 'path' or 'id'") as caught:
        clinic(f"{columns},age\n0012,50\n")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("column", "hint"),
    [("Subject", "; rename 'Subject', if"), ("patient_id", "; rename 'patient_id', if"), ("who", "")],
)
def test_a_table_without_subjects_is_told_loudly(clinic, column, hint):
    cohort = clinic(f"id,{column},age\n0012,p1,50\n")
    assert cohort.subjects == [None]
    told = f"no column 'subject': every recording counts as a person of its own{hint}"
    assert any(note.startswith(told) for note in cohort.notes)


def test_a_missing_subject_is_told(clinic):
    cohort = clinic("id,subject\n0012,p1\n0013,\n0014,NA\n")
    assert cohort.subjects == ["folder:p1", None, None]
    assert "2 rows have no subject: each counts as a person of its own" in cohort.notes


def test_a_column_that_is_almost_a_task_s_is_told(clinic):
    cohort = clinic("id,subject,Age,rythm,sex,lvef\n0012,p1,50,sinus rhythm,male,55\n")
    assert "column 'Age' is no task; rename it, if 'age' is meant" in cohort.notes
    assert "column 'rythm' is no task; rename it, if 'rhythm' is meant" in cohort.notes
    assert not any("lvef" in note or "'sex'" in note for note in cohort.notes)


def test_a_table_of_other_recordings_shows_both_names(clinic):
    with pytest.raises(CohortError, match=r"none of its 2 rows has a file below .*; compare id 'x1' with '0012'"):
        clinic("id,subject\nx1,p1\nx2,p2\n")
    with pytest.raises(CohortError, match=r"compare path 'c/0012' with 'a/0012\.hea'"):
        clinic("path,subject\nc/0012,p1\n")


def test_a_path_leads_to_no_file_outside_the_folder(clinic, header):
    header("secret/one.hea")
    with pytest.raises(CohortError, match="none of its 1 rows has a file"):
        clinic("path,subject\n../secret/one.hea,p1\n")


# -- without a table, and other options ------------------------------------------------------------------------------


def test_without_a_table_there_are_recordings_and_no_targets(clinic, tmp_path):
    cohort = load_cohort("folder", tmp_path / "clinic")
    assert ids(cohort) == ["0012", "0013", "0014"]
    assert cohort.subjects == [None, None, None]
    assert cohort.targets.columns == ["id", "subject"]


@pytest.mark.parametrize("folder", ["nothing", "clinic/a/0012.hea"])
def test_a_folder_that_is_none_is_told(clinic, tmp_path, folder):
    with pytest.raises(CohortError, match="no such folder; expected that of cohort folder"):
        load_cohort("folder", tmp_path / folder)


def test_a_folder_without_recordings_is_told(tmp_path):
    with pytest.raises(CohortError, match="no recordings; expected files of a known format"):
        load_cohort("folder", tmp_path)


def test_a_name_of_its_own_stands_before_the_subjects(clinic):
    cohort = clinic("id,subject\n0012,p1\n", name="clinic")
    assert (cohort.name, cohort.subjects, cohort.origins) == ("clinic", ["clinic:p1"], {"clinic"})


@pytest.mark.parametrize("name", ["", "a:b"])
def test_a_name_that_would_be_taken_apart_is_refused(clinic, name):
    with pytest.raises(CohortError, match="expected one without ':', such as 'my_clinic'"):
        clinic("id,subject\n0012,p1\n", name=name)


def test_the_unit_reaches_the_files(header, tmp_path):
    path = header("clinic/one.hea")
    path.write_text(path.read_text().replace("/mV", "/NU"))
    with pytest.raises(UnitError, match="pass unit="):
        load_cohort("folder", tmp_path / "clinic")[0].read()
    assert load_cohort("folder", tmp_path / "clinic", unit="uV")[0].read().n_leads == 6


def test_a_broken_file_is_a_recording_that_cannot_be_read(clinic, tmp_path):
    Path(tmp_path / "clinic/a/0013.hea").write_bytes(b"garbage")
    cohort = clinic("id,subject\n0012,p1\n0013,p2\n")
    assert len(cohort) == 2
    assert cohort[0].read().n_samples == 20
    with pytest.raises(ValueError, match=r"0013\.hea: not a recording of a known format"):
        cohort[1].read()
