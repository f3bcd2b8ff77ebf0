import json
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import RecordingFile, _parquet, find, read
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

ECG = np.round(simulate_one(3, seconds=2).recording.select(STANDARD_LEADS).signal.astype(float), 4)  # [12, 1000]
ALL = {"rate": 500, "unit": "mV"}


def text(samples=ECG, names=STANDARD_LEADS, separator=",", mark=".", before="", first=None):
    """A table of text, a line for each sample; `first` is a column before the others, its name at its beginning."""
    cells = [[f"{value:.4f}".replace(".", mark) for value in row] for row in samples]
    columns = [[name, *row] for name, row in zip(names, cells, strict=True)]
    if first is not None:
        columns.insert(0, [str(cell) for cell in first])
    return before + "\n".join(separator.join(row) for row in zip(*columns, strict=True)) + "\n"


@pytest.fixture
def table(tmp_path):
    def write(content, name="ecg.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def seconds(rate=500, n=ECG.shape[1], digits=6, name="time_s"):
    return [name, *(f"{k / rate:.{digits}f}" for k in range(n))]


# -- the ways a table is written -------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separator_decimal_mark_and_line_ending_are_told_by_the_content(table, separator, mark, ending):
    content = text(
        ECG[:3], ("I", "II", "V1"), separator=f'"{separator}"' if separator == mark else separator, mark=mark
    )
    if separator == mark:  # then numbers are quoted
        content = "\n".join(f'"{line}"' for line in content.splitlines()) + "\n"
    one = read(table(content.replace("\n", ending)), **ALL)
    np.testing.assert_allclose(one.select(("I", "II", "V1")).signal, ECG[[0, 1, 2]], atol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_micro_sign_is_read_in_every_encoding(table, encoding):
    content = text(ECG[:1] * 1000, ("I (µV)",)).encode(encoding)
    np.testing.assert_allclose(read(table(content), rate=500).signal, ECG[:1], atol=1e-6)


def test_a_minus_sign_that_is_no_hyphen_counts(table):
    np.testing.assert_allclose(read(table(text().replace("-", "\u2212")), **ALL).signal, ECG, atol=1e-6)


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "N/A", "null", "None", "-", "?"])
def test_a_missing_sample_is_nan_however_it_is_spelled(table, missing):
    rows = text().split("\n")
    cells = rows[4].split(",")
    rows[4] = ",".join([*cells[:6], missing, *cells[7:]])
    one = read(table("\n".join(rows)), **ALL)
    assert np.argwhere(np.isnan(one.signal)).tolist() == [[6, 3]]


@given(
    st.lists(st.lists(st.floats(-99, 99, width=32), min_size=3, max_size=3), min_size=2, max_size=20),
    st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", ","), ("\t", ".")]),
)
@settings(max_examples=40, deadline=None)
def test_any_numbers_survive_writing_and_reading(tmp_path_factory, rows, marks):
    separator, mark = marks
    path = tmp_path_factory.mktemp("t") / "ecg.csv"
    lines = [separator.join(repr(float(cell)).replace(".", mark) for cell in row) for row in rows]
    path.write_text("\n".join([separator.join(["I", "V1", "V2"]), *lines]))
    np.testing.assert_array_equal(read(path, **ALL).signal, np.array(rows, np.float32).T + 0)


# -- what it says, and what has to be said ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"unit": "mV"}, ReadError, r"does not say its sampling rate; pass rate= \(Hz\); or say it .*`# rate: 500`"),
        ({"rate": 500}, UnitError, r"does not say the unit .* pass unit= .* ecg\.json beside it"),
    ],
)
def test_a_rate_and_a_unit_that_are_said_nowhere_are_asked_for(table, asked, error, told):
    with pytest.raises(error, match=told):
        read(table(text()), **asked)


def test_comments_before_the_header_say_rate_unit_and_more(table):
    before = "# rate: 500 Hz\n#unit = uV\n\n# A comment.\n# age: 63\n# sex: F\n# acquired: 2021-05-06T07:08:09\n"
    one = read(table(text(ECG * 1000, before=before)))
    assert (one.rate, one.age, one.sex, str(one.acquired)) == (500, 63, "female", "2021-05-06 07:08:09")
    np.testing.assert_allclose(one.signal, ECG, atol=1e-6)


