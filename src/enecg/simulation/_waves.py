"""From events to the heart's dipole: Gaussian waves (McSharry et al., IEEE TBME 2003;50:289) on three axes
(Sameni et al., EURASIP J Adv Signal Process 2007, 43407), and from the dipole to leads (Dower et al. 1980).

Frank's axes: X to the left, Y to the feet, Z to the back; mV.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.simulation._patient import Patient
from enecg.simulation._rhythm import Beat, Events

Array = npt.NDArray[np.float64]

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""Leads I, II, V1 to V6 of a dipole (x, y, z): Dower, Machado, Osborne, Clin Cardiol 1980;3:87."""

_FIRST, _FOOT = DOWER[0], 2 / np.sqrt(3) * (DOWER[1] - DOWER[0] / 2)
"""Lead I, and aVF in the scale of the bipolar leads: the two axes of the frontal plane."""

_REACH = 4.5
"""Standard deviations drawn of each Gaussian."""


@dataclass(frozen=True)
class Wave:
    """A Gaussian. delay : s from the R peak;  width : standard deviation, s;  vector : mV on the three axes."""

    delay: float
    width: float
    vector: Array


@dataclass(frozen=True)
class Complex:
    """QRS, ST, T and U of one kind of beat, and where they begin and end in s from the R peak."""

    waves: tuple[Wave, ...]
    qrs_on: float
    qrs_off: float
    t_peak: float
    t_off: float


def _v(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z])


def ventricular_complex(patient: Patient, rr: float, kind: str, odd: Array) -> Complex:
    """The complex of a beat that follows after `rr` s. odd : a random direction, for ectopic beats."""
    person, d = patient.person, patient.qrs / 1000
    g = person.voltage
    qrs = [
        (-0.25, 0.11, _v(-0.12, -0.02, -0.16)),
        (0.0, 0.14, _v(0.98, 0.84, 0.32)),
        (0.26, 0.12, _v(-0.28, -0.18, 0.52)),
    ]
    t = _v(0.36, 0.12, -0.17) * patient.t_gain
    st = _v(0.5, 0.3, -1.2) * patient.st
    if kind != "normal":
        # A ventricle excited from its own wall or a wire takes some 55 ms more than through its bundles.
        d, g = d + (0.055 if kind == "ventricular" else 0.065), 1.0
        main = odd * 1.3 if kind == "ventricular" else _turned(_v(0.75, -0.85, 0.75), person.rotation)
        side = np.roll(main, 1) * 0.3
        qrs = [(-0.12, 0.08, main * 0.8 + side), (0.08, 0.13, main * 0.9), (0.32, 0.1, main * 0.3 - side)]
        t, st = -0.32 * main, -0.08 * main
    else:
        turn = np.array([person.rotation[0], person.rotation[1], 0.0])
        turn[2] = _turn_to_axis(qrs, turn, patient.axis)
        qrs, t, st, g = _diseased(qrs, t, st, g, patient, turn)
        t = _turned(t, person.rotation * 0.7 + np.array([0.0, 0.25 * max(0, person.age - 51), 0.0]))  # QRS-T angle: H
        qrs = [(at, width, _turned(vector, turn)) for at, width, vector in qrs]
    # Fridericia: QT grows with the cube root of RR; wide complexes lengthen it by their excess.
    qt = patient.qtc / 1000 * np.cbrt(np.clip(rr, 0.3, 1.6)) + max(0.0, d - 0.11)
    on = -0.42 * d
    fall = 0.042 * patient.t_width * np.sqrt(np.clip(rr, 0.35, 1.3))
    end = on + qt
    peak = max(end - 2.1 * fall, on + d + 0.06)
    waves = [Wave(at * d, width * d, vector * g * person.gain) for at, width, vector in qrs]
    waves += [
        Wave(on + d + 0.03, 0.035, st),
        Wave(peak - 0.35 * fall, 1.5 * fall, t * 0.5),
        Wave(peak, fall, t * 0.62),
    ]
    if kind == "normal" and patient.u_wave > 0.02:
        waves.append(Wave(end + 0.05, 0.028, _v(0.5, 0.35, -0.75) * patient.u_wave))
    return Complex(tuple(waves), on, on + d, peak, end)


Parts = list[tuple[float, float, Array]]


