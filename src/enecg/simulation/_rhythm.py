"""When the chambers beat: times of ventricular complexes, P waves and pacing spikes for each of the 15 rhythms."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from enecg.simulation._patient import Patient

Times = npt.NDArray[np.float64]

LEAD_IN = 2.0
"""Seconds simulated before the recording starts and after it ends."""


@dataclass(frozen=True)
class Beat:
    """One ventricular complex. time : of its R peak, s;  kind : "normal", "ventricular" or "paced"."""

    time: float
    kind: str = "normal"
    origin: str = "sinus"


@dataclass(frozen=True)
class Atrium:
    """One P wave. time : of its middle, s;  kind : "sinus", "ectopic" or "retrograde"."""

    time: float
    kind: str = "sinus"


@dataclass
class Events:
    """What happens in a recording. fibrillation, flutter : Hz of the atrial waves, 0 without."""

    beats: list[Beat] = field(default_factory=list)
    atria: list[Atrium] = field(default_factory=list)
    fibrillation: float = 0.0
    flutter: float = 0.0


def draw_events(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    """The events of a recording that starts at 0, some of them before and after it."""
    return _MAKERS[patient.rhythm](rng, patient, seconds)


def _sinus_times(
    rng: np.random.Generator, rate: float, seconds: float, respiratory: float, slow: float, jitter: float = 0.004
) -> Times:
    """Beats a minute around `rate` with respiratory and slow (0.1 Hz) modulation, each relative to the interval."""
    breath, phases = rng.uniform(0.18, 0.32), rng.uniform(0, 2 * np.pi, 2)
    n = int((seconds + 2 * LEAD_IN) * rate / 60 * 1.8) + 4
    noise = rng.normal(0, jitter, n)
    times = [-LEAD_IN - rng.uniform(0, 60 / rate)]
    for k in range(n):
        t = times[-1]
        wave = respiratory * np.sin(2 * np.pi * breath * t + phases[0]) + slow * np.sin(0.2 * np.pi * t + phases[1])
        times.append(t + 60 / rate * (1 + wave + noise[k]))
    found = np.array(times)
    return found[found < seconds + LEAD_IN]


def _conducted(times: Times, pr: float, qrs: float, p: float, kind: str = "sinus") -> Events:
    """A P wave before each beat. pr, qrs, p : ms."""
    # PR runs from the onset of P to the onset of QRS, which lies 0.42 of its duration before the R peak.
    lead = (pr + 0.42 * qrs - p / 2) / 1000
    return Events([Beat(t) for t in times], [Atrium(t - lead, kind) for t in times])


def _sinus(low: float, high: float, centre: float, spread: float) -> Callable[..., Events]:
    def make(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
        shift = 3 if patient.person.sex == "female" else 0
        rate = _within(rng, centre + shift, spread, low, high)
        v = patient.variability * min(1.0, 70 / rate)
        times = _sinus_times(rng, rate, seconds, 0.02 * v, 0.015 * v)
        return _conducted(times, min(patient.pr, 198), patient.qrs, patient.p_duration)

    return make


def _sinus_arrhythmia(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    rate = _within(rng, 68, 8, 61, 90)
    times = _sinus_times(rng, rate, seconds, rng.uniform(0.11, 0.22), 0.03)
    return _conducted(times, min(patient.pr, 198), patient.qrs, patient.p_duration)


def _first_degree(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    rate = _within(rng, 68, 9, 61, 92)
    times = _sinus_times(rng, rate, seconds, 0.015, 0.012)
    return _conducted(times, max(203.0, patient.pr) + rng.gamma(2.0, 14.0), patient.qrs, patient.p_duration)


def _premature(ventricular: bool) -> Callable[..., Events]:
    def make(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
        rate = _within(rng, 72, 9, 61, 95)
        base = _sinus_times(rng, rate, seconds, 0.015, 0.012)
        pr = min(patient.pr, 198)
        # One at least falls inside; none comes before, as an atrial one moves all beats that follow.
        inside = np.flatnonzero((base > 0) & (base < seconds - 0.85 * 60 / rate))
        chosen = rng.random(len(base)) < rng.choice([0.1, 0.18, 0.3])
        if rng.random() < 0.15:
            chosen = np.arange(len(base)) % 2 == 0
        chosen[base <= 0] = False
        chosen[rng.choice(inside)] = True
        events, skip, shift = Events(), False, 0.0
        coupling = rng.uniform(0.5, 0.68) if ventricular else rng.uniform(0.58, 0.76)
        for k in range(len(base) - 1):
            rr = base[k + 1] - base[k]
            if not skip:
                one = _conducted(np.array([base[k] + shift]), pr, patient.qrs, patient.p_duration)
                events.beats += one.beats
                events.atria += one.atria
            skip = False
            if chosen[k] and rr > 0.45:
                time = base[k] + shift + coupling * rr * rng.normal(1, 0.02)
                if ventricular:
                    # The sinus beat that falls into the premature one is lost: a compensatory pause.
                    events.beats.append(Beat(time, "ventricular", "ventricular"))
                    skip = True
                else:
                    early = _conducted(
                        np.array([time]), max(120.0, pr - 15), patient.qrs, patient.p_duration, "ectopic"
                    )
                    events.beats.append(Beat(time, "normal", "atrial"))
                    events.atria += early.atria
                    # The sinus node is reset by it, so the next beat comes one interval later.
                    shift += (coupling + 0.05) * rr
        events.beats.sort(key=lambda beat: beat.time)
        return events

    return make


def _fibrillation(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    mean = 60 / _within(rng, 86, 20, 55, 150)
    n = int((seconds + 2 * LEAD_IN) / mean * 1.6) + 4
    rr = np.maximum(0.3, mean * rng.lognormal(-0.02, rng.uniform(0.16, 0.26), n))
    return Events([Beat(t, origin="atrial") for t in _train(rr, seconds)], fibrillation=float(rng.uniform(5, 8.5)))


def _flutter(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    frequency = rng.uniform(250, 320) / 60
    n = int((seconds + 2 * LEAD_IN) * frequency) + 4
    ratio = rng.choice([2, 3, 4], n) if rng.random() < 0.35 else np.full(n, rng.choice([2, 3, 4], p=[0.45, 0.15, 0.4]))
    times = _train(ratio / frequency * rng.normal(1, 0.004, n), seconds)
    return Events([Beat(t, origin="atrial") for t in times], flutter=float(frequency))


def _supraventricular(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    rate = _within(rng, 176, 16, 151, 220)
    times = _sinus_times(rng, rate, seconds, 0, 0.003, 0.003)
    late = [Atrium(t + 0.09, "retrograde") for t in times] if rng.random() < 0.5 else []
    return Events([Beat(t, origin="atrial") for t in times], late)


def _ventricular(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    times = _sinus_times(rng, _within(rng, 160, 22, 121, 220), seconds, 0, 0.004, 0.008)
    atria = _sinus_times(rng, _within(rng, 78, 10, 60, 100), seconds, 0.01, 0.01)
    return Events([Beat(t, "ventricular", "ventricular") for t in times], [Atrium(t) for t in atria])


def _junctional(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    times = _sinus_times(rng, _within(rng, 55, 10, 40, 100), seconds, 0.003, 0.004)
    where = rng.choice([np.nan, -0.11, 0.09])
    atria = [] if np.isnan(where) else [Atrium(t + where, "retrograde") for t in times]
    return Events([Beat(t, origin="junctional") for t in times], atria)


def _ectopic_atrial(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    times = _sinus_times(rng, _within(rng, 72, 10, 55, 99), seconds, 0.01, 0.01)
    return _conducted(times, float(rng.uniform(115, 160)), patient.qrs, patient.p_duration, "ectopic")


def _paced(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    times = _sinus_times(rng, _within(rng, 68, 6, 55, 90), seconds, 0, 0, 0.0005)
    if rng.random() < 0.5:
        atria = [Atrium(t - 0.19) for t in times]
    else:
        atria = [Atrium(t) for t in _sinus_times(rng, _within(rng, 80, 8, 60, 100), seconds, 0.01, 0.01)]
    return Events([Beat(t, "paced", "paced") for t in times], atria)


def _block(rng: np.random.Generator, patient: Patient, seconds: float) -> Events:
    """Wenckebach, Mobitz II, 2:1, or complete block with an escape rhythm."""
    kind = rng.choice(["wenckebach", "mobitz", "2:1", "complete"], p=[0.25, 0.15, 0.2, 0.4])
    starts = _sinus_times(rng, _within(rng, 80, 9, 62, 105), seconds, 0.01, 0.01)
    atria = [Atrium(t) for t in starts]
    if kind == "complete":
        wide = "ventricular" if rng.random() < 0.5 else "normal"
        times = _sinus_times(rng, _within(rng, 40, 6, 28, 52), seconds, 0, 0.004, 0.003)
        return Events([Beat(t, wide, "escape") for t in times], atria)
    group = 2 if kind == "2:1" else int(rng.choice([3, 4, 5]))
    beats = []
    for k, t in enumerate(starts):
        place = k % group
        if place == group - 1:
            continue
        delay = patient.pr + (0.06 * 1000 * np.sqrt(place) if kind == "wenckebach" else 0)
        beats.append(Beat(t + (delay + 0.42 * patient.qrs - patient.p_duration / 2) / 1000))
    return Events(beats, atria)


def _within(rng: np.random.Generator, centre: float, spread: float, low: float, high: float) -> float:
    """A normal number inside limits."""
    for _ in range(20):
        value = rng.normal(centre, spread)
        if low <= value <= high:
            return float(value)
    return float(rng.uniform(low, high))


def _train(rr: Times, seconds: float) -> Times:
    times = -LEAD_IN + np.cumsum(rr)
    return times[times < seconds + LEAD_IN]


_MAKERS: dict[str, Callable[[np.random.Generator, Patient, float], Events]] = {
    "sinus rhythm": _sinus(61, 98, 71, 9),
    "sinus bradycardia": _sinus(40, 58, 53, 4),
    "sinus tachycardia": _sinus(102, 150, 112, 10),
    "sinus arrhythmia": _sinus_arrhythmia,
    "1st degree AV block": _first_degree,
    "sinus with ventricular premature beats": _premature(ventricular=True),
    "sinus with atrial premature beats": _premature(ventricular=False),
    "atrial fibrillation": _fibrillation,
    "atrial flutter": _flutter,
    "supraventricular tachycardia": _supraventricular,
    "ventricular tachycardia": _ventricular,
    "junctional rhythm": _junctional,
    "ectopic atrial rhythm": _ectopic_atrial,
    "paced rhythm": _paced,
    "AV block of 2nd or 3rd degree": _block,
}
