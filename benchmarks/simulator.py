"""Ten-second 500 Hz recordings simulated per second on one core, beside neurokit2's twelve-lead simulator.

neurokit2 is a peer, not needed by the package: `make bench` installs it with the extra `bench`.
"""

import time
from collections.abc import Callable

from report import about, one_core, save

one_core()

import neurokit2  # noqa: E402  after the threads are set

from enecg.simulation import simulate_one  # noqa: E402

SECONDS, RATE = 10, 500
LEAST_PER_SECOND, LEAST_TIMES = 200.0, 100.0


def rate(make: Callable[[int], object], n: int) -> float:
    """Recordings per second of processor time, the first one left out."""
    make(0)
    began = time.process_time()
    for number in range(n):
        make(number)
    return n / (time.process_time() - began)


def peer(number: int) -> object:
    return neurokit2.ecg_simulate(duration=SECONDS, sampling_rate=RATE, method="multileads", random_state=number)


def main() -> None:
    counts = {"enecg.simulate": 1000, "neurokit2.ecg_simulate(method='multileads')": 8}
    found = {
        name: rate(make, n)
        for (name, n), make in zip(counts.items(), (lambda number: simulate_one(number), peer), strict=True)
    }
    ours, theirs = found.values()
    rows = [
        {
            "simulator": name,
            "recordings measured": counts[name],
            "recordings per second": value,
            "ms each": 1000 / value,
        }
        for name, value in found.items()
    ]
    claim = "Twelve leads, ten seconds, 500 Hz, with noise and truth; per second of processor time."
    floors = [("recordings per second", ours, LEAST_PER_SECOND), ("times neurokit2", ours / theirs, LEAST_TIMES)]
    save("simulator", about(claim), rows, floors)


if __name__ == "__main__":
    main()