def _diseased(
    qrs: Parts, t: Array, st: Array, g: float, patient: Patient, turn: Array
) -> tuple[Parts, Array, Array, float]:
    """What the person's disease does to a normal complex, by its severity. turn : what follows for all of QRS."""
    s, pattern = patient.person.severity, patient.person.pattern
    if pattern == "LBBB":
        first, last = _v(0.75, 0.38, 0.62), _v(0.85, 0.25, 0.5)
        qrs = [(-0.17, 0.09, first), (0.05, 0.13, 0.7 * last), (0.26, 0.1, last)]
        t, st = _v(-0.25, -0.05, -0.3), _v(-0.08, 0, -0.09)
    elif pattern == "RBBB":
        qrs = [(at * 0.75, width * 0.75, vector) for at, width, vector in qrs]
        qrs.append((0.42, 0.1, _v(-0.5, 0.0, -0.62) * (0.6 + 0.4 * s)))
        t = t + _v(0.08, 0, 0.14) * s
    elif pattern == "LAFB":
        # The first vector stays where it is, to the right and down: small R waves in II, III, aVF.
        qrs = [(qrs[0][0], qrs[0][1], _turned(_v(-0.1, 0.22 * s, -0.14), _v(0, 0, -turn[2]))), *qrs[1:]]
    elif pattern == "anterior MI":
        qrs = [(-0.28, 0.14, _v(-0.1, 0.0, 0.4 * s)), *qrs[1:]]
        t, st = t * (1 - 1.3 * s) + _v(0, 0, 0.16 * s), st + _v(0.02, 0, -0.10 * s)
    elif pattern == "inferior MI":
        qrs = [(-0.27, 0.13, _v(0.05, -0.42 * s, 0.0)), *qrs[1:]]
        t, st = t + _v(0, -0.34 * s, 0), st + _v(0, 0.04 * s, 0)
    elif pattern == "ST-T changes":
        t, st = t * (1 - 1.15 * s), st + _v(-0.09, -0.05, 0.06) * s
    elif pattern == "LVH":
        g *= 1.3 + 0.55 * s
        if s > 0.65:
            t, st = t * (1 - 1.5 * s), st + _v(-0.08, -0.02, 0.04) * s
    return qrs, t, st, g


def _turn_to_axis(parts: Parts, tilt: Array, axis: float) -> float:
    """Degrees about Z that bring the frontal axis of waves, tilted about X and Y first, to `axis` degrees.

    Dower's leads stretch the frontal plane, so the angle of a lead's triangle is not that of the dipole.
    """
    area = sum((width * _turned(vector, tilt) for _, width, vector in parts), np.zeros(3))
    x, y, z = area
    c, s = np.cos(np.radians(axis)), np.sin(np.radians(axis))
    along, across = c * _FIRST + s * _FOOT, c * _FOOT - s * _FIRST
    # Nothing may be left across the wanted axis: p cos + q sin + r = 0 has two answers, one of them along it.
    p, q, r = across[0] * x + across[1] * y, across[1] * x - across[0] * y, across[2] * z
    middle, reach = np.arctan2(q, p), np.arccos(np.clip(-r / np.hypot(p, q), -1, 1))
    turns = np.degrees([middle + reach, middle - reach])
    return float(max(turns, key=lambda turn: float(along @ _turned(area, _v(0, 0, turn)))))


def _turned(vector: Array, degrees: Array) -> Array:
    """Turned about X, Y and Z in that order; about Z, positive from left to the feet, as electrical axes count."""
    a, b, c = np.radians(degrees)
    x, y, z = vector
    y, z = y * np.cos(a) - z * np.sin(a), y * np.sin(a) + z * np.cos(a)
    x, z = x * np.cos(b) + z * np.sin(b), -x * np.sin(b) + z * np.cos(b)
    x, y = x * np.cos(c) - y * np.sin(c), x * np.sin(c) + y * np.cos(c)
    return np.array([x, y, z])


def frontal_axis(found: Complex) -> float:
    """Frontal axis of QRS in degrees from the areas of leads I and aVF (Einthoven's triangle)."""
    inside = [wave for wave in found.waves if found.qrs_on <= wave.delay <= found.qrs_off]
    area = sum((wave.width * wave.vector for wave in inside), np.zeros(3))
    return float(np.degrees(np.arctan2(_FOOT @ area, _FIRST @ area)))


P_VECTORS = {"sinus": _v(0.11, 0.07, 0.0), "ectopic": _v(0.03, -0.09, -0.03), "retrograde": _v(0.02, -0.10, 0.0)}
_LEFT_ATRIUM = _v(0.005, 0.0, 0.015)
"""mV by which the second half of a P wave points to the left and back: V1 ends below the line."""


