"""What may be wrong with a recording beyond its grade: gain, rate, electrodes, signs. Told, never mended.

The grade (signal/quality.py) is what an ensemble reads and abstains by; a doubt is a sentence for a person. Each has a
score and a threshold, chosen on recordings of other patients than those that docs/results.md reports on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import detrend

from enecg.signal.beats import r_peaks
from enecg.signal.delineation import Beats, Waves, delineate, median_beat
from enecg.signal.electrodes import EXCHANGES, exchange_scores, sizes
from enecg.signal.filters import highpass, lowpass
from enecg.signal.leads import LIMB_LEADS, disagreeing, limb_repair
from enecg.signal.usual import Usual, learned
from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Scores = dict[str, float | Double]

SECONDS = 60.0
"""What is looked at, from the start: these faults do not come and go."""

RATES = {"rate too high": 0.5, "rate too low": 2.0}
"""By doubt: the true rate over that of the header."""

OF_LEADS = {
    "missing": "samples missing for {value:.1f} s in a row",
    "no signal": "no signal, or next to none (lead off?)",
    "saturated": "cut off at one height again and again (amplifier saturated?)",
    "no beats": "nothing beats in it (electrode off?)",
    "mains": "mains hum of {value:.2f} mV",
    "wander": "baseline wanders by {value:.1f} mV",
    "muscle": "muscle noise of {value:.2f} mV",
    "copy": "the same samples as another lead",
}
"""Doubts about single leads, and how they are said."""

_OF_ELECTRODE = {
    frozenset({"I", "II"}): "RA",
    frozenset({"I", "III"}): "LA",
    frozenset({"II", "III"}): "LL",
}
_MAINS_HZ = (50.0, 60.0)
_ABSURD_MV = 1e6
"""Larger samples count as this, so that no sum overflows."""


@dataclass(frozen=True)
class Doubt:
    """One thing that may be wrong.

    kind : a key of OF_LEADS or RATES, "gain too high", "gain too low", "limb leads disagree", or a key of EXCHANGES;
    text : a sentence;  leads : those concerned, none if all are.
    """

    kind: str
    text: str
    leads: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(self.leads)}: {self.text}" if self.leads else self.text


def doubts(signal: Array, rate: float, leads: Sequence[str]) -> tuple[Doubt, ...]:
    """What may be wrong with a signal [lead, sample] in mV, NaN where missing, at `rate` Hz: its first minute."""
    _, limits = learned()
    signal = signal[:, : max(1, round(SECONDS * rate))]
    found = scores(signal, rate, leads)
    said = [_of_leads(kind, found[kind], limits[kind], leads) for kind in OF_LEADS]
    over = {kind for kind in limits if kind not in OF_LEADS and _above(found.get(kind), limits[kind])}
    if "gain too high" in over:
        said.append(
            Doubt("gain too high", f"beats of {10 ** float(found['gain too high']):.1f} mV: wrong unit or gain?")
        )
    if "gain too low" in over:
        said.append(
            Doubt("gain too low", f"beats of {10 ** -float(found['gain too low']):.3f} mV: wrong unit or gain?")
        )
    for kind, factor in RATES.items():
        if kind in over:
            said.append(Doubt(kind, f"the waves' lengths are those of {factor * rate:g} Hz, not of {rate:g} Hz"))
    if wrong := disagreeing(signal, leads):
        repair = limb_repair(signal, leads)
        why = f"; they would agree if {repair}" if repair else ""
        said.append(Doubt("limb leads disagree", f"not what Einthoven's law makes of the others{why}", wrong))
    exchange = max(EXCHANGES, key=lambda name: float(found.get(name, -np.inf)))
    if exchange in over:
        said.append(
            Doubt(exchange, f"the limb electrodes {exchange} may be exchanged (axes of P and QRS, chest leads)")
        )
    return tuple(doubt for doubt in said if doubt is not None)


def scores(signal: Array, rate: float, leads: Sequence[str], usual: Mapping[str, Usual] | None = None) -> Scores:
    """How strongly each doubt is suggested: an array [lead] for those of OF_LEADS, one number for the others.

    NaN, or nothing, where it cannot be asked. `usual` replaces the learned distributions.
    """
    missing = np.isnan(signal)
    signal = np.clip(signal, -_ABSURD_MV, _ABSURD_MV)
    filled = fill_gaps(signal)
    unknown = np.full(len(signal), np.nan)
    found: Scores = dict.fromkeys(OF_LEADS, unknown)
    found["missing"] = _longest(missing) / rate
    found["saturated"] = _times_at_edge(filled)
    found["copy"] = _copies(filled)
    if signal.shape[1] < 2 * rate or rate < 40 or missing.all():
        return found
    steady = highpass(filled, rate, 0.5)
    low, high = np.percentile(steady, [0.2, 99.8], axis=1)
    span = high - low
    found["no signal"] = np.where(missing.mean(axis=1) < 0.5, -np.log10(np.maximum(span, 1e-6)), np.nan)
    found["wander"] = np.sqrt(8) * np.std(detrend(lowpass(filled, rate, 0.5), axis=1), axis=1, dtype=np.float64)
    found["muscle"] = 1.48 * np.median(np.abs(highpass(filled, rate, min(25.0, 0.4 * rate))), axis=1)
    found["mains"] = np.fmax(*(_line(filled, rate, hz) for hz in _MAINS_HZ))
    peaks = r_peaks(signal, rate)
    beats = median_beat(signal, rate, peaks) if len(peaks) else None
    height = np.ptp(beats.median, axis=1) if beats is not None else span
    shown = height[span > 1e-3]
    if len(shown):
        found["gain too high"] = float(np.log10(np.median(shown)))
        found["gain too low"] = -float(np.log10(np.median(shown)))
    if beats is None:
        return found
    found["no beats"] = np.where(span > 1e-3, _unexplained(beats), np.nan)
    waves = delineate(beats)
    known = learned()[0] if usual is None else usual
    lengths = wave_lengths(waves, peaks, rate)
    as_is = known["as is"].log_likelihood(lengths)
    for kind in RATES:
        found[kind] = known[kind].log_likelihood(lengths) - as_is
    directions = sizes(beats, waves, leads)
    if directions is not None:
        found |= exchange_scores(directions, known["directions"])
    return found


def wave_lengths(waves: Waves, peaks: npt.NDArray[np.int64], rate: float) -> Double:
    """Logarithms of the RR interval, QRS duration and QT interval in ms: [3], NaN for what is unknown."""
    rr = np.median(np.diff(peaks)) / rate * 1000 if len(peaks) > 1 else np.nan
    return np.log(np.maximum([rr, waves.qrs_off - waves.qrs_on, waves.t_off - waves.qrs_on], 1.0))


def _of_leads(kind: str, values: float | Double, limit: float, leads: Sequence[str]) -> Doubt | None:
    rows = np.asarray(values)
    over = rows > limit
    if not over.any():
        return None
    named = tuple(name for name, is_over in zip(leads, over, strict=True) if is_over)
    text = OF_LEADS[kind].format(value=float(rows[over].max()))
    if kind == "no beats" and set(named) <= set(LIMB_LEADS):
        weak = {name for name, value in zip(leads, rows, strict=True) if value > limit - 1}
        electrode = _OF_ELECTRODE.get(frozenset(weak & {"I", "II", "III"}))
        text += f"; the electrode {electrode} is what they share" if electrode else ""
    return Doubt(kind, text, named)


def _above(value: float | Double | None, limit: float) -> bool:
    return value is not None and bool(np.any(np.asarray(value) > limit))


def _longest(true: npt.NDArray[np.bool_]) -> Double:
    """The longest run of True in each row."""
    places = np.arange(true.shape[1])
    last = np.maximum.accumulate(np.where(true, -1, places), axis=1)
    return np.asarray((places - last).max(axis=1), dtype=np.float64)


def _times_at_edge(filled: Array) -> Double:
    """How often each lead stays at its own highest or lowest value for two samples or more."""
    often = np.zeros(len(filled))
    for edge in (filled.max(axis=1, keepdims=True), filled.min(axis=1, keepdims=True)):
        at = filled == edge
        pairs = at[:, 1:] & at[:, :-1]
        often = np.maximum(often, pairs[:, 0] + (pairs[:, 1:] & ~pairs[:, :-1]).sum(axis=1) if pairs.shape[1] else 0)
    return often


def _copies(filled: Array) -> Double:
    """1 for leads whose samples another lead has too and that are not constant."""
    same = np.array([[np.array_equal(a, b) for b in filled] for a in filled])
    return np.asarray((same.sum(axis=1) > 1) & (np.ptp(filled, axis=1) > 0), dtype=np.float64)


def _line(filled: Array, rate: float, hz: float) -> Double:
    """Amplitude in mV of the line at `hz` above what its neighbours hold; NaN beyond half the rate."""
    n = filled.shape[1]
    if hz + 2 >= rate / 2:
        return np.full(len(filled), np.nan)
    window = np.hanning(n)
    size = np.abs(np.fft.rfft((filled - filled.mean(axis=1, keepdims=True)) * window, axis=1)) * 2 / window.sum()
    away = np.abs(np.fft.rfftfreq(n, 1 / rate) - hz)
    near = (away > 1) & (away < 5)
    return np.asarray(size[:, away <= max(0.3, rate / n)].max(axis=1) - 2 * np.median(size[:, near], axis=1))


def _unexplained(beats: Beats) -> Double:
    """What changes from beat to beat over what the median beat shows: [lead], the logarithm of a ratio of powers."""
    windows = beats.windows[beats.alike >= min(0.8, float(np.median(beats.alike)))][:, :, 40:120].astype(np.float64)
    windows = windows - windows.mean(axis=2, keepdims=True)
    median = beats.median[:, 40:120].astype(np.float64)
    median = median - median.mean(axis=1, keepdims=True)
    rest = np.median(np.mean((windows - median) ** 2, axis=2), axis=0)
    return np.asarray(np.log10(np.maximum(rest, 1e-12) / np.maximum(np.mean(median**2, axis=1), 1e-12)))
