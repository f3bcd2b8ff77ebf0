import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from enecg.ensemble._chunks import CHUNK, in_chunks


@given(st.integers(0, 3 * CHUNK))
def test_any_number_of_rows_is_computed_in_equal_pieces(n):
    rows = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    sizes = []

    def double(chunk):
        sizes.append(chunk.shape)
        return {"double": 2 * chunk, "sum": chunk.sum(axis=1)}

    made = in_chunks(rows, double)
    assert set(sizes) == {(CHUNK, 2)}
    assert np.array_equal(made["double"], 2 * rows)
    assert np.array_equal(made["sum"], rows.sum(axis=1))