def draw_dipole(
    rng: np.random.Generator, patient: Patient, events: Events, rate: float, n: int
) -> tuple[Array, list[Complex]]:
    """The dipole [3, sample] without noise, and the complex of each beat."""
    odd = rng.normal(0, 1, 3) * np.array([0.8, 1.0, 0.8])
    odd /= np.linalg.norm(odd)
    breath, phase = rng.uniform(0.2, 0.3), rng.uniform(0, 2 * np.pi)
    times = np.array([beat.time for beat in events.beats])
    before = np.diff(times, prepend=times[:1] - np.median(np.diff(times)) if len(times) > 1 else times[:1] - 0.8)
    # QT follows the mean rate with a lag, so it is taken from half the beat's own and half the median interval.
    lagged = np.round((0.5 * before + 0.5 * np.median(before)) / 0.04) * 0.04
    known: dict[tuple[str, float], Complex] = {}
    for beat, rr in zip(events.beats, lagged.tolist(), strict=True):
        if (beat.kind, rr) not in known:
            known[beat.kind, rr] = ventricular_complex(patient, rr, beat.kind, odd)
    complexes = [known[beat.kind, rr] for beat, rr in zip(events.beats, lagged.tolist(), strict=True)]
    tables = {id(found): _table(found.waves) for found in known.values()}
    swings = 1 + 0.05 * np.sin(2 * np.pi * breath * times + phase)
    drawn = np.concatenate([tables[id(found)] for found in complexes])
    counts = [len(found.waves) for found in complexes]
    drawn[:, 0] += np.repeat(times, counts)
    drawn[:, 2:] *= np.repeat(swings, counts)[:, None]
    dipole = _rendered(np.concatenate([drawn, _p_waves(patient, events)]), rate, n)
    for beat, found in zip(events.beats, complexes, strict=True):
        if beat.kind == "paced":
            _spike(dipole, rate, beat, found)
    _atrial_waves(rng, dipole, events, rate)
    return dipole, complexes


def _table(waves: Iterable[Wave]) -> Array:
    """Waves as rows (time, width, x, y, z)."""
    return np.array([(wave.delay, wave.width, *wave.vector) for wave in waves]).reshape(-1, 5)


def _p_waves(patient: Patient, events: Events) -> Array:
    """Each P wave as two Gaussians, of the right and the left atrium; rows as of `_table`."""
    width = patient.p_duration / 1000 / 5
    waves = []
    for atrium in events.atria:
        vector = P_VECTORS[atrium.kind] * patient.p_gain
        waves.append(Wave(atrium.time - 0.4 * width, width, 0.75 * vector))
        waves.append(Wave(atrium.time + 0.9 * width, width, 0.5 * vector + _LEFT_ATRIUM))
    return _table(waves)


def _rendered(drawn: Array, rate: float, n: int) -> Array:
    """The sum [3, sample] of Gaussians, rows as of `_table`, each drawn only where it is not nothing."""
    time, width = drawn[:, 0], drawn[:, 1]
    middle = np.round(time * rate).astype(np.intp)
    reach = np.ceil(_REACH * width * rate).astype(np.intp)
    first = np.clip(middle - reach, 0, n)
    counts = np.clip(middle + reach + 1, first, n) - first
    # All samples of all Gaussians in one row: which Gaussian, and which sample of the recording.
    owner = np.repeat(np.arange(len(drawn)), counts)
    places = np.arange(len(owner)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    shape = np.exp(-0.5 * (places * (1 / rate / width)[owner] - (time / width)[owner]) ** 2)
    return np.stack([np.bincount(places, shape * drawn[owner, axis], minlength=n) for axis in (2, 3, 4)])


def _spike(dipole: Array, rate: float, beat: Beat, found: Complex) -> None:
    """The pacemaker's pulse: 2 ms (one sample at low rates, of what a recorder's filter leaves of it)."""
    place = round((beat.time + found.qrs_on - 0.012) * rate)
    size = 1.4 if rate >= 400 else 0.5
    if 0 <= place < dipole.shape[1]:
        dipole[:, place] += np.array([0.5, -0.7, 0.4]) * size


def _atrial_waves(rng: np.random.Generator, dipole: Array, events: Events, rate: float) -> None:
    t = np.arange(dipole.shape[1]) / rate
    if events.fibrillation:
        size = rng.uniform(0.012, 0.035)
        for _ in range(3):
            f = events.fibrillation * rng.uniform(0.85, 1.15)
            swing = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 0.7) * t + rng.uniform(0, 6.3))
            wave = np.sin(2 * np.pi * f * t + 2 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * t) + rng.uniform(0, 6.3))
            dipole += (rng.normal(0, 1, 3) * np.array([0.5, 0.8, 1.0]) * size)[:, None] * (swing * wave)
    if events.flutter:
        phase = (t * events.flutter + rng.random()) % 1
        saw = np.where(phase < 0.7, 0.5 - phase / 0.7, (phase - 0.7) / 0.3 - 0.5)
        dipole += np.array([0.02, 0.17, -0.09])[:, None] * rng.uniform(0.7, 1.4) * saw
