"""Records of MIT-BIH's shape with beats and rhythms of our own; nothing of the data set is in them."""

import numpy as np
import pytest
import wfdb

from enecg.cohorts import load_cohort
from enecg.errors import CohortError

RATE, LENGTH = 360, 650_000


@pytest.fixture
def write(tmp_path):
    """A record: beats as (seconds, symbol), rhythms as (seconds, name)."""

    def write(name, beats, rhythms, comment="69 M 1085 1629 x1", annotated=True):
        header = [f"{name} 2 {RATE} {LENGTH}"]
        header += [f"{name}.dat 16 200(0)/mV 11 0 0 0 0 {lead}" for lead in ("MLII", "V1")]
        (tmp_path / f"{name}.hea").write_text("\n".join([*header, f"# {comment}", "# Digoxin"]) + "\n")
        signal = tmp_path / f"{name}.dat"
        if not signal.exists():
            steps = (np.arange(LENGTH) % RATE).astype("<i2")
            np.stack([steps, -steps], axis=1).tofile(signal)
        if annotated:
            marks = sorted(
                [(t, "+", f"({rhythm}\x00") for t, rhythm in rhythms] + [(t, symbol, "") for t, symbol in beats]
            )
            wfdb.wrann(
                name,
                "atr",
                np.array([round(t * RATE) for t, _, _ in marks]),
                [symbol for _, symbol, _ in marks],
                aux_note=[note for _, _, note in marks],
                write_dir=str(tmp_path),
            )
        return tmp_path

    return write


def beats(start, end, rr=0.8, symbol="N"):
    return [(t, symbol) for t in np.arange(start + 0.3, end, rr)]


def test_a_record_is_a_row(write):
    root = write("100", [*beats(0, 900), *beats(900, 1805, symbol="A")], [(0.05, "N")])
    cohort = load_cohort("mitbih", root)
    row = cohort.targets.row(0, named=True)
    assert row == {
        "id": "mitbih_100",
        "subject": "mitbih:tape1085",
        "rr_interval": pytest.approx(800, abs=0.5),
        "age": 69,
        "sex": "male",
        "rhythm": "sinus with atrial premature beats",
        "rhythms": ["N"],
        "record": "100",
    }
    found = cohort[0].read()
    assert (found.leads, found.rate, found.age, found.sex) == (("MLII", "V1"), 360, 69, "male")
    assert found.seconds == pytest.approx(1805.56, abs=0.01)
    assert cohort.notes == ["1 of 48 recordings and 1 of 47 patients published"]


def test_windows_have_the_beats_and_rhythm_of_their_own_time(write):
    root = write(
        "200",
        [*beats(0, 100), (103, "V"), *beats(104, 200), *beats(200, 300, rr=0.5), *beats(300, 1805)],
        [(0.05, "N"), (200, "AFIB"), (295, "N")],
    )
    cohort = load_cohort("mitbih", root, seconds=10)
    rows = cohort.targets.rows(named=True)
    assert len(rows) == 180
    assert (rows[3]["id"], rows[3]["rhythm"]) == ("mitbih_200_0003", "sinus rhythm")
    assert rows[3]["rr_interval"] == pytest.approx(800, abs=2)
    assert rows[10]["rhythm"] == "sinus with ventricular premature beats"
    assert (rows[20]["rhythm"], rows[20]["rhythms"]) == ("atrial fibrillation", ["AFIB"])
    assert rows[25]["rr_interval"] == pytest.approx(500, abs=2)
    assert (rows[29]["rhythm"], rows[29]["rhythms"]) == (None, ["AFIB", "N"])
    assert cohort.notes[1] == "180 windows of 10 s"
    whole = load_cohort("mitbih", root)[0].read()
    part = cohort[20].read()
    np.testing.assert_array_equal(part.signal, whole.signal[:, 72_000:75_600])
    assert part.id == "mitbih_200_0020"
    assert cohort[20].key != cohort[21].key


@pytest.mark.parametrize(
    ("rhythm", "rr", "expected"),
    [
        ("N", 0.8, "sinus rhythm"),
        ("N", 0.5, None),  # the database has no word for a sinus tachycardia
        ("N", 1.3, None),
        ("SBR", 1.3, "sinus bradycardia"),
        ("AFL", 0.5, "atrial flutter"),
        ("P", 0.8, "paced rhythm"),
        ("VT", 0.4, "ventricular tachycardia"),
        ("BII", 1.2, "AV block of 2nd or 3rd degree"),
        ("NOD", 1.2, "junctional rhythm"),
        ("SVTA", 0.4, "supraventricular tachycardia"),
        ("B", 0.8, "sinus with ventricular premature beats"),
        ("AB", 0.8, "sinus with atrial premature beats"),
        ("PREX", 0.8, None),
        ("IVR", 1.2, None),
        ("VFL", 0.3, None),
    ],
)
def test_the_database_s_rhythms_become_classes(write, rhythm, rr, expected):
    root = write("100", beats(0, 20, rr=rr), [(0.05, rhythm)])
    assert load_cohort("mitbih", root, seconds=10).targets["rhythm"][0] == expected


