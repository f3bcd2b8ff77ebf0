import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.cohorts._tables import as_number, as_text, nearest, read_table, require_columns
from enecg.errors import CohortError

ROWS = "id,age,lvef,note\n0012,50,4.5,a\n0013,,NA,\n"


def rows(frame):
    return frame.rows(named=True)


EXPECTED = [
    {"id": "0012", "age": 50, "lvef": 4.5, "note": "a"},
    {"id": "0013", "age": None, "lvef": None, "note": None},
]


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r").encode(),
        ROWS.encode("utf-8-sig"),
        ROWS.encode("utf-16"),
        ROWS.strip().encode(),
        (ROWS + "\n\n").encode(),
        ROWS.replace(",", ";").encode(),
        ROWS.replace(",", ";").replace("4.5", "4,5").encode(),
        ROWS.replace(",", "\t").encode(),
        ROWS.replace(",", " , ").encode(),
        b'"id","age","lvef","note"\n"0012","50","4.5","a"\n"0013","","NA",""\n',
    ],
)  # fmt: skip
def test_a_csv_is_the_same_table_however_it_was_saved(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    frame = read_table(path, text=["id"])
    assert rows(frame) == EXPECTED
    assert [str(kind) for kind in frame.dtypes] == ["String", "Int64", "Float64", "String"]


def test_tab_separated_and_parquet_are_tables_too(tmp_path):
    (tmp_path / "table.tsv").write_text(ROWS.replace(",", "\t"))
    assert rows(read_table(tmp_path / "table.tsv", text=["id"])) == EXPECTED
    polars.DataFrame(EXPECTED).write_parquet(tmp_path / "table.parquet")
    assert rows(read_table(tmp_path / "table.parquet")) == EXPECTED


def test_letters_of_an_older_spreadsheet_are_letters(tmp_path):
    (tmp_path / "table.csv").write_bytes("id,name\n1,Müller\n".encode("latin-1"))
    assert rows(read_table(tmp_path / "table.csv")) == [{"id": 1, "name": "Müller"}]


def test_a_separator_inside_of_quotes_separates_nothing(tmp_path):
    (tmp_path / "table.csv").write_text('id,"a;b;c;d"\n1,"x;y"\n')
    assert rows(read_table(tmp_path / "table.csv")) == [{"id": 1, "a;b;c;d": "x;y"}]


def test_a_cell_may_hold_a_line_break(tmp_path):
    (tmp_path / "table.csv").write_text('id,said\n1,"two\nlines"\n')
    assert rows(read_table(tmp_path / "table.csv")) == [{"id": 1, "said": "two\nlines"}]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], [1, 2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "x"], ["1", "x"]),
        (["007", "12"], ["007", "12"]),
        (["0", "-5"], [0, -5]),
        (["0.5", ".5"], [0.5, 0.5]),
        (["1e3", "2"], [1000.0, 2.0]),
        (["", "NA"], [None, None]),
        (["nan", "3"], [None, 3]),
        (["9" * 30, "1"], [float("9" * 30), 1.0]),
        (["inf", "1"], ["inf", "1"]),
        (["1,5", "2"], ["1,5", "2"]),
    ],
)
def test_a_column_is_numbers_only_if_every_cell_is_one(tmp_path, cells, expected):
    (tmp_path / "table.csv").write_text("a\tb\n" + "".join(f"{cell}\tx\n" for cell in cells))
    assert read_table(tmp_path / "table.csv")["a"].to_list() == expected


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6), min_size=1, max_size=5)
)
def test_text_comes_back_as_it_was_but_for_spaces_around(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    quoted = [cell.replace('"', '""') for cell in cells]
    path.write_text("a,b\n" + "".join(f'"{cell}",1\n' for cell in quoted), encoding="utf-8")
    expected = [cell.strip() or None for cell in cells]
    found = read_table(path, text=["a"])["a"].to_list()
    missing = {"NA", "N/A", "n/a", "NaN", "nan", "null", "NULL"}
    assert found == [None if cell in missing else cell for cell in expected]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "table.xlsx",
            b"x",
            r"table\.xlsx: a table of an unknown kind; expected one that ends in \.csv, \.tsv, \.parquet",
        ),
        ("table.csv", b"", r"table\.csv: the table is empty"),
        ("table.csv", b"\n\n", "the table is empty"),
        ("table.csv", b"id,age\n", "the table has no rows"),
        ("table.csv", b"id,age,age\n1,2,3\n", "column 'age' is there more than once"),
        ("table.csv", b"id,age, age\n1,2,3\n", "column 'age' is there more than once"),
        ("table.csv", b"id\n1,2,3\n4,5,6\n", "the table cannot be read"),
        ("table.parquet", b"no parquet", r"table\.parquet: the table cannot be read"),
        ("table.csv", b"\xff\xfe\x00", "the table cannot be read"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CohortError, match=told):
        read_table(path)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_table_or_an_error_that_names_it(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(content)
    try:
        assert len(read_table(path))
    except CohortError as error:
        assert str(path) in str(error)  # noqa: PT017  either outcome is right


def test_a_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CohortError, match=r"nothing\.csv: the table cannot be read \(.*No such file"):
        read_table(tmp_path / "nothing.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CohortError, match=r"folder\.csv: the table cannot be read"):
        read_table(tmp_path / "folder.csv")


def test_a_missing_column_is_told_with_the_nearest(tmp_path):
    frame = polars.DataFrame({"Ecg ID": [1]})
    with pytest.raises(CohortError, match=r"t\.csv: no column 'ecg_id' \(found Ecg ID\); is it 'Ecg ID'\?"):
        require_columns(tmp_path / "t.csv", frame, ["ecg_id"])


@pytest.mark.parametrize(
    ("name", "among", "expected"),
    [
        ("path", ["Path", "age"], "Path"),
        ("subject", ["Subject ID", "age"], "Subject ID"),
        ("filename", ["file name"], "file name"),
        ("rhythm", ["rythm"], "rythm"),
        ("id", ["age", "sex"], None),
        ("id", [], None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_capitals(name, among, expected):
    assert nearest(name, among) == expected


CELLS = [(12.0, "12"), (12, "12"), ("0012", "0012"), (" a ", "a"), (1.5, "1.5"), (None, None), ("NA", None)]


@pytest.mark.parametrize(("value", "expected"), [*CELLS, (float("nan"), None)])
def test_a_cell_names_something_or_nothing(value, expected):
    assert as_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("5", 5), (5, 5), ("x", None), ("inf", None), (None, None), ([1], None)]
)
def test_a_cell_is_a_number_or_none(value, expected):
    assert as_number(value) == expected
