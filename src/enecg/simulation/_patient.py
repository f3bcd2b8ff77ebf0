"""Who is recorded: age, sex, potassium, rhythm, disease; and what that does to intervals and amplitudes.

Sources of the effects (letters as in the comments below):
 A  ELSA-Brasil, Arq Bras Cardiol 2017 (11,094 healthy adults): medians of HR, PR, QRS, QTc, P duration, axes by sex
 B  Mangoni et al., Age Ageing 2003;32:326: QTc by age;  J Clin Med 2022;11:3737: PR, QTc and axis in a line with age
 C  Krogager et al., J Electrocardiol 2019: effects of each mmol/L of potassium below 4.1
 D  "Best electrocardiographic criteria for hyperkalemia" (128 dialysis patients): T 35 % higher, PR + 21 ms, T narrower
 E  Int J Emerg Med 2022 (s12245-022-00422-8): a quarter of ECGs with high potassium are normal
 F  sex and voltage: Sokolow-Lyon 36.6 against 23.6 mm in the young; precordial R, S and T smaller in women
 G  Bidoggia et al., Am Heart J 2000;140:430: J point and ST angle higher in men;  Pacing Clin Electrophysiol 2003;
    26:59: T peak to end shorter in women
 H  Framingham cross-section: voltage falls with age in men;  QRS-T angle widens after 51 y (J Clin Med 2022)
 I  Umetani et al., J Am Coll Cardiol 1998;31:593: heart rate variability falls with age
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.tasks import RHYTHMS

Vector = npt.NDArray[np.float64]

PREVALENCE = {
    "sinus rhythm": 0.44,
    "sinus tachycardia": 0.09,
    "sinus bradycardia": 0.09,
    "atrial fibrillation": 0.08,
    "sinus arrhythmia": 0.05,
    "sinus with ventricular premature beats": 0.05,
    "sinus with atrial premature beats": 0.04,
    "1st degree AV block": 0.04,
    "paced rhythm": 0.03,
    "atrial flutter": 0.02,
    "AV block of 2nd or 3rd degree": 0.015,
    "supraventricular tachycardia": 0.015,
    "junctional rhythm": 0.015,
    "ectopic atrial rhythm": 0.015,
    "ventricular tachycardia": 0.01,
}
"""Shares of the rhythms; sinus rhythms prevail as in clinics, the rare ones are common enough to be learned."""

PATTERNS = {
    "": 0.56,
    "LBBB": 0.03,
    "RBBB": 0.05,
    "LAFB": 0.05,
    "anterior MI": 0.06,
    "inferior MI": 0.06,
    "ST-T changes": 0.11,
    "LVH": 0.08,
}
"""Shares of the diseases of the myocardium."""

SUPERCLASS_OF = {
    "LBBB": "CD",
    "RBBB": "CD",
    "LAFB": "CD",
    "anterior MI": "MI",
    "inferior MI": "MI",
    "ST-T changes": "STTC",
    "LVH": "HYP",
}
POTASSIUM_SHARES = (0.15, 0.70, 0.15)
"""Low, normal, high: more disturbed values than in a ward, so that they can be learned."""

_PLAIN_SINUS = ("sinus rhythm", "sinus bradycardia", "sinus tachycardia", "sinus arrhythmia")


@dataclass(frozen=True)
class Person:
    """What stays the same in all recordings of a subject."""

    age: float
    sex: str
    rotation: Vector
    gain: float
    voltage: float
    repolarisation: float
    offsets: Vector
    pattern: str
    severity: float
    sensitivity: float


@dataclass(frozen=True)
class Patient:
    """A person at the time of a recording. Times in ms, angles in degrees, amplitudes relative to the usual beat."""

    person: Person
    potassium: float
    rhythm: str
    pr: float
    qrs: float
    qtc: float
    p_duration: float
    p_gain: float
    t_gain: float
    t_width: float
    u_wave: float
    st: float
    axis: float
    variability: float

    @property
    def superclass(self) -> tuple[str, ...]:
        """PTB-XL's superclasses that its patterns and rhythm mean; NORM for a plain sinus rhythm without disease."""
        found = {SUPERCLASS_OF[self.person.pattern]} if self.person.pattern else set()
        if self.rhythm in ("1st degree AV block", "AV block of 2nd or 3rd degree"):
            found.add("CD")
        if not found and self.rhythm in _PLAIN_SINUS:
            found.add("NORM")
        return tuple(name for name in ("NORM", "MI", "STTC", "CD", "HYP") if name in found)


