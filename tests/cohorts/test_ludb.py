import csv
import shutil
from collections import Counter

import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.errors import CohortError
from enecg.tasks import get_task


@pytest.fixture
def whole(ludb):
    """All 200 rows with a record each: that of record 1."""
    with (ludb / "ludb.csv").open(newline="") as file:
        numbers = [line["ID"].strip() for line in csv.DictReader(file)]
    for number in numbers:
        for ending in ("hea", "ii"):
            target = ludb / f"data/{number}.{ending}"
            if not target.exists():
                shutil.copy(ludb / f"data/1.{ending}", target)
    return ludb


def test_rr_intervals_are_those_of_another_program(data):
    with (data / "ludb/rr_intervals.csv").open(newline="") as file:
        golden = {f"ludb_{int(line['record']):03d}": line for line in csv.DictReader(file)}
    rows = load_cohort("ludb", data / "ludb").targets.rows(named=True)
    assert {row["id"] for row in rows} == set(golden)
    for row in rows:
        assert row["rr_interval"] == pytest.approx(float(golden[row["id"]]["rr_mean_ms"]), abs=0.051)
        assert row["rr_sd"] == pytest.approx(float(golden[row["id"]]["rr_sd_ms"]), abs=0.051)


def test_published_labels_become_targets(data):
    cohort = load_cohort("ludb", data / "ludb")
    rows = {row["subject"]: (row["age"], row["sex"], row["rhythm"]) for row in cohort.targets.iter_rows(named=True)}
    assert rows["ludb:1"] == (51, "female", "sinus bradycardia")
    assert rows["ludb:8"][2] == "paced rhythm"  # with atrial fibrillation below
    assert rows["ludb:34"][0] == 90  # ">89" in the table
    assert cohort.notes == [
        "3 of 200 recordings and 3 of 200 patients published",
        "197 rows of the table have no file and were left out",
    ]


def test_all_200_rows_have_the_published_counts(whole):
    # 115 men and 85 women, age 11-88 and one ">89", median 56; ten are paced; five have a block of 3rd degree, all of
    # them paced; wandering pacemakers stand before the sinus rhythms that they are beside.
    cohort = load_cohort("ludb", whole)
    targets = cohort.targets
    assert cohort.notes == ["200 of 200 recordings and 200 of 200 patients published"]
    assert Counter(targets["sex"]) == {"male": 115, "female": 85}
    assert (targets["age"].min(), targets["age"].max(), targets["age"].median()) == (11, 90, 56)
    assert targets["subject"].n_unique() == 200
    assert Counter(targets["rhythm"]) == {
        "sinus rhythm": 121,
        "sinus bradycardia": 22,
        "atrial fibrillation": 12,
        "paced rhythm": 10,
        "1st degree AV block": 9,
        "sinus with atrial premature beats": 7,
        "sinus arrhythmia": 6,
        "sinus tachycardia": 4,
        "atrial flutter": 3,
        "ectopic atrial rhythm": 3,
        "sinus with ventricular premature beats": 3,
    }
    assert np.isfinite(get_task("rhythm").encode(targets["rhythm"])).all()


def test_recordings_bring_the_table_s_facts(data):
    found = load_cohort("ludb", data / "ludb")[0].read()
    assert (found.id, found.subject, found.age, found.sex) == ("ludb_001", "ludb:1", 51, "female")
    assert found.seconds == 10


def test_the_annotated_window_holds_the_annotated_beats_and_a_little_more(data):
    whole = load_cohort("ludb", data / "ludb")
    window = load_cohort("ludb", data / "ludb", window="annotated")
    for long, short in zip(whole, window, strict=True):
        assert long.key != short.key
    # Record 1: six beats from 1.324 s to 7.938 s.
    signal, cut = whole[0].read().signal, window[0].read()
    np.testing.assert_array_equal(cut.signal, signal[:, 662 - 150 : 3969 + 150])
    assert cut.notes[-1] == "cropped to its annotated beats, samples 512 to 4119"
    assert whole.targets.equals(window.targets)


def test_a_window_that_is_none_is_refused(data):
    with pytest.raises(CohortError, match="window 'half'; expected 'whole' or 'annotated'"):
        load_cohort("ludb", data / "ludb", window="half")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no annotation of lead II"),
        (b"", "annotation of lead II that is cut short"),
        (31, "annotation of lead II that is cut short"),
        (bytes(2), "fewer than two annotated QRS complexes in lead II"),
        (b"\xff" * 40 + bytes(2), "lead II"),
    ],
)
def test_a_record_without_readable_annotations_has_no_rr_interval(ludb, content, told):
    file = ludb / "data/8.ii"
    before = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(before[:content] if isinstance(content, int) else content)
    cohort = load_cohort("ludb", ludb)
    row = cohort.targets.row(1, named=True)
    assert (row["subject"], row["rhythm"], row["rr_interval"], row["rr_sd"]) == ("ludb:8", "paced rhythm", None, None)
    assert len(cohort) == 3
    assert any(told in note and "RR interval left missing (first: 8.ii)" in note for note in cohort.notes)


