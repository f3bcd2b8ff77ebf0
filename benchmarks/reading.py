"""A folder of WFDB records read, filtered and resampled by `enecg`, beside a loop of `wfdb.rdrecord` and `scipy`.

    python benchmarks/reading.py [--data FOLDER]

FOLDER holds WFDB records of one rate, of 12 leads and 10 s, such as PTB-XL's; without it they are simulated.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

from report import about, cores, save

cores(2)

import numpy as np  # noqa: E402  after the threads are set
import wfdb  # noqa: E402
from scipy.signal import butter, resample_poly, sosfiltfilt  # noqa: E402

import enecg  # noqa: E402
from enecg.formats import find  # noqa: E402
from enecg.signal.filters import bandpass  # noqa: E402
from enecg.signal.resample import resample  # noqa: E402
from enecg.simulation import simulate  # noqa: E402

N, ROUNDS, COMPARED = 1_000, 3, 50
TO = {500.0: 100.0, 100.0: 250.0}
"""Hz to which records are resampled, by their own rate: experts have 100 Hz, or 250 Hz and more."""

BAND = (0.5, 40.0)
SECTIONS = {rate: butter(3, BAND, "bandpass", fs=rate, output="sos") for rate in TO}
LEAST_OF_LOOP, LEAST_OF_SPLIT = 3.0, 1.5
SAME_MV, EDGE_SECONDS = 1e-5, 0.2
"""How near the numbers are, and what is left out at both ends: scipy takes a signal as zero beyond them, enecg not."""

Array = np.ndarray
Work = Callable[[Path, float, float], Array]


def with_enecg(path: Path, rate: float, to: float) -> Array:
    """[lead, sample] in mV."""
    recording = enecg.read(path)
    return resample(bandpass(recording.signal, rate, *BAND), rate, to)


def with_wfdb_and_scipy(path: Path, rate: float, to: float) -> Array:
    """[lead, sample] in mV."""
    record = wfdb.rdrecord(str(path.with_suffix("")))
    filtered = sosfiltfilt(SECTIONS[rate], record.p_signal, axis=0)
    ratio = Fraction(to / rate).limit_denominator(1000)
    return resample_poly(filtered, ratio.numerator, ratio.denominator, axis=0).T


def loop(work: Work, paths: Sequence[Path], rate: float, to: float) -> float:
    """One record after the other; processor time in seconds."""
    began = time.process_time()
    for path in paths:
        work(path, rate, to)
    return time.process_time() - began


def measure(paths: Sequence[Path], rate: float) -> dict[tuple[str, int], float]:
    """Seconds of each way to read them all, by one process and by two; the best of some rounds, taken in turns.

    Of two processes it is the longer time: what the clock would show on two cores that have nothing else to do.
    """
    ways: dict[str, Work] = {"enecg": with_enecg, "wfdb and scipy": with_wfdb_and_scipy}
    found: dict[tuple[str, int], float] = {}
    with ProcessPoolExecutor(2) as pool:
        for _ in range(1 + ROUNDS):  # The first one reads files and imports that later ones have.
            for name, work in ways.items():
                for n in (1, 2):
                    parts = [paths[start::n] for start in range(n)]
                    times = pool.map(loop, [work] * n, parts, [rate] * n, [TO[rate]] * n)
                    found[name, n] = min(max(times), found.get((name, n), float("inf")))
    return found


def compare(paths: Sequence[Path], rate: float) -> None:
    """Both give the same numbers."""
    edge = round(EDGE_SECONDS * TO[rate])
    for path in paths:
        ours, theirs = (work(path, rate, TO[rate])[:, edge:-edge] for work in (with_enecg, with_wfdb_and_scipy))
        assert ours.shape == theirs.shape, path
        assert np.abs(ours - theirs).max() < SAME_MV, f"{path}: {np.abs(ours - theirs).max()} mV apart"


def written(folder: Path, rate: float) -> list[Path]:
    """Simulated records of 16 bits, 1 uV to the unit, as the package wfdb writes them."""
    for made in simulate(N, seed=1, rate=rate):
        recording = made.recording
        wfdb.wrsamp(
            recording.id,
            fs=rate,
            units=["mV"] * recording.n_leads,
            sig_name=list(recording.leads),
            p_signal=np.clip(recording.signal.T.astype(np.float64), -32, 32),
            fmt=["16"] * recording.n_leads,
            adc_gain=[1000.0] * recording.n_leads,
            baseline=[0] * recording.n_leads,
            write_dir=str(folder),
        )
    return find(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of WFDB records, instead of simulated ones")
    data = parser.parse_args().data
    rows, floors = [], []
    with tempfile.TemporaryDirectory() as place:
        for rate in TO:
            if data is None:
                folder = Path(place, f"{rate:g}")
                folder.mkdir()
                paths = written(folder, rate)
            else:
                paths = list(itertools.islice((path for path in find(data) if enecg.read(path).rate == rate), N))
            if not paths:
                continue
            compare(paths[:COMPARED], rate)
            times = measure(paths, rate)
            case = f"{rate:g} to {TO[rate]:g} Hz"
            rows += [
                {
                    "records": case,
                    "read by": name,
                    "processes": n,
                    "records per second": len(paths) / taken,
                    "ms each": 1000 * taken / len(paths),
                }
                for (name, n), taken in times.items()
            ]
            ours, theirs = times["enecg", 2], times["wfdb and scipy", 2]
            floors += [
                (f"{case}: two processes, times the loop", times["wfdb and scipy", 1] / ours, LEAST_OF_LOOP),
                (f"{case}: two processes, times the loop split in two", theirs / ours, LEAST_OF_SPLIT),
            ]
    whose = "simulated" if data is None else data.name
    claim = (
        f"{N:,} {whose} ten-second 12-lead WFDB records (16 bits), scaled to mV, filtered from {BAND[0]:g} to "
        f"{BAND[1]:g} Hz and resampled; processor time, best of {ROUNDS} rounds. Both give the same numbers within "
        f"{SAME_MV * 1000:g} uV, but for the first and last {EDGE_SECONDS:g} s, since scipy takes the signal as zero "
        "beyond its ends. A loop is one process; of two processes that share the records the longer time counts."
    )
    save("reading", about(claim), rows, floors)


if __name__ == "__main__":
    main()
