import shutil

import numpy as np
import pytest
from scipy.io import savemat

from enecg.cohorts import join_cohorts, load_cohort
from enecg.cohorts.cpsc2018 import CLASSES
from enecg.errors import CohortError
from enecg.tasks import get_task


@pytest.fixture
def first(tmp_path):
    """The first publication's layout: REFERENCE.csv with these labels, and files with these facts."""

    def write(*rows):
        lines = ["Recording,First_label,Second_label,Third_label"]
        (tmp_path / "TrainingSet1").mkdir(exist_ok=True)
        for number, (labels, sex, age) in enumerate(rows, start=1):
            name = f"A{number:04d}"
            lines.append(f"{name},{labels}")
            signal = number + np.sin(np.arange(3000) / 60)[None] * np.arange(1, 13)[:, None] / 10
            struct = {"sex": sex, "age": age, "data": signal}
            savemat(tmp_path / f"TrainingSet1/{name}.mat", {"ECG": struct}, do_compression=True)
        (tmp_path / "TrainingSet1/REFERENCE.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    return write


def test_the_first_publication_s_table_and_files_become_targets(first):
    root = first(("5,1,", "Male", 74.0), ("2,,", "Female", 49.0), ("7,6,9", "Male", 60.0))
    cohort = load_cohort("cpsc2018", root)
    rows = [tuple(row.values()) for row in cohort.targets.iter_rows(named=True)]
    assert rows == [
        ("A0001", "cpsc_2018:A0001", 74, "male", "sinus rhythm", ["Normal", "RBBB"], ["RBBB", "NSR"]),
        ("A0002", "cpsc_2018:A0002", 49, "female", "atrial fibrillation", ["AF"], ["AF"]),
        (
            *("A0003", "cpsc_2018:A0003", 60, "male", "sinus with ventricular premature beats"),
            *(["PAC", "PVC", "STE"], ["PAC"]),  # PhysioNet's code of CPSC's PVC is not one of the scored
        ),
    ]
    found = cohort[2].read()
    assert (found.id, found.rate, found.n_leads, found.seconds) == ("A0003", 500, 12, 6)
    assert found.lead("I")[0] == pytest.approx(3, abs=1e-6)


def test_physionet_s_copy_gives_the_challenge_s_rows(data):
    own = load_cohort("cpsc2018", data / "challenge2021/cpsc_2018")
    theirs = load_cohort("challenge2021", data / "challenge2021/cpsc_2018")
    for column in ("id", "subject", "age", "sex", "rhythm", "cinc2021"):
        assert own.targets[column].to_list() == theirs.targets[column].to_list()
    assert own.targets["cpsc2018"].to_list() == [["AF"]]
    assert own[0].read().digest == theirs[0].read().digest
    # A person of both is one, wherever the record is taken from.
    assert len(set(join_cohorts([own, theirs]).subjects)) == 1
    assert own.origins == {"cpsc2018", "cpsc_2018"}


def test_its_nine_classes_are_the_published_ones():
    assert list(CLASSES) == ["Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"]


@pytest.mark.parametrize("labels", ["10,,", "0,,", ",,", "AF,,", "1.5,,"])
def test_labels_that_are_none_are_missing_and_told(first, labels):
    cohort = load_cohort("cpsc2018", first((labels, "Male", 50.0), ("1,,", "Male", 50.0)))
    assert cohort.targets["cpsc2018"].to_list() == [None, ["Normal"]]
    assert np.isnan(get_task("cinc2021").encode(cohort.targets["cinc2021"])[0]).all()
    assert any("expected 1 to 9; left missing (first: A0001)" in note for note in cohort.notes)


def test_damaged_and_missing_files_cost_the_others_nothing(first):
    root = first(*[("1,,", "Male", 50.0)] * 3)
    path = root / "TrainingSet1/A0001.mat"
    path.write_bytes(path.read_bytes()[:500])
    (root / "TrainingSet1/A0002.mat").unlink()
    cohort = load_cohort("cpsc2018", root)
    assert cohort.targets["id"].to_list() == ["A0003"]
    assert any("cannot be read and were left out" in note and "A0001" in note for note in cohort.notes)
    assert any("rows of REFERENCE.csv without a file" in note and "A0002" in note for note in cohort.notes)


def test_progress_is_shown_only_where_asked(first, capsys):
    root = first(("1,,", "Male", 50.0))
    load_cohort("cpsc2018", root)
    assert capsys.readouterr().err == ""
    load_cohort("cpsc2018", root, progress=True)
    assert "reading age and sex" in capsys.readouterr().err


def test_a_folder_of_something_else_is_an_error(tmp_path, data):
    with pytest.raises(CohortError, match=r"not a folder of cpsc2018; expected REFERENCE\.csv"):
        load_cohort("cpsc2018", tmp_path)
    shutil.copytree(data / "challenge2021/cpsc_2018", tmp_path / "a")
    shutil.copytree(data / "challenge2021/cpsc_2018", tmp_path / "b")
    with pytest.raises(CohortError, match="record A2712 is there more than once"):
        load_cohort("cpsc2018", tmp_path)
