"""A small tree of MIMIC-IV-ECG's exact shape, from the simulator; nothing of MIMIC is in it."""

import csv
import gzip
import io
import random
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars
import pytest

from enecg.cohorts import _pieces, join_cohorts, load_cohort
from enecg.errors import CohortError
from enecg.evaluation import cross_validation
from enecg.experts import get_expert
from enecg.signal.leads import einthoven_residual
from enecg.simulation import simulate_one
from enecg.tasks import FIVE_TASKS, TASKS

STORED = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order of MIMIC-IV-ECG, in which aVF and aVL stand the other way round."""

RECORDS = ("subject_id", "study_id", "file_name", "ecg_time", "path")
MEASURED = (
    *("subject_id", "study_id", "cart_id", "ecg_time", *(f"report_{n}" for n in range(18)), "bandwidth", "filtering"),
    *("rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis", "t_axis"),
)
PATIENTS = ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod")
LABS = (
    *("labevent_id", "subject_id", "hadm_id", "specimen_id", "itemid", "order_provider_id", "charttime", "storetime"),
    *("value", "valuenum", "valueuom", "ref_range_lower", "ref_range_upper", "flag", "priority", "comments"),
)
NORMAL = {"rr_interval": 812, "p_onset": 40, "p_end": 128, "qrs_onset": 170, "qrs_end": 258, "t_end": 518}
NORMAL |= {"p_axis": 81, "qrs_axis": 77, "t_axis": 79, "bandwidth": "0.005-150 Hz", "filtering": "60 Hz notch"}


def write_table(path: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@lru_cache
def heart(index: int) -> np.ndarray:
    """A simulated heart in MIMIC's order, 200 units to the millivolt, as it stores them."""
    made = simulate_one(index, 8, rate=100.0, seconds=4.0, noise=0.2, patient={"rhythm": "sinus rhythm"})
    return np.round(made.recording.select(STORED).signal * 200).astype("<i2")


def write_record(header: Path, index: int) -> np.ndarray:
    """A record in the format of MIMIC-IV-ECG; its millivolts."""
    steps = heart(index)
    header.parent.mkdir(parents=True, exist_ok=True)
    header.with_suffix(".dat").write_bytes(steps.T.tobytes())
    name = header.stem
    lines = [f"{name} 12 100 {steps.shape[1]} 08:44:00 23/07/2180"]
    lines += [
        f"{name}.dat 16 200.0(0)/mV 16 0 {row[0]} {int(row.sum()) % 65536} 0 {lead}"
        for row, lead in zip(steps.astype(np.int64), STORED, strict=True)
    ]
    header.write_text("\n".join(lines) + "\n")
    return steps / 200


class Tree:
    """Studies, patients and draws, to be written as the publisher does."""

    def __init__(self, root: Path) -> None:
        self.ecg, self.clinical = root / "mimic-iv-ecg", root / "mimiciv"
        self.records: list[dict[str, object]] = []
        self.measured: list[dict[str, object]] = []
        self.patients: list[dict[str, object]] = []
        self.labs: list[dict[str, object]] = []

    def study(self, subject: int, study: int, time: str, report: list[str], **measured: object) -> None:
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        self.records.append(
            {"subject_id": subject, "study_id": study, "file_name": study, "ecg_time": time, "path": path}
        )
        said = {f"report_{n}": sentence for n, sentence in enumerate(report)}
        row = {"subject_id": subject, "study_id": study, "cart_id": 6848296, "ecg_time": time}
        self.measured.append(row | NORMAL | said | measured)

    def patient(self, subject: int, gender: str, age: int, year: int) -> None:
        row = {"subject_id": subject, "gender": gender, "anchor_age": age, "anchor_year": year}
        self.patients.append(row | {"anchor_year_group": "2014 - 2016"})

    def draw(self, subject: int, time: str, value: object, item: int = 50971, **cells: object) -> None:
        row = {"labevent_id": len(self.labs) + 1, "subject_id": subject, "specimen_id": 7, "itemid": item}
        row |= {"charttime": time, "storetime": time, "value": value, "valuenum": value, "valueuom": "mEq/L"}
        self.labs.append(row | {"ref_range_lower": 3.3, "ref_range_upper": 5.1, "priority": "ROUTINE"} | cells)

    def write(self, *, files: bool = True) -> None:
        write_table(self.ecg / "record_list.csv", RECORDS, self.records)
        # Not in the same order: rows belong together by study_id.
        write_table(self.ecg / "machine_measurements.csv", MEASURED, self.measured[::-1])
        write_table(self.clinical / "hosp/patients.csv.gz", PATIENTS, self.patients)
        write_table(self.clinical / "hosp/labevents.csv.gz", LABS, self.labs)
        if files:
            for index, row in enumerate(self.records):
                write_record(self.ecg / f"{row['path']}.hea", index)

    def touch(self, row: dict[str, object]) -> None:
        """A file that is there, for tests that read none."""
        header = self.ecg / f"{row['path']}.hea"
        header.parent.mkdir(parents=True)
        header.write_text("")

    def load(self, **options: object):
        return load_cohort("mimic-iv-ecg", self.ecg, mimic_iv=self.clinical, **options)

    def rows(self, **options: object) -> dict[int, dict[str, object]]:
        """By study."""
        found = self.load(**options).targets.rows(named=True)
        return {int(row["id"].removeprefix("mimic_")): row for row in found}


