"""A manifest of EnECG's shape over simulated records; nothing of MIMIC or of the authors' file is in it."""

import json

import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.cohorts.manifest import REPORT_LABELS
from enecg.errors import CohortError
from enecg.tasks import FIVE_TASKS, TASKS

THEIRS = "/scratch/somebody/physionet.org/files/mimic-iv-ecg/1.0/"


@pytest.fixture
def records(header, tmp_path):
    """Three records below MIMIC-IV-ECG's folder; their paths from `files/` on, without ending."""
    made = []
    for subject, study in ((10000032, 40689238), (10000117, 44458630), (10000032, 49036311)):
        path = f"files/p1000/p{subject}/s{study}/{study}"
        header(f"mimic/{path}.hea", f"Age: {study % 90}")
        made.append(path)
    assert (tmp_path / "mimic/files").is_dir()
    return made


@pytest.fixture
def write(tmp_path, records):
    """Write a manifest: changes to three good lines."""

    def write(*changes, before=THEIRS, name="mimic_ecg.jsonl"):
        lines = []
        for path, change in zip(records, changes, strict=False):
            good = {"subject_id": int(path.split("/")[2][1:]), "study_id": 1, "ecg_path": before + path}
            good |= {"rr_interval": 659, "age": 52, "gender": 1, "flag": 0, "report_label": 0}
            lines.append(json.dumps(good | change))
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n\n")
        return path

    return write


@pytest.fixture
def load(write, tmp_path):
    def load(*changes):
        return load_cohort("enecg", write(*changes), records=tmp_path / "mimic")

    return load


def test_the_authors_keys_become_the_five_tasks(load):
    cohort = load({}, {"rr_interval": 29999.0, "age": 91, "gender": 0, "flag": 1, "report_label": 6}, {"flag": None})
    rows = [
        (row["id"], row["subject"], row["rr_interval"], row["age"], row["sex"], row["potassium"], row["rhythm"])
        for row in cohort.targets.iter_rows(named=True)
    ]
    assert rows == [
        ("mimic_40689238", "mimic-iv-ecg:10000032", 659, 52, "female", "normal", "sinus rhythm"),
        ("mimic_44458630", "mimic-iv-ecg:10000117", None, 90, "male", "abnormal", "atrial fibrillation"),
        ("mimic_49036311", "mimic-iv-ecg:10000032", 659, 52, "female", None, "sinus rhythm"),
    ]
    for name in FIVE_TASKS:
        encoded = TASKS[name].encode(cohort.targets[name])
        assert np.array_equal(np.isnan(encoded).all(axis=1), cohort.targets[name].is_null().to_numpy())
    assert TASKS["potassium"].encode(cohort.targets["potassium"])[1].tolist() == [1, 0, 1]  # low or high


def test_its_people_are_those_of_mimic_iv_ecg(load):
    cohort = load({}, {}, {})
    assert cohort.origins == {"enecg", "mimic-iv-ecg"}
    assert cohort.notes == ["3 recordings and 2 patients"]


@pytest.mark.parametrize(
    ("label", "rhythm"),
    [
        (0, "sinus rhythm"),
        (1.0, "sinus bradycardia"),
        ("2", "sinus tachycardia"),
        (3, "atrial fibrillation"),
        (4, None),  # borderline
        (5, "1st degree AV block"),
        (6, "atrial fibrillation"),
        (7, "sinus arrhythmia"),
        (8, "sinus with atrial premature beats"),
        (9, "paced rhythm"),
        (10, None),  # infarction is no rhythm
        (11, None),  # poor data
        (12, "sinus with ventricular premature beats"),
        (13, None),  # possible
        (14, None),  # other
    ],
)
def test_each_of_the_authors_classes_is_a_rhythm_or_none(load, label, rhythm):
    row = load({"report_label": label}).targets.row(0, named=True)
    assert row["report_label"] == REPORT_LABELS[int(label)]
    assert row["rhythm"] == rhythm


