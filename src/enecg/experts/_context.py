"""What an ensemble reads besides embeddings: the gate's leads and the quality grade.

Both keep to the experts' contract, so that the store keeps them too and a fit reads no file; neither is registered.
"""

from collections.abc import Sequence

import numpy as np

from enecg.experts._card import Card
from enecg.experts._contract import Array, Expert, Inputs
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass
from enecg.signal.quality import FAULTS, Quality, assess
from enecg.signal.resample import resample
from enecg.signal.windows import cut, fill_gaps, fit_length


class GateInput(Expert):
    """The first seconds of some leads, without baseline, in units of the recording's own typical deflection.

    leads : standard names;  rate : Hz;  seconds : from the start. A lead that is missing is zero.
    """

    LIMIT = 10.0

    def __init__(self, leads: Sequence[str] = ("II",), rate: float = 100.0, seconds: float = 5.0) -> None:
        self.card = Card(
            name=f"gate:{','.join(leads)}:{rate:g}x{seconds:g}",
            summary="raw leads for the gate",
            dim=len(leads) * round(rate * seconds),
            leads=tuple(leads),
            rate=rate,
            seconds=seconds,
            licence="Apache-2.0",
            citation="",
            source="computed",
            any_leads=True,
        )

    def refusal(self, recording: Recording) -> str | None:
        """None: what is missing is zero."""
        return None

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """One window [n_leads * sample] for each recording."""
        card = self.card
        n = round(card.rate * card.seconds)
        windows = np.zeros((len(recordings), len(card.leads), n), dtype=np.float32)
        for row, recording in enumerate(recordings):
            there = [name for name in card.leads if name in recording.leads]
            if not there:
                continue
            signal = fill_gaps(recording.select(there).signal)
            if recording.n_samples > 30 and recording.rate > 1:
                signal = highpass(signal, recording.rate, 0.5)
            signal = fit_length(resample(signal, recording.rate, card.rate), n)
            size = np.percentile(np.abs(signal), 95)
            if size > 1e-4:
                scaled = np.clip(signal / np.float32(size), -self.LIMIT, self.LIMIT)
                windows[row, [card.leads.index(name) for name in there]] = scaled
        return Inputs(windows.reshape(len(recordings), -1), np.arange(len(recordings)), len(recordings))

    def embed_windows(self, windows: Array) -> Array:
        """As they are."""
        return windows


class QualityGrade(Expert):
    """The quality grade and how strong each fault is: mean over leads, worst lead (signal/quality.py)."""

    card = Card(
        name="quality",
        summary="quality grade and faults of a recording",
        dim=1 + 2 * len(FAULTS),
        leads=STANDARD_LEADS,
        rate=0,
        seconds=10.0,
        licence="Apache-2.0",
        citation="",
        source="computed",
        any_leads=True,
    )

    def refusal(self, recording: Recording) -> str | None:
        """None: any recording can be graded."""
        return None

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """The numbers of each ten-second window."""
        rows, owner = [], []
        for number, recording in enumerate(recordings):
            n = max(2, round(recording.rate * self.card.seconds))
            signal = recording.signal
            for part in cut(signal, n) if recording.n_samples > n else [signal]:
                rows.append(_numbers(assess(part, recording.rate, recording.leads)))
                owner.append(number)
        windows = np.array(rows, dtype=np.float32).reshape(len(rows), self.card.dim)
        return Inputs(windows, np.array(owner, dtype=np.intp), len(recordings))

    def embed_windows(self, windows: Array) -> Array:
        """As they are."""
        return windows

    @classmethod
    def complaint(cls, numbers: Array, least: float) -> str | None:
        """Why a recording with this embedding is not to be answered; None if its grade is `least` or unknown (NaN)."""
        if not numbers[0] < least:
            return None
        faults = cls.describe(numbers)
        return f"signal quality {numbers[0]:.2f} is below {least:g}" + (f": {faults}" if faults else "")

    @staticmethod
    def describe(numbers: Array) -> str:
        """The faults of an embedding in words, the strongest first."""
        mean = numbers[1 : 1 + len(FAULTS)]
        worst = [(float(value), fault) for value, fault in zip(mean, FAULTS, strict=True) if value > 0.05]
        return ", ".join(f"{fault} ({value:.0%} of the leads)" for value, fault in sorted(worst, reverse=True))


def _numbers(quality: Quality) -> list[float]:
    mean, worst = quality.faults.mean(axis=0), quality.faults.max(axis=0)
    return [quality.grade, *mean.tolist(), *worst.tolist()]
