"""Rows computed a fixed number at a time, so that an answer's bits do not depend on its neighbours."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

CHUNK = 64
"""Matrix products of other sizes may add in another order; so rows are always padded to this number."""


def in_chunks(rows: Array, compute: Callable[[Array], Mapping[str, Array]]) -> dict[str, Array]:
    """What `compute` makes of float32 [CHUNK, ...], by name [CHUNK, ...], for any number of rows."""
    parts: dict[str, list[Array]] = {}
    for start in range(0, max(len(rows), 1), CHUNK):
        chunk = rows[start : start + CHUNK]
        n = len(chunk)
        padded = np.concatenate([chunk, np.zeros((CHUNK - n, *rows.shape[1:]), np.float32)]) if n < CHUNK else chunk
        for name, made in compute(padded).items():
            parts.setdefault(name, []).append(made[:n])
    return {name: np.concatenate(found) for name, found in parts.items()}