@pytest.fixture
def tree(tmp_path) -> Tree:
    """Three people with five ECGs."""
    made = Tree(tmp_path)
    made.patient(10000032, "F", 52, 2180)
    made.patient(10000117, "M", 91, 2175)
    made.patient(10000248, "M", 34, 2190)
    made.study(10000032, 40689238, "2180-07-23 08:44:00", ["Sinus rhythm", "", "Borderline ECG"], rr_interval=659)
    made.study(10000117, 44458630, "2181-03-04 17:14:00", ["Atrial fibrillation", "Abnormal ECG"], p_onset=29999)
    made.study(10000032, 49036311, "2187-01-02 23:55:00", ["Sinus tachycardia with PVC(s)"], rr_interval=29999)
    made.study(10000117, 45090959, "2174-03-19 00:10:00", ["Possible ectopic atrial rhythm"], p_axis=32767)
    made.study(10000248, 42745010, "2190-05-05 05:05:05", [], rr_interval=65535, t_end=29999)
    made.draw(10000032, "2180-07-23 10:00:00", 5.9, flag="abnormal")
    made.draw(10000032, "2180-07-23 05:00:00", 4.4)
    made.draw(10000032, "2187-01-03 00:30:00", 3.1, flag="abnormal")
    made.draw(10000117, "2181-03-04 22:00:00", 4.0)  # 4 h 46 min later
    made.draw(10000248, "2190-05-05 05:00:00", "", comments='HEMOLYZED, "GROSS"\nREPEAT')
    made.draw(10000248, "2190-05-05 07:00:00", 6.6, item=50822)
    made.draw(10000248, "2190-05-05 05:05:05", 140, item=50983)  # sodium
    made.write()
    return made


def test_the_tables_are_joined_by_study_and_by_patient(tree):
    rows = tree.rows()
    told = {
        study: (row["subject"], row["rr_interval"], row["age"], row["sex"], row["potassium"], row["rhythm"])
        for study, row in rows.items()
    }
    assert told == {
        40689238: ("mimic-iv-ecg:10000032", 659, 52, "female", 5.9, "sinus rhythm"),
        49036311: ("mimic-iv-ecg:10000032", None, 59, "female", 3.1, "sinus with ventricular premature beats"),
        44458630: ("mimic-iv-ecg:10000117", 812, 90, "male", None, "atrial fibrillation"),
        45090959: ("mimic-iv-ecg:10000117", 812, None, "male", None, None),
        42745010: ("mimic-iv-ecg:10000248", None, 34, "male", None, None),
    }
    # By patient and time, whatever the order of the tables.
    assert list(rows) == [40689238, 49036311, 45090959, 44458630, 42745010]


def test_all_five_tasks_understand_their_columns(tree):
    targets = tree.load().targets
    for name in FIVE_TASKS:
        encoded = TASKS[name].encode(targets[name])
        assert np.array_equal(np.isnan(encoded).all(axis=1), targets[name].is_null().to_numpy()), name
    potassium = TASKS["potassium"].encode(targets["potassium"])
    assert potassium[0].tolist() == [0, 0, 1]  # high
    assert potassium[1].tolist() == [1, 0, 0]  # low


def test_the_laboratory_s_flag_item_and_time_stand_beside_the_value(tree):
    row = tree.rows()[40689238]
    assert (row["potassium_flag"], row["potassium_item"]) == ("abnormal", 50971)
    assert row["potassium_after_hours"] == pytest.approx(76 / 60)
    earlier = tree.rows(potassium_hours=1.0)[49036311]
    assert (earlier["potassium"], earlier["potassium_after_hours"]) == (3.1, pytest.approx(35 / 60))


