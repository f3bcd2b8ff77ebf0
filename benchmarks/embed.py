"""Recordings embedded per second by each expert, in one call and in a plain loop, one recording at a time."""

import time
from collections.abc import Callable

from report import about, one_core, save

one_core()

from enecg.experts import Expert, expert_names, get_expert, published_names  # noqa: E402  after the threads are set
from enecg.recording import Recording  # noqa: E402
from enecg.simulation import simulate  # noqa: E402

N, ROUNDS = 128, 3
LEAST = {"dlinear": 50.0, "measurements": 25.0, "rocket": 50.0, "rocket-small": 100.0, "timesnet": 50.0}
"""Recordings a second: a third or so of what a server's core did in 2026."""
LEAST_OF_LOOP = 0.8


def seconds(call: Callable[[], object]) -> float:
    """Processor time of the quickest of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def measure(expert: Expert, recordings: list[Recording]) -> dict[str, object]:
    def together() -> None:
        expert.embed(expert.prepare(recordings))

    def one_by_one() -> None:
        for recording in recordings:
            expert.embed(expert.prepare([recording]))

    expert.embed(expert.prepare(recordings[:1]))  # Weights are loaded before the clock runs.
    batch, loop = len(recordings) / seconds(together), len(recordings) / seconds(one_by_one)
    return {
        "expert": expert.card.name,
        "numbers": expert.card.dim,
        "recordings per second": batch,
        "in a loop": loop,
        "ms each": 1000 / batch,
        "ms for one": 1000 / loop,
    }


def main() -> None:
    recordings = [made.recording for made in simulate(N, seed=1)]
    ours = [name for name in expert_names() if name not in published_names()]
    rows = [measure(get_expert(name), recordings) for name in ours]
    floors = [(f"{name}, recordings per second", rate, LEAST[name]) for name, rate in rates(rows) if name in LEAST]
    floors += [
        (f"{row['expert']}, in one call over in a loop", row["recordings per second"] / row["in a loop"], LEAST_OF_LOOP)
        for row in rows
    ]
    claim = (
        f"{N} simulated ten-second 12-lead recordings at 500 Hz, preparation included; per second of processor time, "
        f"best of {ROUNDS} rounds."
    )
    save("embed", about(claim), rows, floors)


def rates(rows: list[dict[str, object]]) -> list[tuple[str, float]]:
    return [(str(row["expert"]), float(row["recordings per second"])) for row in rows]  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
