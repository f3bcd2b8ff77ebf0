"""Simulated recordings with known truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import RecordingError
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation._noise import draw_noise
from enecg.simulation._patient import PATTERNS, Patient, draw_patient, draw_person
from enecg.simulation._rhythm import Events, draw_events
from enecg.simulation._waves import DOWER, INDEPENDENT, Complex, draw_dipole, frontal_axis
from enecg.tasks import RHYTHMS

Times = npt.NDArray[np.float64]

VERSION = 3
"""Raised whenever the recordings of a seed change."""

LABELS = ("rr_interval", "age", "sex", "potassium", "rhythm", "superclass")


@dataclass(frozen=True)
class Truth:
    """What is true of a simulated recording. Times in s from its start, intervals in ms, NaN where there is none.

    beats : of the R peaks inside the recording;  kinds : "normal", "ventricular" or "paced", of each.
    qrs_on, qrs_off, t_peak, t_off : of each beat, also of a T wave that runs into the next beat;
    p_peaks : middles of the P waves, those hidden in other waves too.
    rr, pr, qrs, qt : mean RR, and intervals of the prevailing beats;  axis : frontal, of QRS, degrees.
    potassium : mmol/L;  labels : of each task, None where left out on request.
    Nothing here depends on the sampling rate or on the noise.
    """

    beats: Times
    kinds: tuple[str, ...]
    qrs_on: Times
    qrs_off: Times
    t_peak: Times
    t_off: Times
    p_peaks: Times
    rr: float
    pr: float
    qrs: float
    qt: float
    axis: float
    potassium: float
    labels: Mapping[str, Any]


@dataclass(frozen=True)
class SimulatedRecording:
    """A recording and what is true of it."""

    recording: Recording
    truth: Truth


def simulate(
    n: int,
    seed: int = 0,
    *,
    rate: float = 500.0,
    seconds: float = 10.0,
    recordings_per_subject: int = 1,
    missing: float = 0.0,
    noise: float = 1.0,
    patient: Mapping[str, Any] | None = None,
) -> list[SimulatedRecording]:
    """`n` simulated 12-lead recordings with their truth; recording i of a seed does not depend on n.

    rate : Hz;  seconds : length;  missing : share of the labels left out;  noise : 0 none, 1 as in a clinic.
    patient : what is given instead of drawn: `age`, `sex`, `pattern`, `potassium` (mmol/L), `rhythm`.
    Raises RecordingError for values that no recording can have.
    """
    _check({"n": n}, {})
    return [
        simulate_one(
            index,
            seed,
            rate=rate,
            seconds=seconds,
            recordings_per_subject=recordings_per_subject,
            missing=missing,
            noise=noise,
            patient=patient,
        )
        for index in range(n)
    ]


def simulate_one(
    index: int,
    seed: int = 0,
    *,
    rate: float = 500.0,
    seconds: float = 10.0,
    recordings_per_subject: int = 1,
    missing: float = 0.0,
    noise: float = 1.0,
    patient: Mapping[str, Any] | None = None,
) -> SimulatedRecording:
    """Recording `index` of a seed; arguments as for `simulate`."""
    given = dict(patient or {})
    options = {"rate": rate, "seconds": seconds, "missing": missing, "noise": noise}
    options |= {"index": index, "seed": seed, "recordings_per_subject": recordings_per_subject}
    _check(options, given)
    subject = index // recordings_per_subject
    person = draw_person(
        np.random.default_rng([seed, 1, subject]), *(given.get(name) for name in ("age", "sex", "pattern"))
    )
    rng = np.random.default_rng([seed, 2, index])
    who = draw_patient(rng, person, given.get("potassium"), given.get("rhythm"))
    events = draw_events(rng, who, seconds)
    n = round(seconds * rate)
    dipole, complexes = draw_dipole(rng, who, events, rate, n)
    signal = draw_noise(rng, len(INDEPENDENT), n, rate, noise)
    signal += DOWER.astype(np.float32) @ dipole.astype(np.float32)
    hidden = np.random.default_rng([seed, 3, index]).random(len(LABELS)) < missing
    truth = _truth(who, events, complexes, seconds, hidden)
    recording = Recording(
        signal=_twelve(signal),
        rate=rate,
        leads=STANDARD_LEADS,
        id=f"simulated_{seed}_{index:06d}",
        subject=f"simulated:{seed}-{subject}",
        age=person.age,
        sex=person.sex,
        notes=("simulated",),
    )
    return SimulatedRecording(recording, truth)


def _twelve(signal: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """All twelve leads from the eight independent ones, by Einthoven and Goldberger."""
    first, second = signal[0], signal[1]
    out = np.empty((12, signal.shape[1]), dtype=np.float32)
    out[:2] = signal[:2]
    out[2] = second - first
    out[3] = -0.5 * (first + second)
    out[4] = first - 0.5 * second
    out[5] = second - 0.5 * first
    out[6:] = signal[2:]
    return out


def _truth(
    who: Patient, events: Events, complexes: list[Complex], seconds: float, hidden: npt.NDArray[np.bool_]
) -> Truth:
    inside = [k for k, beat in enumerate(events.beats) if 0 <= beat.time < seconds]
    beats = np.array([events.beats[k].time for k in inside])
    marks = {
        name: np.array([events.beats[k].time + getattr(complexes[k], name) for k in inside])
        for name in ("qrs_on", "qrs_off", "t_peak", "t_off")
    }
    p_peaks = np.array([atrium.time for atrium in events.atria if 0 <= atrium.time < seconds])
    kinds = tuple(events.beats[k].kind for k in inside)
    common = complexes[inside[len(inside) // 2]]
    normal = [complexes[k] for k in inside if events.beats[k].kind == "normal"]
    if normal:
        common = normal[len(normal) // 2]
    rr = float(np.diff(beats).mean() * 1000) if len(beats) > 1 else float("nan")
    labels: dict[str, Any] = {
        "rr_interval": None if np.isnan(rr) else rr,
        "age": who.person.age,
        "sex": who.person.sex,
        "potassium": who.potassium,
        "rhythm": who.rhythm,
        "superclass": list(who.superclass),
    }
    labels = {name: None if hide else labels[name] for name, hide in zip(LABELS, hidden, strict=True)}
    return Truth(
        beats=beats,
        kinds=kinds,
        p_peaks=p_peaks,
        rr=rr,
        pr=_pr(who, marks["qrs_on"][[kind == "normal" for kind in kinds]], p_peaks),
        qrs=(common.qrs_off - common.qrs_on) * 1000,
        qt=(common.t_off - common.qrs_on) * 1000,
        axis=frontal_axis(common),
        potassium=who.potassium,
        labels=labels,
        **marks,
    )


_LED_BY_P = (
    "sinus rhythm",
    "sinus bradycardia",
    "sinus tachycardia",
    "sinus arrhythmia",
    "1st degree AV block",
    "sinus with ventricular premature beats",
    "sinus with atrial premature beats",
    "ectopic atrial rhythm",
)
"""Rhythms with one P wave before each normal beat, at a steady distance."""


def _pr(who: Patient, onsets: Times, p_peaks: Times) -> float:
    """Median time from the onset of P to that of QRS, of normal beats; NaN where P waves do not lead.

    onsets : of the normal beats' QRS.
    """
    if who.rhythm not in _LED_BY_P:
        return float("nan")
    before = [onset - p_peaks[p_peaks < onset].max() for onset in onsets if (p_peaks < onset).any()]
    return float(np.median(before) * 1000 + who.p_duration / 2) if before else float("nan")


_OPTIONS = {
    "n": (0, np.inf, ""),
    "index": (0, np.inf, ""),
    "seed": (0, np.inf, ""),
    "rate": (50, 5000, " Hz"),
    "seconds": (2, 3600, ""),
    "recordings_per_subject": (1, np.inf, ""),
    "missing": (0, 1, ""),
    "noise": (0, 1000, ""),
}
_PATIENT = {
    "age": (0, 120, " years"),
    "sex": ("female", "male"),
    "pattern": tuple(PATTERNS),
    "potassium": (1, 10, " mmol/L"),
    "rhythm": tuple(RHYTHMS),
}


def _check(options: Mapping[str, Any], patient: Mapping[str, Any]) -> None:
    """Raises RecordingError for what cannot be simulated, with all that is wrong."""
    wrong = [_problem(name, value, _OPTIONS[name]) for name, value in options.items()]
    wrong += [_problem(name, value, _PATIENT[name]) for name, value in patient.items() if name in _PATIENT]
    wrong += [f"patient with {name!r}, expected {', '.join(_PATIENT)}" for name in patient if name not in _PATIENT]
    if any(wrong):
        raise RecordingError(f"cannot be simulated: {'; '.join(filter(None, wrong))}")


def _problem(name: str, value: Any, allowed: tuple[Any, ...]) -> str:
    """What is wrong with a value, or nothing. allowed : texts, or (lowest, highest, unit)."""
    low, high, unit = allowed[0], allowed[1], allowed[-1]
    if isinstance(low, str):
        return "" if value in allowed else f"{name} {value!r}, expected one of {', '.join(map(repr, allowed))}"
    if isinstance(value, (int, float, np.number)) and low <= value <= high:
        return ""
    return f"{name} {value!r}, expected {f'{low} or more' if high == np.inf else f'{low} to {high}'}{unit}"
