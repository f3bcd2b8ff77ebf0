"""Simulated recordings (enecg.simulation) as a cohort; they are made when they are read, and made again the same."""

from pathlib import Path
from typing import Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, cohort_of
from enecg.errors import CohortError
from enecg.recording import LazyRecording, Recording
from enecg.simulation import VERSION, simulate_one

ABOUT = About(
    name="simulated",
    title="simulated hearts with known truth",
    layout="none: it is made",
    tasks=("rr_interval", "age", "sex", "potassium", "rhythm", "superclass"),
    licence="Apache-2.0",
    citation="enecg simulator",
)


class SimulatedFile(LazyRecording):
    """One recording of a seed."""

    def __init__(self, index: int, seed: int, id: str, subject: str, options: dict[str, Any]) -> None:  # noqa: A002
        self.id, self.subject = id, subject
        self._index, self._seed, self._options = index, seed, options

    @property
    def key(self) -> str:
        """Seed, number, options and the simulator's version."""
        return f"simulated {VERSION} {self._seed} {self._index} {sorted(self._options.items())}"

    def read(self) -> Recording:
        """Simulate it."""
        return simulate_one(self._index, self._seed, **self._options).recording


def load(
    folder: str | Path | None = None,
    *,
    n: int = 1000,
    seed: int = 0,
    rate: float = 500.0,
    seconds: float = 10.0,
    recordings_per_subject: int = 1,
    missing: float = 0.0,
    noise: float = 1.0,
) -> Cohort:
    """`n` recordings; options as for `enecg.simulate`."""
    if folder is not None:
        raise CohortError("the simulated cohort is made, not read; leave the folder out")
    if n < 1:
        raise CohortError(f"n of {n}; expected at least one recording to simulate")
    options: dict[str, Any] = {"rate": rate, "seconds": seconds, "recordings_per_subject": recordings_per_subject}
    options |= {"missing": missing, "noise": noise}
    simulate_one(0, seed, **options)  # says what is wrong with an option now, and not when a recording is read
    recordings, rows = [], []
    # Truth does not depend on the sampling rate or the noise, so it is taken from the cheapest signal.
    cheap = options | {"rate": 50.0, "noise": 0.0}
    for index in range(n):
        made = simulate_one(index, seed, **cheap)
        name, subject = str(made.recording.id), str(made.recording.subject)
        rows.append({"id": name, "subject": subject, **made.truth.labels})
        recordings.append(SimulatedFile(index, seed, name, subject, options))
    return cohort_of(ABOUT, recordings, rows, _columns(), [f"{n} simulated recordings of seed {seed}"], simulated=True)


def _columns() -> dict[str, Any]:
    import polars

    text, number = polars.String, polars.Float64
    return {
        "id": text,
        "subject": text,
        "rr_interval": number,
        "age": number,
        "sex": text,
        "potassium": number,
        "rhythm": text,
        "superclass": polars.List(text),
    }