def test_a_wider_window_reaches_further_draws(tree):
    assert tree.rows(potassium_hours=4.7)[44458630]["potassium"] is None
    assert tree.rows(potassium_hours=4.8)[44458630]["potassium"] == 4.0
    assert tree.rows(potassium_hours=1.0)[40689238]["potassium"] is None


def test_blood_gases_count_only_where_asked(tree):
    assert tree.rows()[42745010]["potassium"] is None
    row = tree.rows(blood_gas=True)[42745010]
    assert (row["potassium"], row["potassium_item"], row["potassium_flag"]) == (6.6, 50822, "normal")


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_draw_is_that_of_a_plain_loop(tmp_path, monkeypatch, seed):
    chance, tree = random.Random(seed), Tree(tmp_path)
    start = datetime(2180, 1, 1)

    def moment() -> str:
        return str(start + timedelta(minutes=chance.randrange(0, 3000, 5)))

    for subject in range(20000001, 20000007):
        tree.patient(subject, "M", 50, 2180)
        for _ in range(chance.randint(1, 3)):
            tree.study(subject, 30000000 + len(tree.records), moment(), ["Sinus rhythm"])
    for _ in range(400):
        item = chance.choice([50971, 50971, 50822, 50983])
        value = chance.choice(["", round(chance.uniform(2, 8), 1)])
        tree.draw(chance.randrange(20000001, 20000012), moment(), value, item, comments='a "quoted"\nremark, or two')
    tree.write(files=False)
    for row in tree.records:
        tree.touch(row)
    monkeypatch.setattr(_pieces, "BLOCK", 700)
    hours = chance.choice([2.0, 10.0, 40.0])
    found = tree.rows(potassium_hours=hours, blood_gas=True)
    for row in tree.records:
        time = datetime.fromisoformat(str(row["ecg_time"]))
        draws = []
        for lab in tree.labs:
            apart = (datetime.fromisoformat(str(lab["charttime"])) - time).total_seconds()
            fits = lab["itemid"] in (50971, 50822) and lab["valuenum"] != "" and abs(apart) <= hours * 3600
            if lab["subject_id"] == row["subject_id"] and fits:
                draws.append((abs(apart), apart, lab["itemid"] != 50971, lab["labevent_id"], lab["valuenum"]))
        expected = min(draws)[-1] if draws else None
        assert found[row["study_id"]]["potassium"] == expected


def test_of_two_draws_as_near_the_earlier_counts(tree):
    tree.draw(10000117, "2181-03-04 18:14:00", 7.0)
    tree.draw(10000117, "2181-03-04 16:14:00", 2.5, item=50822)
    tree.write()
    assert tree.rows(blood_gas=True)[44458630]["potassium"] == 2.5
    assert tree.rows()[44458630]["potassium"] == 7.0


@pytest.mark.parametrize("cells", [{"valueuom": "mg/dL"}, {"valueuom": ""}, {"valuenum": -1}, {"valuenum": 999}])
def test_a_draw_that_is_no_potassium_in_known_units_is_passed_over_and_told(tree, cells):
    tree.draw(10000032, "2180-07-23 08:44:00", 4.9, **cells)
    tree.write()
    cohort = tree.load()
    assert cohort.targets["potassium"][0] == 5.9
    assert any("were passed over" in note for note in cohort.notes)


@pytest.mark.parametrize(
    ("column", "missing"), [("rr_interval", 29999), ("rr_interval", 65535), ("rr_interval", 0), ("rr_interval", "")]
)
def test_what_the_machine_could_not_measure_is_missing(tree, column, missing):
    tree.measured[0][column] = missing
    tree.write()
    assert tree.rows()[40689238][column] is None


def test_intervals_are_known_where_both_ends_are(tree):
    rows = tree.rows()
    first = rows[40689238]
    assert (first["pr_ms"], first["qrs_ms"], first["qt_ms"]) == (130, 88, 348)
    assert (first["p_axis_deg"], first["qrs_axis_deg"], first["t_axis_deg"]) == (81, 77, 79)
    assert (rows[44458630]["pr_ms"], rows[44458630]["qrs_ms"]) == (None, 88)  # no P wave in fibrillation
    assert rows[42745010]["qt_ms"] is None
    assert rows[45090959]["p_axis_deg"] is None