@pytest.mark.parametrize(
    ("change", "column", "told"),
    [
        ({"age": 300}, "age", "1 x age 300, which is none; left missing (first: line 1)"),
        ({"gender": 2}, "sex", "1 x sex '2', expected 0 or 1 or M or F; left missing (first: line 1)"),
        ({"flag": "high"}, "potassium", "1 x flag 'high', expected 0 or 1; left missing (first: line 1)"),
        ({"report_label": 15}, "report_label", "1 x report_label '15', expected 0 to 14; left missing (first: line 1)"),
        (
            {"rr_interval": -5},
            "rr_interval",
            "1 x rr_interval -5, which 10 s cannot have",
        ),
        (
            {"rr_interval": "x"},
            "rr_interval",
            "1 x rr_interval x, which 10 s cannot have",
        ),
        ({"rr_interval": float("nan")}, "rr_interval", None),
        ({"subject_id": None}, "subject", "1 x no subject_id; counted as a person of its own (first: line 1)"),
    ],
)
def test_what_a_line_cannot_mean_is_missing_and_told(load, change, column, told):
    cohort = load(change, {})
    assert cohort.targets[column].is_null().to_list() == [True, False]
    assert [note.startswith(told or "nothing") for note in cohort.notes[1:]] == ([True] if told else [])


def test_paths_count_from_files_on_where_the_records_are_elsewhere(write, tmp_path, records):
    for before in (THEIRS, "", "D/files/files/"):
        assert len(load_cohort("enecg", write({}, {}, before=before), records=tmp_path / "mimic")) == 2
    written = records[0].removeprefix("files/")  # as some keep them: pNNNN/pNNNNNNNN/...
    path = write({"ecg_path": f"/data/ecg/{written}.hea"})
    assert len(load_cohort("enecg", path, records=tmp_path / "mimic")) == 1


def test_paths_are_taken_as_they_stand_without_records(write, tmp_path):
    assert len(load_cohort("enecg", write({}, {}, before=f"{tmp_path}/mimic/"))) == 2
    assert len(load_cohort("enecg", write({}, {}, before="mimic/"))) == 2
    with pytest.raises(CohortError, match="none of its 2 ECGs is there; pass records=, the folder of MIMIC-IV-ECG"):
        load_cohort("enecg", write({}, {}))


def test_a_folder_with_one_manifest_is_taken_for_it(write, tmp_path):
    write({}, before="mimic/")
    assert len(load_cohort("enecg", tmp_path)) == 1
    write({}, before="mimic/", name="other.jsonl")
    with pytest.raises(CohortError, match=r"2 files end in \.jsonl; expected one, or give its own path"):
        load_cohort("enecg", tmp_path)


def test_lines_without_a_file_and_lines_of_the_same_ecg_are_told(load, records):
    cohort = load({}, {"ecg_path": THEIRS + records[0], "age": 70}, {"ecg_path": "/nowhere/1"})
    assert cohort.targets["age"].to_list() == [52]
    assert cohort.notes[1:] == [
        "1 lines have no file and were left out",
        "1 lines are of an ECG that an earlier line is of; the first counts",
    ]


def test_recordings_bring_the_manifest_s_facts(load):
    found = load({}, {})[0].read()
    assert (found.id, found.subject, found.age, found.sex) == ("mimic_40689238", "mimic-iv-ecg:10000032", 52, "female")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}\n", "line 1: no subject_id and ecg_path; expected EnECG's manifest"),
        ("[1]\n", "line 1: no subject_id and ecg_path"),
        ('{"subject_id": 1, "ecg_path": "x"}\nnonsense\n', "line 2: no JSON"),
        ("[" * 100_000, "line 1: no JSON"),
        (b"\xff\xfe\x00", "line 1: no JSON"),
    ],
)
def test_a_file_that_is_no_manifest_is_an_error_that_names_the_line(tmp_path, text, told):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CohortError, match=rf"manifest\.jsonl, {told}"):
        load_cohort("enecg", path)


def test_a_folder_of_records_that_is_not_there_is_an_error(write, tmp_path):
    with pytest.raises(CohortError, match="no such folder; expected that of MIMIC-IV-ECG"):
        load_cohort("enecg", write({}), records=tmp_path / "nothing")
