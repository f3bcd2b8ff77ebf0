"""50,000 rows of the expert `measurements` read from a store, beside computing them."""

import hashlib
import tempfile
import time
from collections.abc import Callable

from report import about, one_core, save

one_core()

import numpy as np  # noqa: E402  after the threads are set

from enecg.experts import get_expert  # noqa: E402
from enecg.simulation import simulate  # noqa: E402
from enecg.store import Store  # noqa: E402

N, SHARD, COMPUTED = 50_000, 1024, 64
EXPERT = "measurements"
LEAST_TIMES = 100.0


def timed(call: Callable[[], object]) -> float:
    """Seconds by the clock: what a disk costs is waited for."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    expert = get_expert(EXPERT)
    recordings = [made.recording for made in simulate(COMPUTED, seed=1)]
    began = time.process_time()
    expert.embed(expert.prepare(recordings))
    each = (time.process_time() - began) / COMPUTED
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N, expert.card.dim)).astype(np.float32)
    digests = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(N)]
    order = rng.permutation(N)
    kind = f"{EXPERT}-{expert.fingerprint}"
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)

        def write() -> None:
            for start in range(0, N, SHARD):
                store.write(kind, digests[start : start + SHARD], rows[start : start + SHARD])

        written = timed(write)
        opened, out = Store(folder), np.empty_like(rows)
        wanted = [digests[place] for place in order]
        first = timed(lambda: opened.read(kind, wanted, out))
        again = timed(lambda: opened.read(kind, wanted, out))
    assert np.array_equal(out, rows[order])
    table = {
        "computing them": each * N,
        "writing them": written,
        "reading them, with checksums": first,
        "reading them again": again,
    }
    found = [{"what": what, "seconds": value, "rows per second": N / value} for what, value in table.items()]
    claim = (
        f"{N:,} rows of {expert.card.dim:,} numbers, read in another order than written; computing is measured on "
        f"{COMPUTED} ten-second recordings at 500 Hz, in processor time; the rest by the clock."
    )
    floors = [("times computing, first reading", each * N / first, LEAST_TIMES)]
    save("store", about(claim), found, floors)


if __name__ == "__main__":
    main()
