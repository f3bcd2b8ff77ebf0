"""Make deliberate faults in clean real recordings, and count how many are noticed and what is noticed for nothing.

    .venv/bin/python scripts/check_faults.py --data FOLDER [--learn]

FOLDER holds `ptbxl` and `ludb` (see docs/cohorts.md). PTB-XL's recordings with a remark on noise or electrodes are left
out; each patient gives one recording. Patients are split in two halves: `--learn` takes the distributions and
thresholds of signal/doubts.py from the one half and writes `src/enecg/data/usual.json`; without it the faults are
made in recordings of the other half, and `results/faults.json` says what came of it. PTB-XL patients of that half whom
earlier runs looked at, while doubts were chosen, are passed over; LUDB is too small for that.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.random import Generator, default_rng

import enecg
from enecg.recording import Recording
from enecg.signal.beats import r_peaks
from enecg.signal.delineation import delineate, median_beat
from enecg.signal.doubts import OF_LEADS, RATES, doubts, scores, wave_lengths
from enecg.signal.electrodes import EXCHANGES, sizes
from enecg.signal.usual import FILE, Usual

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "faults.json"

CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
LEARNED, LEARNED_FAULTY, PASSED_OVER, TESTED = 600, 60, 250, 250
"""PTB-XL patients: learned from, learned from with faults made, of the other half seen before, tested."""
FALSE_ALARMS = 0.005
"""Share of clean recordings of the learning half in which each doubt may be said."""
AT_LEAST = {
    "missing": 0.1,
    "copy": 0.5,
    "saturated": 2.5,
    "mains": 0.02,
    **dict.fromkeys(EXCHANGES, 1.0),
    **dict.fromkeys(RATES, 0.0),
}
"""Scores that are never a doubt, however seldom clean recordings have them."""

Array = np.ndarray


class Fault(NamedTuple):
    """Kinds of doubt that count as having noticed it, and how it is made: (signal, rate, leads, rng) -> the same."""

    kinds: tuple[str, ...]
    make: Callable[[Array, float, list[str], Generator], tuple[Array, float]]


def gain(factor: float) -> Any:
    return lambda signal, rate, leads, rng: (signal * np.float32(factor), rate)


def relabelled(factor: float) -> Any:
    return lambda signal, rate, leads, rng: (signal, rate * factor)


def exchange(name: str) -> Any:
    """Electrodes exchanged: leads I and II as the exchange makes them, the others as the laws make them of these."""

    def make(signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
        changed = signal.copy()
        i, ii = EXCHANGES[name] @ signal[[leads.index("I"), leads.index("II")]]
        made = {"I": i, "II": ii, "III": ii - i, "aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}
        for lead, values in made.items():
            changed[leads.index(lead)] = values
        return changed, rate

    return make


def one_lead(change: Callable[[Array, float, Generator], Array], *among: str) -> Any:
    """One lead of `among` (of all, if none is named) replaced."""

    def make(signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
        changed = signal.copy()
        at = leads.index(str(rng.choice(among or leads)))
        changed[at] = change(signal[at], rate, rng)
        return changed, rate

    return make


def idle(values: Array, rate: float, rng: Generator) -> Array:
    """What an amplifier without an electrode gives: a constant, or 3 microvolts of noise."""
    return np.full_like(values, 0.2) + rng.normal(0, 0.003 * rng.integers(2), values.shape)


def no_chest(signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
    changed = signal.copy()
    at = [leads.index(name) for name in CHEST]
    changed[at] = idle(signal[at], rate, rng)
    return changed, rate


def gap(signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
    """Half a second to two seconds missing in some leads."""
    changed = signal.copy()
    n = round(rng.uniform(0.5, 2.0) * rate)
    start = rng.integers(signal.shape[1] - n)
    changed[rng.permutation(len(leads))[: rng.integers(1, len(leads) + 1)], start : start + n] = np.nan
    return changed, rate


def hum(values: Array, rate: float, rng: Generator) -> Array:
    t = np.arange(values.size) / rate
    return values + 0.1 * np.sin(2 * np.pi * (rng.choice([50, 60]) * t + rng.uniform()))


def saturated(values: Array, rate: float, rng: Generator) -> Array:
    """Cut off at 60 % of its highest or lowest deflection, whichever is larger."""
    middle = np.median(values)
    reach = np.abs(values - middle).max() * 0.6
    return np.clip(values, middle - reach, middle + reach)


def wandering(values: Array, rate: float, rng: Generator) -> Array:
    t = np.arange(values.size) / rate
    return values + 2 * np.sin(2 * np.pi * (0.25 * t + rng.uniform()))


def trembling(values: Array, rate: float, rng: Generator) -> Array:
    return values + rng.normal(0, 0.15, values.shape)


def adrift(values: Array, rate: float, rng: Generator) -> Array:
    """No heart, a random walk: an electrode that hangs loose."""
    walk = np.cumsum(rng.normal(0, 1, values.shape))
    return np.asarray(0.5 * (walk - walk.mean()) / walk.std())


def arm_off(signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
    """The electrode RA off: a random walk instead in I and II, and what the laws make of it in the augmented leads."""
    changed = signal.copy()
    walk = adrift(signal[0], rate, rng).astype(np.float32)
    i, ii = walk, walk + signal[leads.index("III")]
    for lead, values in {"I": i, "II": ii, "aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}.items():
        changed[leads.index(lead)] = values
    return changed, rate


FAULTS = {
    "gain x 10": Fault(("gain too high",), gain(10)),
    "gain x 0.1": Fault(("gain too low",), gain(0.1)),
    "RA and LA exchanged": Fault(tuple(EXCHANGES), exchange("RA and LA")),
    "RA and LL exchanged": Fault(tuple(EXCHANGES), exchange("RA and LL")),
    "LA and LL exchanged": Fault(tuple(EXCHANGES), exchange("LA and LL")),
    "aVR with the wrong sign": Fault(("limb leads disagree",), one_lead(lambda x, rate, rng: -x, "aVR")),
    "one lead flat": Fault(("no signal",), one_lead(idle)),
    "V1 to V6 lost": Fault(("no signal",), no_chest),
    "rate x 2 in the header": Fault(("rate too high",), relabelled(2)),
    "rate / 2 in the header": Fault(("rate too low",), relabelled(0.5)),
    "samples missing, 0.5 to 2 s": Fault(("missing",), gap),
    "mains, 0.1 mV in one lead": Fault(("mains",), one_lead(hum)),
    "one lead saturated": Fault(("saturated",), one_lead(saturated)),
    "baseline wander, 4 mV in one lead": Fault(("wander",), one_lead(wandering)),
    "muscle noise, 0.15 mV in one lead": Fault(("muscle",), one_lead(trembling)),
    "one chest electrode off": Fault(("no beats",), one_lead(adrift, *CHEST)),
    "electrode RA off": Fault(("no beats",), arm_off),
}
KINDS = (
    *dict.fromkeys(kind for fault in FAULTS.values() for kind in fault.kinds if kind != "limb leads disagree"),
    "copy",
)
"""Doubts whose thresholds are learned; that of the limb leads is a law's (signal/leads.py)."""