def test_without_beats_there_is_no_annotated_window(ludb):
    (ludb / "data/8.ii").unlink()
    cohort = load_cohort("ludb", ludb, window="annotated")
    assert [lazy.id for lazy in cohort] == ["ludb_001", "ludb_034"]
    assert any(
        "no annotated window, as there are not two beats; left out (first: record 8)" in note for note in cohort.notes
    )


def rewrite(root, number, **cells):
    path = root / "ludb.csv"
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if line["ID"].strip() == number:
            line.update(cells)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


NO_CLASS = "1 x rhythm 'Torsade', which has no class; label left missing (first: record 8)"


@pytest.mark.parametrize(
    ("cells", "column", "note"),
    [
        ({"Sex": "X\n"}, "sex", "1 x sex 'X', expected M or F; left missing (first: record 8)"),
        ({"Age": "old"}, "age", "1 x age old, which is none; left missing (first: record 8)"),
        ({"Age": "-1"}, "age", "1 x age -1, which is none; left missing (first: record 8)"),
        ({"Age": ""}, "age", None),
        ({"Rhythms": "Torsade"}, "rhythm", NO_CLASS),
        ({"Rhythms": "Sinus rhythm\nTorsade"}, "rhythm", NO_CLASS),
        ({"Rhythms": ""}, "rhythm", None),
    ],
)
def test_what_a_row_cannot_mean_is_missing_and_told(ludb, cells, column, note):
    rewrite(ludb, "8", **cells)
    cohort = load_cohort("ludb", ludb)
    assert cohort.targets[column].is_null().to_list() == [False, True, False]
    assert [text.startswith(note or "nothing") for text in cohort.notes[2:]] == ([True] if note else [])


@pytest.mark.parametrize(
    ("rhythms", "conduction", "beats", "expected"),
    [
        ("Sinus rhythm", "I degree av block", "", "1st degree AV block"),
        ("Sinus rhythm", "Ii degree av block", "", "AV block of 2nd or 3rd degree"),
        ("Sinus rhythm", "Iii degree av-block", "", "AV block of 2nd or 3rd degree"),
        ("Sinus rhythm", "", "Atrial extrasystole: undefined", "sinus with atrial premature beats"),
        ("Sinus rhythm", "", "Ventricular extrasystole, type: couplet", "sinus with ventricular premature beats"),
        ("Sinus rhythm", "", "Supraventricular extrasystole", "sinus rhythm"),
        ("Atrial fibrillation", "", "Ventricular extrasystole, type: couplet", "atrial fibrillation"),
        ("Atrial fibrillation\nAberrant conduction\n", "", "", "atrial fibrillation"),
        ("Aberrant conduction", "", "", None),
        ("Irregular sinus rhythm", "", "", "sinus arrhythmia"),
        ("Sinus rhythm\nWandering atrial pacemaker", "", "", "ectopic atrial rhythm"),
    ],
)
def test_the_columns_of_the_table_together_make_the_rhythm(ludb, rhythms, conduction, beats, expected):
    cells = {"Rhythms": rhythms, "Conduction abnormalities": conduction, "Extrasystolies": beats, "Cardiac pacing": ""}
    rewrite(ludb, "8", **cells)
    assert load_cohort("ludb", ludb).targets["rhythm"][1] == expected


def test_a_table_that_is_not_the_publisher_s_is_an_error(ludb):
    path = ludb / "ludb.csv"
    text = path.read_text()
    for content, told in (
        (text.replace("Rhythms", "Rhythm", 1), "no column Rhythms; expected the publisher's table"),
        ("", "no column ID"),
        (
            text + "1" + text[text.index("\n") :].partition("\n1,")[2].partition("\n2,")[0].join((",", "\n")),
            "ID 1 is there more",
        ),
        (text.replace("\n8,", "\neight,"), "ID 'eight'; expected a number"),
    ):
        path.write_text(content)
        with pytest.raises(CohortError, match=told):
            load_cohort("ludb", ludb)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CohortError, match="cannot be read"):
        load_cohort("ludb", ludb)


def test_a_byte_order_mark_is_no_part_of_a_column_s_name(ludb):
    path = ludb / "ludb.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(load_cohort("ludb", ludb)) == 3


def test_a_folder_without_any_record_is_an_error(ludb):
    shutil.rmtree(ludb / "data")
    (ludb / "data").mkdir()
    with pytest.raises(CohortError, match=r"none of the 200 records of ludb\.csv can be used; copy data/"):
        load_cohort("ludb", ludb)