def test_a_json_file_beside_the_table_says_it_and_belongs_to_it(table):
    path = table(text(ECG[:2], ("left", "right")))
    path.with_suffix(".json").write_text(
        json.dumps({"fs": 500, "units": "mV", "leads": ["II", "V5"], "subject": "x:1"})
    )
    one = read(path)
    assert (one.leads, one.rate, one.subject) == (("II", "V5"), 500, "x:1")
    key = RecordingFile(path).key
    path.with_suffix(".json").write_text(json.dumps({"fs": 250, "unit": "mV", "leads": ["II", "V5"]}))
    assert RecordingFile(path).key != key
    assert read(path).rate == 250


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"rate": 250}, r"ecg\.csv: the file and its description disagree: rate 500\.0 and 250\.0"),
        ({"unit": "uV"}, "disagree: units"),
        ({"leads": list(STANDARD_LEADS[::-1])}, "disagree: leads"),
        ({"rate": "fast"}, r"ecg\.json: rate 'fast'; expected Hz"),
        ({"leads": 12}, r"ecg\.json: leads 12; expected a text or a list of texts"),
        ("{", r"ecg\.json: no JSON"),
    ],
)
def test_a_description_that_disagrees_or_is_damaged_is_refused(table, said, told):
    path = table(text(before="# rate: 500\n# unit: mV\n"))
    path.with_suffix(".json").write_text(said if isinstance(said, str) else json.dumps(said))
    with pytest.raises(ReadError, match=told):
        read(path)


def test_the_same_said_in_other_words_is_no_disagreement(table):
    path = table(text(before="# rate: 500\n# unit: mV\n"))
    said = {"rate": "500 Hz", "unit": "mv", "leads": [f"Lead {name.lower()}" for name in STANDARD_LEADS]}
    path.with_suffix(".json").write_text(json.dumps(said))
    assert read(path).notes == ()


def test_the_file_counts_and_not_the_caller_with_a_note(table):
    one = read(table(text(before="# rate: 500\n# unit: mV\n")), rate=250, unit="uV", leads=["I"])
    assert one.rate == 500
    assert one.signal.max() == np.float32(ECG.max())
    assert [note.split(" ")[2] for note in one.notes] == ["rate", "unit", "lead"] or len(one.notes) == 3


def test_units_stand_behind_the_leads_names_or_in_a_row_of_their_own(table):
    named = text(ECG[:2] * [[1000], [1]], ("Lead II (uV)", "V1_mV"))
    rows = text(ECG[:2] * [[1000], [1]], ("'II'", "'V1'")).split("\n")
    beneath = "\n".join([rows[0], "'uV','mV'", *rows[1:]])
    for content in (named, beneath):
        one = read(table(content), rate=500)
        assert one.leads == ("II", "V1")
        np.testing.assert_allclose(one.signal, ECG[:2], atol=1e-6)
    with pytest.raises(UnitError, match="column 'V1' has no unit while others have"):
        read(table(text(ECG[:2], ("II_mV", "V1"))), rate=500)


def test_columns_that_are_no_leads_are_left_out_with_a_note_and_counters_without(table):
    rows = text(ECG[:2], ("I", "V1"), first=["index", *range(1000)]).split("\n")
    rows = [f"{row},{'label' if number == 0 else 'N'}" for number, row in enumerate(rows) if row]
    one = read(table("\n".join(rows)), **ALL)
    assert one.leads == ("I", "V1")
    assert one.notes == ("columns that are no leads, left out: label",)


def test_text_beside_the_leads_does_not_tell_the_decimal_mark(table):
    rows = text(ECG[:2], ("I", "V1"), separator=";", mark=",").split("\n")
    rows = [f"{row};{'remark' if number == 0 else 'e.g. one, two'}" for number, row in enumerate(rows) if row]
    np.testing.assert_allclose(read(table("\n".join(rows)), **ALL).signal, ECG[:2], atol=1e-6)


def test_columns_without_leads_names_are_named_by_the_caller(table):
    path = table(text(ECG[:1] * 1000, ("value",), first=["point", *range(1, 1001)]))
    np.testing.assert_allclose(read(path, unit="uV", rate=512, leads=["I"]).signal, ECG[:1], atol=1e-6)
    with pytest.raises(LeadError, match=r"no column is called like a lead \('point', 'value'\); pass leads="):
        read(path, **ALL)
    with pytest.raises(LeadError, match=r"3 lead names for an array of 2 x 1000|3 lead names"):
        read(path, **ALL, leads=["I", "II", "III"])


def test_a_table_without_a_header_is_named_by_the_caller(table):
    path = table(text(ECG).split("\n", 1)[1])
    np.testing.assert_allclose(read(path, **ALL, leads=STANDARD_LEADS).signal, ECG, atol=1e-6)
    with pytest.raises(LeadError, match="12 without a header"):
        read(path, **ALL)


# -- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "digits"), [(500, 3), (512, 3), (512, 6), (360, 4), (1000 / 3, 6), (250, 9)])
def test_the_rate_follows_from_times_however_they_are_rounded(table, rate, digits):
    one = read(table(text(first=seconds(rate, digits=digits))), unit="mV")
    assert one.rate == pytest.approx(rate, rel=1e-6)
    assert one.notes == (f"rate of {one.rate:g} Hz from the column time_s",)