def test_the_report_keeps_its_sentences_without_the_gaps(tree):
    rows = tree.rows()
    assert rows[40689238]["report"] == ["Sinus rhythm", "Borderline ECG"]
    assert rows[42745010]["report"] == []


def test_hedged_rhythms_count_only_where_asked(tree):
    assert tree.rows(hedged=True)[45090959]["rhythm"] == "ectopic atrial rhythm"


@pytest.mark.parametrize(
    ("anchor", "year", "age"),
    [
        ((52, 2180), 2180, 52),
        ((52, 2180), 2185, 57),
        ((52, 2180), 2170, 42),
        ((85, 2180), 2190, 90),  # 95
        ((91, 2180), 2180, 90),  # over 89, by whatever
        ((91, 2180), 2184, 90),
        ((91, 2180), 2178, None),  # 87 or more
        ((3, 2180), 2175, None),
    ],
)
def test_the_age_is_that_in_the_year_of_the_ecg(tmp_path, anchor, year, age):
    tree = Tree(tmp_path)
    tree.patient(10000032, "F", *anchor)
    tree.study(10000032, 40689238, f"{year}-07-23 08:44:00", ["Sinus rhythm"])
    tree.draw(10000032, "2100-01-01 00:00:00", 4.0)
    tree.write()
    cohort = tree.load()
    assert cohort.targets["age"].to_list() == [age]
    assert (len(cohort.notes) == 3) == (age is None)


def test_leads_are_known_by_name_in_whatever_order_they_are_stored(tree):
    cohort = tree.load()
    for lazy in cohort:
        row = next(row for row in tree.records if lazy.id == f"mimic_{row['study_id']}")
        written = write_record(tree.ecg / f"{row['path']}.hea", tree.records.index(row))
        recording = lazy.read()
        assert recording.leads == STORED
        assert np.abs(recording.signal - written).max() < 1e-6
        # Goldberger: aVL = I - II/2 and aVF = II - I/2, each under its own name, and not under the other's.
        one, two = recording.lead("I"), recording.lead("II")
        assert np.abs(recording.lead("aVL") - (one - two / 2)).max() < 0.01
        assert np.abs(recording.lead("aVF") - (two - one / 2)).max() < 0.01
        assert np.abs(recording.lead("aVF") - (one - two / 2)).max() > 0.05
        assert einthoven_residual(recording.signal, recording.leads) < 0.1
        standard = [*STORED[:4], "aVL", "aVF", *STORED[6:]]
        assert einthoven_residual(recording.signal, standard) > 0.4


def test_recordings_bring_the_patient_s_facts(tree):
    found = tree.load()[0].read()
    assert (found.id, found.subject, found.age, found.sex) == ("mimic_40689238", "mimic-iv-ecg:10000032", 52, "female")
    assert found.acquired == datetime(2180, 7, 23, 8, 44)


def test_no_patient_stands_on_both_sides_of_a_split(tmp_path):
    chance, tree = random.Random(3), Tree(tmp_path)
    for subject in range(20000000, 20000040):
        tree.patient(subject, chance.choice("MF"), 40, 2180)
        for _ in range(chance.randint(1, 4)):
            tree.study(subject, 30000000 + len(tree.records), "2180-01-01 00:00:00", ["Sinus rhythm"])
    tree.write(files=False)
    for row in tree.records:
        tree.touch(row)
    cohort = tree.load()
    subjects = np.array(cohort.subjects)
    assert len(set(subjects)) == 40 < len(cohort)
    for fold in cross_validation(cohort, ("rr_interval",), 5):
        tested = set(subjects[fold.test])
        assert tested
        assert not tested & set(subjects[fold.learned])


def test_experts_that_were_trained_on_it_are_known_to_have_seen_it(tree):
    for name in ("melp", "merl-resnet18", "ecg-fm"):
        assert tree.load().origins & set(type(get_expert(name)).card.seen), name


def test_without_mimic_iv_rr_interval_and_rhythm_are_there_all_the_same(tree):
    cohort = load_cohort("mimic_iv_ecg", tree.ecg)
    assert cohort.targets["rr_interval"].null_count() == 2
    for name in ("age", "sex", "potassium", "potassium_flag"):
        assert cohort.targets[name].null_count() == len(cohort)
    assert cohort.targets.schema == tree.load().targets.schema
    assert any("pass mimic_iv=" in note for note in cohort.notes)


