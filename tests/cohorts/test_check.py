import numpy as np
import polars
import pytest

from enecg.cohorts import Cohort, check_cohort, load_cohort


@pytest.fixture
def folder(header, tmp_path):
    """Records with these samples (a seed each) and a table with these rows beside them."""

    def write(*seeds: int, table: dict[str, list] | None = None) -> Cohort:
        for number, seed in enumerate(seeds):
            samples = np.random.default_rng(seed).integers(-500, 500, 40)
            header(f"own/r{number}.hea", samples=samples)
        columns = {"id": [f"r{number}" for number in range(len(seeds))], **(table or {})}
        polars.DataFrame(columns).write_csv(tmp_path / "table.csv")
        return load_cohort("folder", tmp_path / "own", table=tmp_path / "table.csv")

    return write


def test_counts_are_those_of_the_published_rows(data):
    found = check_cohort(load_cohort("ptbxl", data / "ptbxl"))
    assert (found.recordings, found.subjects, found.read, found.unnamed) == (3, 3, 3, 0)
    assert found.kinds == {"12 leads, 100 Hz, 10 s": 3}
    assert (found.damaged, found.leaks, found.several) == ([], [], (0, 0))
    assert found.notes == ["3 of 21,799 recordings and 3 of 18,869 patients published"]
    by_task = {one.task: one for one in found.coverage}
    assert by_task["sex"].classes == {"male": 2, "female": 1}
    assert by_task["superclass"].classes == {"NORM": 1, "MI": 1, "STTC": 1, "CD": 1, "HYP": 1}
    assert by_task["age"].classes == {}


def test_labels_are_counted_by_recording_subject_and_class(folder):
    table = {"subject": ["a", "a", "b", None], "sex": ["male", None, "female", "male"]}
    table["potassium"] = ["abnormal", "low", "4.1", None]
    found = check_cohort(folder(1, 2, 3, 4, table=table))
    sex, potassium = (next(one for one in found.coverage if one.task == name) for name in ("sex", "potassium"))
    assert (sex.recordings, sex.subjects, sex.classes) == (3, 3, {"male": 2, "female": 1})
    # What may be low or high is neither for certain.
    assert potassium.classes == {"low or high": 1, "low": 1, "normal": 1}
    assert (found.several, found.unnamed, found.subjects) == ((1, 2), 1, 2)


def test_damaged_files_are_named_with_their_reason(folder, tmp_path):
    cohort = folder(1, 2, 3, table={"subject": ["a", "b", "c"]})
    (tmp_path / "own/r1.dat").write_bytes(b"short")
    found = check_cohort(cohort)
    assert found.read == 3
    [(name, reason)] = found.damaged
    assert name == "r1"
    assert "r1" in reason
    assert sum(found.kinds.values()) == 2


@pytest.mark.parametrize(("read", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (99, 3), (None, 3)])
def test_so_many_are_read_as_were_asked_for(folder, read, expected):
    assert check_cohort(folder(1, 2, 3, table={"subject": ["a", "b", "c"]}), read=read).read == expected


def test_some_are_read_evenly_over_the_cohort():
    cohort = load_cohort("simulated", n=11, rate=100.0, seconds=2.0)
    opened = []
    watched = [_Watched(lazy, opened) for lazy in cohort]
    check_cohort(Cohort(name="x", recordings=watched, targets=cohort.targets), read=3)
    assert opened == [cohort[row].id for row in (0, 5, 10)]


class _Watched:
    def __init__(self, lazy, opened):
        self.id, self.subject, self._lazy, self._opened = lazy.id, lazy.subject, lazy, opened

    def read(self):
        self._opened.append(self.id)
        return self._lazy.read()


def test_the_same_samples_of_two_people_are_a_leak_and_of_one_are_none(folder):
    both = folder(7, 7, 8, 7, table={"subject": ["a", "a", "b", "c"]})
    [leak] = check_cohort(both).leaks
    assert leak == "1 recordings hold the samples of another subject's (first: r3 of folder:c those of r0 of folder:a)"
    assert not check_cohort(folder(7, 7, 8, 9, table={"subject": ["a", "a", "b", "c"]})).leaks
    # Two without a subject may be two people.
    [leak] = check_cohort(folder(7, 7, table={"subject": [None, None]})).leaks
    assert leak.startswith("1 recordings hold the samples of another subject's (first: r1 of None")


def test_a_subject_with_several_folds_is_a_leak(folder):
    cohort = folder(1, 2, 3, 4, table={"subject": ["a", "a", "b", "b"], "fold": [1, 2, 3, 3]})
    assert check_cohort(cohort, read=0).leaks == ["1 subjects have several values of column fold (first: folder:a)"]


def test_what_readers_decided_is_told_once_for_all(data):
    found = check_cohort(load_cohort("ludb", data / "ludb"))
    assert sum(count for note, count in found.told.items() if "break Einthoven's law" in note) == 3
    assert not any(character.isdigit() for note in found.told for character in note)


def test_progress_is_shown_only_where_asked(folder, capsys):
    cohort = folder(1, 2, table={"subject": ["a", "b"]})
    check_cohort(cohort)
    assert capsys.readouterr().err == ""
    check_cohort(cohort, progress=True)
    assert "reading folder" in capsys.readouterr().err