@pytest.mark.parametrize(("name", "scale"), [("t_ms", 1e3), ("Time (s)", 1), ("time [us]", 1e6), ("milliseconds", 1e3)])
def test_the_unit_of_times_is_told_by_their_name(table, name, scale):
    times = [name, *(k / 500 * scale for k in range(1000))]
    assert read(table(text(first=times)), unit="mV").rate == 500


def test_times_without_a_unit_are_not_taken_for_seconds(table):
    path = table(text(first=seconds(name="time")))
    with pytest.raises(
        ReadError, match=r"'time' does not say whether it counts seconds .* time_s or time_ms, or pass rate="
    ):
        read(path, unit="mV")
    assert read(path, unit="mV", rate=250).rate == 250


def test_rows_that_are_missing_by_their_times_are_missing_samples(table):
    rows = text(first=seconds()).split("\n")
    one = read(table("\n".join([*rows[:101], *rows[151:]])), unit="mV")
    expected = ECG.copy()
    expected[:, 100:150] = np.nan
    np.testing.assert_allclose(one.signal, expected, atol=1e-6)
    assert one.notes[-1] == "50 samples are missing by the column time_s"
    part = read(table("\n".join([*rows[:101], *rows[151:]])), unit="mV", start=0.25, seconds=0.1)
    np.testing.assert_array_equal(part.signal, one.signal[:, 125:175])


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([*range(500), *range(500)], "does not go on at row 501"),
        ([*range(999), "nan"], "does not go on at row 1000"),
        ([k**2 for k in range(1000)], "is not evenly spaced"),
        ([*range(999), 10**9], "has gaps of 9"),
    ],
)
def test_times_that_are_not_even_are_refused(table, times, told):
    with pytest.raises(ReadError, match=f"column time_s {told}"):
        read(table(text(first=["time_s", *times])), unit="mV")


def test_times_and_a_rate_that_disagree_are_refused(table):
    with pytest.raises(ReadError, match="250 Hz is said, but column time_s has 500 Hz"):
        read(table(text(first=seconds(), before="# rate: 250\n")), unit="mV")
    assert read(table(text(first=seconds(digits=3), before="# rate: 500.1\n")), unit="mV").rate == 500.1


# -- Parquet ---------------------------------------------------------------------------------------------------------


def test_parquet_is_read_with_its_metadata(tmp_path):
    path = tmp_path / "ecg.parquet"
    said = {
        "rate": "500",
        "unit": "mV",
        "sex": "male",
        "measurements": '{"qt_ms": 380}',
        "statements": '["Sinus rhythm"]',
    }
    pl.DataFrame(ECG.T.astype(np.float32), schema=list(STANDARD_LEADS)).write_parquet(path, metadata=said)
    one = read(path)
    np.testing.assert_array_equal(one.signal, ECG.astype(np.float32))
    assert (one.sex, dict(one.measurements), one.statements) == ("male", {"qt_ms": 380}, ("Sinus rhythm",))
    part = read(path, start=0.5, seconds=0.2)
    np.testing.assert_array_equal(part.signal, one.signal[:, 250:350])
    assert find(tmp_path) == [path]


def test_parquet_with_times_of_a_type_needs_no_unit_in_their_name(tmp_path):
    path = tmp_path / "ecg.parquet"
    frame = pl.DataFrame({"time": [2000 * k for k in range(1000)], "II": np.rint(ECG[1] * 1000).astype(int)})
    frame.with_columns(pl.col("time").cast(pl.Datetime("us"))).write_parquet(path)
    one = read(path, unit="uV")
    assert one.rate == 500
    np.testing.assert_allclose(one.signal, ECG[1:2], atol=6e-4)


def test_parquet_that_holds_no_numbers_or_is_cut_is_refused(tmp_path):
    path = tmp_path / "ecg.parquet"
    pl.DataFrame({"I": ["a", "b"]}).write_parquet(path)
    with pytest.raises(ReadError, match="column 'I' does not hold numbers"):
        read(path, **ALL)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match=r"ecg\.parquet"):
        read(path, **ALL)
    assert find(tmp_path) == []


def test_parquet_is_read_although_the_process_that_reads_it_was_ended(tmp_path):
    path = tmp_path / "ecg.parquet"
    pl.DataFrame(ECG.T, schema=list(STANDARD_LEADS)).write_parquet(path)
    read(path, **ALL)
    _parquet._reader[1].kill()
    _parquet._reader[1].wait()
    assert read(path, **ALL).n_samples == 1000


