import gzip

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.cohorts import _pieces
from enecg.cohorts._pieces import held, pieces, whole_numbers
from enecg.errors import CohortError

CELLS = st.text(st.sampled_from('ab1 ,"\n'), min_size=1, max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.integers(40, 99), st.booleans(), st.booleans())
def test_pieces_together_are_the_table_however_it_is_cut(tmp_path_factory, rows, block, packed, ends):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    text = polars.DataFrame(rows, schema=["a", "b"], orient="row").with_row_index("n").write_csv(quote_style="always")
    data = (text if ends else text.removesuffix("\n")).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pieces, "BLOCK", block)
        found = list(pieces(path, ["b", "n", "a"]))
    together = polars.concat(found)
    assert [(row["a"], row["b"]) for row in together.iter_rows(named=True)] == rows
    assert together["n"].to_list() == [str(n) for n in range(len(rows))]
    # Nothing that is held is larger than a block and a row.
    assert len(data) < 4 * block or len(found) > 1


def test_a_piece_is_small_however_long_the_table(tmp_path, monkeypatch):
    path = tmp_path / "long.csv.gz"
    path.write_bytes(gzip.compress(b"n,text\n" + b"".join(b"%d,abcdefgh\n" % n for n in range(20_000))))
    monkeypatch.setattr(_pieces, "BLOCK", 4096)
    sizes = [len(piece) for piece in pieces(path, ["n"])]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 4096 // len("1,abcdefgh\n") + 1


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert held(path, ["a"])["a"].to_list() == ["1"]
    with pytest.raises(CohortError, match=r"table\.csv: no column c, d \(found a, b\)"):
        list(pieces(path, ["a", "c", "d"]))


def test_a_table_without_rows_is_one_empty_piece(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n")
    assert [piece.shape for piece in pieces(path, ["b"])] == [(0, 1)]
    with pytest.raises(CohortError, match="the table has no rows"):
        held(path, ["b"])


@pytest.mark.parametrize("cut", [3, 15, 40, -1, -9])
def test_a_packed_table_that_is_cut_short_is_an_error_that_names_it(tmp_path, cut):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:cut])
    with pytest.raises(CohortError, match=r"table\.csv\.gz"):
        list(pieces(path, ["a"]))


def test_a_packed_table_with_a_flipped_bit_is_an_error_that_names_it(tmp_path):
    data = bytearray(gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(1000))))
    data[len(data) // 2] ^= 16
    path = tmp_path / "table.csv.gz"
    path.write_bytes(data)
    with pytest.raises(CohortError, match=r"table\.csv\.gz"):
        list(pieces(path, ["a"]))


def test_a_head_that_is_none_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\r1,2\r3,4\r\n5,6\n")
    with pytest.raises(CohortError, match=r"table\.csv"):
        held(path, ["a", "b"])


def test_a_table_that_ends_within_quotes_is_an_error(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b'a,b\n1,2\n1,"2\n')
    with pytest.raises(CohortError, match="ends within quotes"):
        list(pieces(path, ["a"]))


def test_bytes_that_are_no_text_are_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n" + bytes(range(128, 256)) * 4 + b"\n")
    with pytest.raises(CohortError, match=r"table\.csv: rows that cannot be understood"):
        held(path, ["a", "b"])


def test_a_row_without_end_is_an_error_before_it_fills_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"x" * 100_000))
    monkeypatch.setattr(_pieces, "BLOCK", 1000)
    with pytest.raises(CohortError, match="a row of more than"):
        list(pieces(path, ["a"]))


def test_cells_that_are_no_whole_number_are_named(tmp_path):
    frame = polars.DataFrame({"n": ["1", " 2 ", None], "m": ["1", "2", "3.5"]})
    assert whole_numbers(frame[:2], tmp_path, "n")["n"].to_list() == [1, 2]
    with pytest.raises(CohortError, match="n None; expected a whole number"):
        whole_numbers(frame, tmp_path, "n")
    with pytest.raises(CohortError, match=r"m '3\.5'"):
        whole_numbers(frame, tmp_path, "m")


def test_a_bar_moves_while_pieces_are_read_and_none_is_shown_unasked(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 100)
    list(pieces(path, ["a"]))
    assert capsys.readouterr().err == ""
    list(pieces(path, ["a"], shown=True))
    assert "table.csv" in capsys.readouterr().err