def test_the_folder_hosp_itself_and_unpacked_tables_are_taken_too(tree):
    for name in ("patients", "labevents"):
        packed = tree.clinical / f"hosp/{name}.csv.gz"
        (tree.clinical / f"hosp/{name}.csv").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    found = load_cohort("mimic-iv-ecg", tree.ecg, mimic_iv=tree.clinical / "hosp")
    assert found.targets["potassium"].to_list() == [5.9, 3.1, None, None, None]


def test_records_without_a_file_are_left_out_and_counted(tree):
    (tree.ecg / f"{tree.records[0]['path']}.hea").unlink()
    cohort = tree.load()
    assert len(cohort) == 4
    assert cohort.notes[0] == "4 of 800,035 recordings and 3 of 161,352 patients published"
    assert "1 records of record_list.csv have no file and were left out" in cohort.notes


def test_a_record_that_the_machine_s_table_lacks_stays_without_labels(tree):
    del tree.measured[0]
    tree.write()
    cohort = tree.load()
    assert cohort.targets["rr_interval"][0] is None
    assert cohort.targets["potassium"][0] == 5.9
    assert any(note.startswith("1 records have no row in machine_measurements.csv") for note in cohort.notes)


def test_a_patient_that_mimic_iv_lacks_stays_without_age_and_sex(tree):
    del tree.patients[0]
    tree.write()
    cohort = tree.load()
    assert cohort.targets["age"][0] is None
    assert any(note.startswith("2 records whose patient patients.csv.gz does not have") for note in cohort.notes)


def test_a_damaged_record_costs_the_others_nothing(tree):
    (tree.ecg / f"{tree.records[0]['path']}.dat").write_bytes(b"short")
    cohort = tree.load()
    assert len(cohort) == 5
    with pytest.raises(ValueError, match=r"40689238"):
        cohort[0].read()
    cohort[1].read()


@pytest.mark.parametrize(
    ("table", "column", "value", "told"),
    [
        ("records", "study_id", "s1", r"record_list\.csv: study_id 's1'; expected a whole number"),
        ("records", "path", "../../etc/passwd", r"record_list\.csv: path '\.\./\.\./etc/passwd'; expected one below"),
        ("records", "path", "/etc/passwd", "expected one below the folder"),
        ("records", "study_id", 44458630, "study_id 44458630 is there more than once"),
        ("measured", "study_id", 44458630, r"machine_measurements\.csv: study_id 44458630 is there more than once"),
        ("patients", "subject_id", 10000117, r"patients\.csv\.gz: subject_id 10000117 is there more than once"),
        ("patients", "anchor_age", "old", r"patients\.csv\.gz: anchor_age 'old'"),
        ("labs", "subject_id", "", r"labevents\.csv\.gz: subject_id None"),
    ],
)
def test_a_table_that_cannot_be_is_an_error_that_names_it(tree, table, column, value, told):
    getattr(tree, table)[0][column] = value
    tree.write(files=False)
    with pytest.raises(CohortError, match=told):
        tree.load()


def test_a_folder_of_something_else_says_what_is_missing(tree, tmp_path):
    with pytest.raises(CohortError, match=r"no record_list\.csv, machine_measurements\.csv; expected"):
        load_cohort("mimic-iv-ecg", tmp_path)
    with pytest.raises(CohortError, match=r"no hosp/patients\.csv\.gz"):
        load_cohort("mimic-iv-ecg", tree.ecg, mimic_iv=tmp_path)
    with pytest.raises(CohortError, match="no such folder; expected that of MIMIC-IV"):
        load_cohort("mimic-iv-ecg", tree.ecg, mimic_iv=tmp_path / "nothing")
    with pytest.raises(CohortError, match="potassium_hours of -1; expected a positive number"):
        tree.load(potassium_hours=-1)


def test_an_ecg_without_a_time_has_neither_age_nor_potassium(tree):
    tree.records[0]["ecg_time"] = "yesterday"
    tree.write()
    cohort = tree.load()
    row = cohort.targets.filter(polars.col("id") == "mimic_40689238").row(0, named=True)
    assert (row["age"], row["potassium"], row["sex"]) == (None, None, "female")
    assert any(note.startswith("1 x ecg_time that is none") for note in cohort.notes)


def test_it_joins_with_simulated_recordings(tree):
    joined = join_cohorts([tree.load(), load_cohort("simulated", n=3)])
    assert joined.targets["potassium"].dtype == polars.Float64
    assert len(joined) == 8


def test_progress_is_shown_only_where_asked(tree, capsys):
    tree.load()
    assert capsys.readouterr().err == ""
    tree.load(progress=True)
    assert "labevents.csv.gz" in capsys.readouterr().err