def test_a_file_that_ends_the_process_that_reads_it_is_refused_and_costs_the_others_nothing(tmp_path, monkeypatch):
    path = tmp_path / "ecg.parquet"
    pl.DataFrame(ECG.T, schema=list(STANDARD_LEADS)).write_parquet(path)
    _parquet._ended()
    with monkeypatch.context() as patch:
        patch.setattr(_parquet, "_PROGRAM", "import os; input(); os.abort()")
        with pytest.raises(ReadError, match=r"ecg\.parquet: damaged Parquet, which cannot be read without harm"):
            read(path, **ALL)
    assert read(path, **ALL).n_samples == 1000


# -- what is no ECG --------------------------------------------------------------------------------------------------

TABLES = {
    "targets.csv": "id,age,sex,potassium\n" + "".join(f"{k},{k + 40},{k % 2},4.{k}\n" for k in range(20)),
    "labels.csv": "id,path,label\n" + "".join(f"a{k},b/{k}.hea,AF\n" for k in range(20)),
    "numbers.txt": "".join(f"{k * 0.8}\n" for k in range(50)),
    "components.csv": "V1,V2,V3\n" + "".join(f"{k},{k},{-k}\n" for k in range(50)),
    "fraud.csv": "Time,V1,V2,V28,Amount,Class\n" + "".join(f"{k},1.5,2,3,{k},0\n" for k in range(50)),
    "acceleration.tsv": "time\tx\ty\tz\n" + "".join(f"{k}\t0.1\t0.2\t9.8\n" for k in range(50)),
    "letter.txt": "Dear reader,\nthis is no table.\n",
    "empty.csv": "",
    "header.csv": "I,II,III\n",
}


def test_tables_of_other_things_are_not_found_among_recordings(table, tmp_path):
    for name, content in TABLES.items():
        table(content, name)
    pl.DataFrame({"id": ["a", "b"], "V1": [1.0, 2.0]}).write_parquet(tmp_path / "answers.parquet")
    ecg = table(text(first=seconds()), "ecg.csv")
    assert find(tmp_path) == [ecg]
    for name in (*TABLES, "answers.parquet"):
        with pytest.raises(EnECGError, match=name):
            read(tmp_path / name)


def test_a_table_of_chest_leads_is_found_if_it_is_described(table, tmp_path):
    path = table(text(ECG[6:9], ("V1", "V2", "V3")))
    assert find(tmp_path) == []
    path.with_suffix(".json").write_text('{"rate": 500, "unit": "mV"}')
    assert find(tmp_path) == [path]


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0.1,0.2", "line 502 has 2 cells; expected 12"),
        (",".join(["0.1"] * 13), "line 502 has 13 cells; expected 12"),
        (",".join(["0.1"] * 11 + ["abc"]), "line 502, column 'V6': 'abc' is no number"),
        (",".join(["0.1"] * 11 + ["inf"]), "amplitudes beyond measure"),
        ("", "line 502 is empty; expected numbers, or nan"),
    ],
)
def test_a_damaged_line_is_named(table, line, told):
    rows = text(before="# rate: 500\n# unit: mV\n").split("\n")
    rows[501] = line
    with pytest.raises(ReadError, match=rf"ecg\.csv: .*{told}"):
        read(table("\n".join(rows)))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    content = bytearray(text(ECG[:3, :60], ("I", "II", "V1"), first=seconds(n=60), before="# unit: mV\n").encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("t") / "ecg.csv"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read(path)
    except EnECGError as error:
        assert "ecg.csv" in str(error)  # noqa: PT017


# -- size ------------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_lines_take_no_time_and_parts_of_them_agree(table):
    path = table(text(np.tile(ECG, 100), before="# rate: 500\n# unit: mV\n"))
    begin = time.process_time()
    whole = read(path)
    assert time.process_time() - begin < 3
    assert whole.seconds == 200
    part = read(path, start=100.5, seconds=1)
    np.testing.assert_array_equal(part.signal, whole.signal[:, 50250:50750])
    with pytest.raises(ReadError, match="start at 300 s of a recording of 200 s"):
        read(path, start=300)


def test_more_text_than_is_read_at_once_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "ecg.csv"
    with path.open("wb") as file:
        file.write(text().encode())
        file.truncate(2**40)
    with pytest.raises(ReadError, match=r"over 128 MiB.*\(write it as Parquet"):
        read(path, **ALL)


def test_a_cell_that_breaks_its_line_is_told(tmp_path):
    path = tmp_path / "ecg.csv"
    path.write_bytes(text(ECG[:3], ("I", "II", "V1")).encode() + b"1,2,x\r3\n")
    with pytest.raises(ReadError, match=r"ecg\.csv: (?!damaged, or not quite)"):
        read(path, **ALL)