def recordings(data: Path, learning: bool, n: int) -> Iterator[tuple[str, Recording]]:
    """(cohort, recording) of one half of the patients: n of PTB-XL, then all of LUDB.

    Of the half to test, the first PASSED_OVER of PTB-XL do not count among the n.
    """
    remarks = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
    with (data / "ptbxl" / "ptbxl_database.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if not any(line[name].strip() for name in remarks)]
    patients = {line["patient_id"]: data / "ptbxl" / f"{line['filename_lr']}.hea" for line in lines}
    ludb = {path.stem: path for path in (data / "ludb" / "data").glob("*.hea")}
    first = 0 if learning else PASSED_OVER
    for cohort, paths, wanted in (("ptbxl", patients, slice(first, first + n)), ("ludb", ludb, slice(None))):
        drawn = sorted(paths, key=lambda subject: crc32(f"{cohort}:{subject}".encode()))
        half = [s for s in drawn if crc32(f"half:{cohort}:{s}".encode()) % 2 == learning and paths[s].is_file()]
        for subject in half[wanted]:
            yield cohort, enecg.read(paths[subject])


def askable(name: str, rate: float) -> bool:
    """Whether a recording can have a fault: no mains at 100 Hz."""
    return FAULTS[name].kinds != ("mains",) or rate > 130


def learn(data: Path) -> None:
    """Distributions from all, thresholds from scores on clean recordings and on some with faults."""
    found = list(recordings(data, True, LEARNED))
    lengths: dict[str, list[Array]] = {"as is": [], **{kind: [] for kind in RATES}}
    directions = []
    for number, (_, recording) in enumerate(found):
        for kind, factor in {"as is": 1.0, **{kind: 1 / share for kind, share in RATES.items()}}.items():
            if kind in RATES and number % 2:  # Half of them say enough of three numbers.
                continue
            rate = recording.rate * factor
            peaks = r_peaks(recording.signal, rate)
            beats = median_beat(recording.signal, rate, peaks)
            if beats is None:
                continue
            waves = delineate(beats)
            lengths[kind].append(wave_lengths(waves, peaks, rate))
            if kind == "as is" and (one := sizes(beats, waves, recording.leads)) is not None:
                directions.append(one.ravel())
    usual = {kind: Usual.of(np.array(rows), 0.003) for kind, rows in lengths.items()}
    usual["directions"] = Usual.of(np.array(directions), 0.02)
    usual = {name: Usual(own.mean.round(4), own.covariance.round(4)) for name, own in usual.items()}
    print(f"{len(directions)} recordings learned from")

    clean: dict[str, list[float]] = {kind: [] for kind in KINDS}
    faulty: dict[str, list[float]] = {kind: [] for kind in KINDS}
    rng = default_rng(0)
    every = len(found) // LEARNED_FAULTY
    for number, (_, recording) in enumerate(found):
        signal, rate, leads = recording.signal, recording.rate, list(recording.leads)
        for kind, value in largest(scores(signal, rate, leads, usual)).items():
            clean[kind].append(value)
        for name, fault in FAULTS.items() if number % every == 0 else ():
            if askable(name, rate):
                value = largest(scores(*made(fault, signal, rate, leads, rng), leads, usual))
                if fault.kinds[0] in KINDS:
                    faulty[fault.kinds[0]].append(max(value.get(kind, -np.inf) for kind in fault.kinds))
    for kind in EXCHANGES:  # One fault of these is easier to see than another.
        faulty[kind] = []
    limits = {kind: threshold(kind, clean[kind], faulty[kind]) for kind in KINDS}
    record = {
        "about": {
            "command": "scripts/check_faults.py --learn",
            "from": f"{len(found)} recordings of as many patients of PTB-XL (CC BY 4.0) and LUDB (ODC-BY)",
        },
        "thresholds": limits,
        "distributions": {
            name: {"mean": own.mean.tolist(), "covariance": own.covariance.tolist()} for name, own in usual.items()
        },
    }
    FILE.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(json.dumps(limits, indent=1))


def largest(found: dict[str, Any]) -> dict[str, float]:
    """Each score's largest over leads, where there is one."""
    return {kind: float(np.nanmax(value)) for kind, value in found.items() if not np.isnan(value).all()}


def threshold(kind: str, clean: list[float], faulty: list[float]) -> float:
    """Above nearly all clean recordings; half-way to the faults where these are all beyond."""
    limit = float(np.quantile(clean, 1 - FALSE_ALARMS)) if clean else 0.0
    least = float(np.quantile(faulty, 0.01)) if faulty else limit
    return round(max(AT_LEAST.get(kind, -np.inf), limit, (limit + least) / 2), 3)


def made(fault: Fault, signal: Array, rate: float, leads: list[str], rng: Generator) -> tuple[Array, float]:
    changed, stated = fault.make(signal, rate, leads, rng)
    return changed.astype(np.float32), stated


def check(data: Path) -> None:
    """Sensitivity, false alarms, and how often the doubt names the right thing."""
    rng = default_rng(1)
    noticed: dict[str, list[bool]] = {name: [] for name in FAULTS}
    named: dict[str, list[bool]] = {name: [] for name in FAULTS}
    alarms: dict[str, list[bool]] = {name: [] for name in FAULTS}
    anything, counts, began = [], dict[str, int](), time.monotonic()
    for cohort, recording in recordings(data, False, TESTED):
        signal, rate, leads = recording.signal, recording.rate, list(recording.leads)
        counts[cohort] = counts.get(cohort, 0) + 1
        before = {doubt.kind for doubt in doubts(signal, rate, leads)}
        anything.append(bool(before))
        for name, fault in FAULTS.items():
            if not askable(name, rate):
                continue
            changed, stated = made(fault, signal, rate, leads, rng)
            said = [doubt for doubt in doubts(changed, stated, leads) if doubt.kind in fault.kinds]
            noticed[name].append(bool(said))
            alarms[name].append(bool(before & set(fault.kinds)))
            named[name].append(bool(said) and right(name, said[0], signal, changed, leads))
    rows = [
        {
            "fault": name,
            "doubt": "exchanged electrodes" if len(fault.kinds) > 1 else fault.kinds[0],
            "recordings": len(noticed[name]),
            "noticed": wilson(noticed[name]),
            "named": wilson(named[name]),
            "false alarms": wilson(alarms[name]),
        }
        for name, fault in FAULTS.items()
    ]
    about = {
        "command": "scripts/check_faults.py --data FOLDER",
        "recordings": counts,
        "passed over": {"ptbxl": PASSED_OVER},
        "learned": json.loads(FILE.read_text())["about"],
        "any doubt on a clean recording": wilson(anything),
    }
    RESULTS.write_text(json.dumps({"about": about, "faults": rows}, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s")
    for row in rows:
        print(row["fault"], *(f"{row[key][0]:.3f}" for key in ("noticed", "named", "false alarms")))
    print("any doubt", about["any doubt on a clean recording"])


def right(name: str, said: Any, before: Array, after: Array, leads: list[str]) -> bool:
    """Whether a doubt names the leads that were changed, and no others; or the electrodes; or the sign."""
    if said.kind in EXCHANGES:
        return name.startswith(said.kind)
    if said.kind == "limb leads disagree":
        return said.leads == ("aVR",) and "aVR had the other sign" in said.text
    if name == "electrode RA off":
        return "the electrode RA" in said.text
    if said.kind in OF_LEADS:
        return set(said.leads) == {
            lead for lead, a, b in zip(leads, before, after, strict=True) if not np.array_equal(a, b)
        }
    return True


def wilson(hits: list[bool]) -> tuple[float, float, float]:
    """Share, and its 95 % interval by Wilson's score; each patient gives one recording."""
    n, z = len(hits), 1.959964
    share = float(np.mean(hits))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return round(share, 4), round(max(0.0, middle - reach), 4), round(min(1.0, middle + reach), 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--learn", action="store_true")
    options = parser.parse_args()
    (learn if options.learn else check)(options.data)