def draw_person(
    rng: np.random.Generator, age: float | None = None, sex: str | None = None, pattern: str | None = None
) -> Person:
    """A person at random; what is given is kept."""
    drawn_age = float(np.clip(rng.normal(58, 18), 18, 90))
    drawn_sex = "female" if rng.random() < 0.5 else "male"
    drawn_pattern = str(rng.choice(list(PATTERNS), p=list(PATTERNS.values())))
    age, sex = round(drawn_age) if age is None else age, drawn_sex if sex is None else sex
    female, years = sex == "female", age - 50
    # F, H: voltage by sex and age; between people it varies by a quarter.
    voltage = (0.8 if female else 1.05 - 0.003 * years) * rng.lognormal(0, 0.2)
    return Person(
        age=float(age),
        sex=sex,
        rotation=rng.normal(0, 9, 3),
        gain=float(rng.lognormal(0, 0.08)),
        voltage=float(voltage),
        repolarisation=float((0.82 if female else 1.08) * rng.lognormal(0, 0.2)),
        offsets=rng.normal(0, 1, 6),
        pattern=drawn_pattern if pattern is None else pattern,
        severity=float(rng.uniform(0.45, 1.0)),
        # E: a quarter show nothing of a high potassium; the others differ widely.
        sensitivity=0.0 if rng.random() < 0.2 else float(rng.lognormal(0.15, 0.45)),
    )


def draw_patient(
    rng: np.random.Generator, person: Person, potassium: float | None = None, rhythm: str | None = None
) -> Patient:
    """The person at the time of a recording."""
    drawn_k, drawn_rhythm = _draw_potassium(rng), str(rng.choice(list(PREVALENCE), p=_prevalence()))
    k = drawn_k if potassium is None else float(potassium)
    rhythm = drawn_rhythm if rhythm is None else rhythm
    female, years = person.sex == "female", person.age - 50
    own = person.offsets + rng.normal(0, 0.25, 6)
    pr = (158 if female else 164) + 0.35 * years + 18 * own[0]  # A, B
    qrs = (86 if female else 92) + 8 * own[1]  # A
    qtc = (416 if female else 404) + 0.5 * years + 15 * own[2]  # A, B
    p_duration = (108 if female else 112) + 0.15 * years + 9 * own[3]  # A
    axis = (39 if female else 35) - 0.55 * years + 20 * own[4]  # A, B
    if person.pattern == "LAFB":  # What defines it: left of -45 degrees.
        axis = -52 - 18 * person.severity + 3 * own[4]
    low, high = max(0.0, 4.1 - max(k, 2.0)), max(0.0, min(k, 8.5) - 5.0)
    s = person.sensitivity
    st = 0.0 if female else 0.035  # G
    deep = max(0.0, 3.3 - k)
    t_gain = person.repolarisation - 0.0431 * low / 0.35 * (0.6 + 0.4 * s) + 0.32 * s * high  # C (T of 0.35 mV), D
    return Patient(
        person=person,
        potassium=round(k, 2),
        rhythm=rhythm,
        pr=float(np.clip(pr + 4.6 * low + 13 * s * high, 110, 320)),  # C, D
        qrs=float(np.clip(_widened(qrs + 9 * s * max(0.0, high - 1.2), person), 68, 190)),
        qtc=float(qtc + 12.8 * low - 6 * s * high),  # C
        p_duration=float(np.clip(p_duration + 2.7 * low, 75, 150)),  # C
        p_gain=float(max(0.05, 1 + 0.035 * low - 0.25 * s * max(0.0, high - 1.0)) * rng.lognormal(0, 0.15)),  # C
        t_gain=float(max(t_gain, 0.1 - 0.35 * deep * s)),
        t_width=float(np.clip((0.93 if female else 1.0) * (1 - 0.10 * s * high), 0.55, 1.1)),  # G, D
        u_wave=float(0.05 + 0.22 * s * max(0.0, 3.6 - k) + 0.02 * own[5] ** 2),
        st=st - 0.05 * s * max(0.0, 3.1 - k),
        axis=float(axis),
        variability=float(np.clip(1.6 - 0.014 * person.age, 0.3, 1.5) * rng.lognormal(0, 0.35)),  # I
    )


def _widened(qrs: float, person: Person) -> float:
    """QRS duration with what the person's disease adds, ms."""
    if person.pattern == "LBBB":
        return max(qrs, 122 + 35 * person.severity)
    if person.pattern == "RBBB":
        return max(qrs, 118 + 30 * person.severity)
    return qrs * 1.07 if person.pattern == "LVH" else qrs


def _draw_potassium(rng: np.random.Generator) -> float:
    kind = rng.choice(3, p=POTASSIUM_SHARES)
    if kind == 0:
        return float(3.49 - min(1.4, rng.exponential(0.4)))
    if kind == 1:
        return float(np.clip(rng.normal(4.25, 0.38), 3.5, 5.45))
    return float(5.5 + min(2.8, rng.exponential(0.7)))


def _prevalence() -> list[float]:
    total = sum(PREVALENCE.values())
    return [share / total for share in PREVALENCE.values()]


assert set(PREVALENCE) == set(RHYTHMS)