def test_ventricular_flutter_hides_the_beats(write):
    root = write("207", [*beats(0, 30), (12.0, "!"), (12.3, "!")], [(0.05, "N"), (11.9, "VFL")])
    rows = load_cohort("mitbih", root, seconds=10).targets["rr_interval"]
    assert rows[0] == pytest.approx(800, abs=2)
    assert rows[1] is None


def test_records_of_one_tape_are_of_one_person(write):
    for name in ("201", "202"):
        root = write(name, beats(0, 20), [(0.05, "N")], comment="68 M 1960 2851 x1")
    cohort = load_cohort("mitbih", root)
    assert cohort.subjects == ["mitbih:tape1960"] * 2
    assert cohort.notes[0] == "2 of 48 recordings and 1 of 47 patients published"


@pytest.mark.parametrize(
    ("comment", "age", "sex", "told"),
    [
        ("-1 M 742 654 x1", None, "male", None),
        ("51 ? 1129 654 x2", 51, None, "1 x sex '?', expected M or F; left missing (first: 103)"),
        ("nothing", None, None, "1 x no age, sex and tape in the header; counted as a person of its own (first: 103)"),
    ],
)
def test_what_a_header_cannot_mean_is_missing_and_told(write, comment, age, sex, told):
    cohort = load_cohort("mitbih", write("103", beats(0, 20), [(0.05, "N")], comment=comment))
    assert cohort.targets.select("age", "sex").row(0) == (age, sex)
    assert cohort.notes[1:] == ([told] if told else [])


@pytest.mark.parametrize("content", [None, b"", b"\x01\x02\x03", b"\xff" * 41])
def test_a_record_without_readable_annotations_has_no_labels(write, content):
    root = write("100", beats(0, 20), [(0.05, "N")])
    path = root / "100.atr"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    cohort = load_cohort("mitbih", root)
    assert cohort.targets.select("rr_interval", "rhythm", "rhythms").row(0) == (None, None, None)
    assert any("labels left missing (first: 100)" in note for note in cohort.notes)


def test_annotations_that_do_not_belong_together_are_missing_and_told(write, monkeypatch):
    root = write("100", beats(0, 20), [(0.05, "N")])
    whole = wfdb.rdann(str(root / "100"), "atr")
    whole.aux_note = whole.aux_note[:-1]
    monkeypatch.setattr(wfdb, "rdann", lambda *_: whole)
    cohort = load_cohort("mitbih", root)
    assert cohort.targets["rr_interval"].to_list() == [None]
    assert any("annotations that cannot be read" in note for note in cohort.notes)


def test_records_count_the_named_ones_and_extracts_in_folders_do_not(write):
    root = write("100", beats(0, 20), [(0.05, "N")])
    write("101", beats(0, 20), [(0.05, "N")])
    (root / "x_mitdb").mkdir()
    (root / "x_mitdb/x_100.hea").write_text((root / "100.hea").read_text())
    assert len(load_cohort("mitbih", root)) == 2
    (root / "RECORDS").write_text("101\n102\n")
    cohort = load_cohort("mitbih", root)
    assert cohort.targets["record"].to_list() == ["101"]
    assert any("records of RECORDS without a file; left out (first: 102)" in note for note in cohort.notes)
    (root / "RECORDS").write_text("../101\n")
    with pytest.raises(CohortError, match=r"record '\.\./101'; expected a name such as 100"):
        load_cohort("mitbih", root)


def test_a_damaged_record_costs_the_others_nothing(write):
    root = write("100", beats(0, 20), [(0.05, "N")])
    write("101", beats(0, 20), [(0.05, "N")])
    (root / "100.hea").write_bytes(bytes(range(256)))
    cohort = load_cohort("mitbih", root)
    assert cohort.targets["record"].to_list() == ["101"]
    assert any("cannot be read and were left out" in note for note in cohort.notes)


def test_windows_that_are_none_are_refused(write, tmp_path):
    root = write("100", beats(0, 20), [(0.05, "N")])
    for seconds in (0, -10, 5000, float("nan")):
        with pytest.raises(CohortError, match="expected 1 to 1806"):
            load_cohort("mitbih", root, seconds=seconds)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="no record of mitbih"):
        load_cohort("mitbih", tmp_path / "empty")
