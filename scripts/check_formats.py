"""Read every file of a folder of ECG files whose content is known, and say where `enecg.read` differs from it.

    .venv/bin/python scripts/check_formats.py FOLDER [--also FOLDER ...]

`FOLDER/expected.json` says of each file what independent readers found in it: rate, leads, number of samples, first
samples, ranges, facts of the patient, and which files hold one recording. Where a file is read otherwise on purpose,
CHANGES has the reason in words, and what is expected instead: nothing goes unchecked. `--also` names folders of
recordings of which is only asked that each opens. Writes `results/formats.json`, of which `make results` makes a page,
and exits with 1 if anything disagrees.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

import enecg
from enecg.errors import EnECGError, LeadError
from enecg.formats import find, recordings_of
from enecg.formats.hdf5 import CODE15_UNIT
from enecg.recording import Recording, standard_lead

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "formats.json"

Entry = Mapping[str, Any]
Signals = dict[str, np.ndarray]

CHEST = ("V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "X")
MEASURED = {
    "heart_rate": ("heart_rate_bpm",),
    "rr_interval": ("rr_ms",),
    "pr_interval": ("pr_ms",),
    "qrs_duration": ("qrs_ms",),
    "qt_interval": ("qt_ms",),
    "qtc_bazett": ("qtc_bazett_ms", "qtc_ms"),
    "qtc_fridericia": ("qtc_fridericia_ms", "qtc_ms"),
    "p_axis": ("p_axis_deg",),
    "qrs_axis": ("qrs_axis_deg",),
    "t_axis": ("t_axis_deg",),
    "qrs_count": ("qrs_count",),
}
"""What a Recording calls a measurement, by its name in expected.json; `qtc_ms` where a file names no formula."""

GIVEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("csv/applewatch_pointvalue.csv", {"unit": "uV", "rate": 512, "leads": ["I"]}),
    ("csv/constructed_recA_first2s_mv.csv", {"unit": "mV"}),
    ("mat/cpsc2020_filtered_60s.mat", {"unit": "mV", "rate": 250, "leads": ["V1"]}),
    ("hdf5/constructed_code15_layout.hdf5", {"unit": "mV", "item": 1169160}),
    ("wfdb/31?derive*.hea", {"leads": CHEST}),
    ("wfdb/test01_00s*.hea", {"leads": CHEST}),
    ("wfdb/*formats.hea", {"leads": CHEST}),
)
"""What a file does not say, so that it has to be refused until the caller does; as many of the leads as it has."""

CHANGES: tuple[tuple[str, Callable[[Entry], Entry], str], ...] = (
    (
        "philips/philips_*",
        lambda e: {"n_samples": e["last_ecg_sample"] + 1, "cut_off_mV": (0.0, 1.0)},
        "cut after the last sample of ECG: zeros and a calibration pulse of 1 mV follow, on all leads",
    ),
    (
        "philips/philips_1_04_01_*",
        lambda e: {"metadata": e["metadata"] | {"patient_id": None}},
        "a patient id that was blanked out (`xxxxxx`) is none",
    ),
    (
        "aecg/lepu_lead12_1.xml",
        lambda e: {"metadata": e["metadata"] | {"patient_id": "2022061608551900004"}},
        "the id that says `trialSubject` of everyone is none; PatientID beside it is",
    ),
    (
        "scp/welchallyn_*",
        lambda e: {"fs": e["fs_exact"]},
        "a sample every 1,667 us is 599.88 Hz, which is not rounded",
    ),
    (
        "edf/constructed_recA_plusD_gap.edf",
        lambda e: {"n_samples": 8500, "missing_samples": {"I": 3500, "II": 3500}},
        "the 7 s between data records are there, as missing samples, and not left out",
    ),
    (
        "hdf5/constructed_code15_layout.hdf5",
        lambda e: {"n_samples": 4000, "values": {"I": (0, e["row0_lead_I_samples_48_to_55_mV"])}},
        "the 48 zeros at both ends are padding and left out, with a note",
    ),
    (
        "wfdb/multi-segment/041s/041s.hea",
        lambda e: {
            "fs": e["full_rate_hz"],
            "n_samples": e["full_rate_samples"],
            "averaged": 4,
            "step_mV": 1 / 2000,
            "missing_samples": {"I": 1},
            "range_mV": {name: reach for name, reach in e["range_mV"].items() if name != "I"},
        },
        "read at the full rate of its ECG, of which the values expected are means of four samples, rounded; one sample "
        "of lead I is what format 212 writes for a missing one, and is no -1.024 mV",
    ),
    (
        "wfdb/test01_00s_*frame.hea",
        lambda e: {"left_out": ["ECG_2"]},
        "the one lead at 1,000 Hz among others at 500 is left out, with a note",
    ),
    (
        "wfdb/test01_00s_skew*.hea",
        lambda e: {"missing_samples": {lead: skew for lead, skew in zip(e["leads"], e["skew"], strict=True) if skew}},
        "a lead that is moved by its skew ends so many samples earlier: they are missing",
    ),
    (
        "wfdb/mixedsignals.hea",
        lambda e: {
            "fs": e["rate_per_signal"][0],
            "n_samples": e["samples_per_signal"][0],
            "missing_samples": {name: e["nan"][name] for name in ("II", "III", "V")},
            "values": {
                name: (e["first_valid"][name]["index"], e["first_valid"][name]["values"]) for name in e["leads"]
            },
        },
        "pressure, pulse and breath are no leads and left out, with a note",
    ),
    (
        "wfdb/*formats.hea",
        lambda e: {
            "values": {name: (0, [value / 200 for value in row]) for name, row in e["first8_stored"].items()},
        },
        "stored integers, at 200 to the mV",
    ),
)
"""Where a file is read otherwise than expected.json has it: which, what is expected instead, why."""

NO_RECORDING = {"ishne/thew_1-300m.ann": "annotations, without samples"}

SAID = {
    "scp/contec_0000050_overlong.scp": "37,855",
    "ishne/thew_1-300m.ecg": "8,056,200",
    "edf/contec_0000050.edf": "scale may be wrong",
    "edf/constructed_recA_plusD_gap.edf": "missing samples",
    "kardia/afib_deid_bad_checksums.atc": "checksums",
    "aecg/ecgtoolkit_example.xml": "49",
    "aecg/philips_ad4d3d80_converted.xml": "calibration pulse",
    "philips/philips_*": "calibration pulse",
    "hdf5/constructed_code15_layout.hdf5": "padding",
    "wfdb/100_3chan.hea": "Einthoven",
    "wfdb/mixedsignals.hea": "ABP",
    "wfdb/multi-segment/041s/041s.hea": "ABP",
}
"""What a note has to speak of, since silent reading would mislead."""

OPENED_WITH = {"code15": {"unit": CODE15_UNIT}}
"""What the caller adds for the folders of `--also`, by their names."""

REFUSED_RIGHTLY = {
    "original_headers/*.hea": "the publisher's header, kept without its signal file",
}
"""Recordings of the folders of `--also` that cannot be opened, and why."""


# -- one file --------------------------------------------------------------------------------------------------------


def checked(folder: Path, name: str, entry: Entry) -> dict[str, Any]:
    """A row of the result: what was found in a file, and whether it agrees."""
    given = next((given for pattern, given in GIVEN if fnmatch(name, pattern)), {})
    reasons = [why for pattern, _, why in CHANGES if fnmatch(name, pattern)]
    row = {"file": name, "format": entry["format"], "must_refuse": entry["must_refuse"], "given": list(given)}
    if entry["must_refuse"] or name in NO_RECORDING:
        found, wrong = refusal(folder / name)
        return row | {"found": found, "reasons": [NO_RECORDING[name]] if name in NO_RECORDING else [], "wrong": wrong}
    wrong = refusal(folder / name)[1] if given else []
    if "leads" in given and "leads" in entry:
        given = given | {"leads": given["leads"][: len(entry["leads"])]}
    try:
        recording = enecg.read(folder / name, **given)
    except EnECGError as error:
        return row | {"found": told(error, folder), "reasons": reasons, "wrong": [*wrong, "is not read"]}
    for pattern, change, _ in CHANGES:
        if fnmatch(name, pattern):
            entry = {**entry, **change(entry)}
    wrong += differences(entry, recording, given.get("leads"))
    wrong += [f"no note speaks of {word!r}" for word in words(name) if not any(word in one for one in recording.notes)]
    row |= {"found": summary(recording), "notes": [told(note, folder) for note in recording.notes]}
    return row | {"reasons": reasons, "wrong": wrong}


def refusal(path: Path) -> tuple[str, list[str]]:
    """What is said of a file that cannot be read as it is, and what is wrong with that."""
    try:
        recording = enecg.read(path)
    except EnECGError as error:
        # A record's signal file may be the one that is damaged.
        named = path.stem in str(error)
        return told(error, path.parents[1]), [] if named else ["the refusal does not name the file"]
    return summary(recording), ["is read, and should be refused"]


def words(name: str) -> list[str]:
    return [word for pattern, word in SAID.items() if fnmatch(name, pattern)]


def told(error: object, folder: Path) -> str:
    kind = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
    return kind + re.sub(r"\S*/(?=[^/\s]+)", "", str(error).replace(f"{folder}/", ""))


def summary(recording: Recording) -> str:
    n_derived = len(derived(recording))
    leads = f"{recording.n_leads - n_derived} leads" if recording.n_leads - n_derived > 1 else recording.leads[0]
    more = f" and {n_derived} derived" if n_derived else ""
    return f"{leads}{more}, {recording.rate:.6g} Hz, {recording.seconds:.6g} s"


# -- what is expected ------------------------------------------------------------------------------------------------


def differences(entry: Entry, recording: Recording, leads: list[str] | None) -> list[str]:
    """Everything in which a recording is not what was expected of it, in words. leads : those that the caller named."""
    names = dict(zip(entry["leads"], leads or entry["leads"], strict=True))
    left_out = entry.get("left_out", ())
    names = {name: standard_lead(lead) for name, lead in names.items() if name not in left_out and is_lead(lead)}
    found = recording.leads
    wrong = []
    if found[: len(names)] != tuple(names.values()) or set(found[len(names) :]) - derived(recording):
        return [f"leads {', '.join(found)}; expected {', '.join(names.values())}"]
    if abs(recording.rate / entry["fs"] - 1) > 1e-6:
        wrong.append(f"{recording.rate} Hz; expected {entry['fs']}")
    if recording.n_samples != entry["n_samples"]:
        wrong.append(f"{recording.n_samples} samples; expected {entry['n_samples']}")
    signals = {name: recording.lead(lead).astype(float) for name, lead in names.items()}
    missing = {name: int(np.isnan(row).sum()) for name, row in signals.items()}
    if {name: n for name, n in missing.items() if n} != dict(entry.get("missing_samples", {})):
        wrong.append(f"missing samples {missing}; expected {entry.get('missing_samples', 'none')}")
    n_mean = entry.get("averaged", 1)
    signals = {name: row.reshape(-1, n_mean).mean(1) for name, row in signals.items()}
    return [*wrong, *other_samples(entry, signals), *other_facts(entry, recording)]


def other_samples(entry: Entry, signals: Signals) -> Iterator[str]:
    """Values that are not the expected ones, to the digits that were written down."""
    first, step = entry.get("first8_mV", entry.get("first8")), entry.get("step_mV", 0.0)
    values = entry.get("values", {} if first is None else {next(iter(signals)): (0, first)})
    for name, (start, expected) in values.items():
        if name in signals:
            found = signals[name][start : start + len(expected)]
            if not np.allclose(found, expected, rtol=1e-6, atol=1.5e-6 + step):
                yield f"{name} begins {found.tolist()}; expected {expected}"
    if not values:
        yield "no samples are expected"
    for name, expected in entry.get("range_mV", {}).items():
        if name not in signals:
            continue
        all_values = [*signals[name], *entry.get("cut_off_mV", ())]
        reach = (np.nanmin(all_values), np.nanmax(all_values))
        if not np.allclose(reach, expected, rtol=1e-6, atol=6e-6 + step):
            yield f"{name} is within {reach}; expected {expected}"


def other_facts(entry: Entry, recording: Recording) -> Iterator[str]:
    """Facts of patient and machine that are not the expected ones."""
    expected = {key: entry[key] for key in ("age", "sex") if key in entry} | entry.get("metadata", {})
    acquired = expected.get("recorded_at")
    sexes = {"M": "male", "F": "female", "U": None, "Male": "male"}
    pairs = {
        "patient_id": (recording.subject, lambda value: value and f"file:{value}"),
        "sex": (recording.sex, sexes.__getitem__),
        "age": (recording.age, float),
        "recorded_at": (recording.acquired, lambda _: datetime.fromisoformat(acquired)),
        "device": (recording.device, str),
        "statements": (recording.statements, tuple),
    }
    for key, (found, meant) in pairs.items():
        if key in expected and found != meant(expected[key]):
            yield f"{key} {found!r}; expected {expected[key]!r}"
    for key, value in expected.get("measurements", {}).items():
        if value not in [recording.measurements.get(name) for name in MEASURED[key]]:
            yield f"{key} not {value}: {dict(recording.measurements)}"


def derived(recording: Recording) -> set[str]:
    """Leads that were computed from others, as a note says."""
    notes = [note.partition(":")[2] for note in recording.notes if note.startswith("derived from")]
    return {lead.strip() for note in notes for lead in note.split(",")}


def is_lead(name: str) -> bool:
    try:
        standard_lead(name)
    except LeadError:
        return False
    return True


# -- one recording in several files ----------------------------------------------------------------------------------


def signals_of(folder: Path, name: str, **more: Any) -> Signals:
    """The leads that a file holds, in mV."""
    given = next((given for pattern, given in GIVEN if fnmatch(name, pattern)), {})
    recording = enecg.read(folder / name, **(given | more))
    return {lead: recording.lead(lead).astype(float) for lead in recording.leads if lead not in derived(recording)}


def largest(one: Signals, other: Signals) -> float:
    """Largest difference in mV over common leads and the shorter one's samples."""
    common = [lead for lead in one if lead in other]
    n = min(len(next(iter(one.values()))), len(next(iter(other.values()))))
    return max(float(np.abs(one[lead][:n] - other[lead][:n]).max()) for lead in common)


def resampled(signals: Signals, to: int, from_: int) -> Signals:
    return {lead: resample_poly(row, to, from_) for lead, row in signals.items()}


def recording_a(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    """Differences of each file from the first, and how large they may be."""
    first = signals_of(folder, files[0])
    for name in files[1:]:
        if name.startswith("hdf5"):
            yield name, largest(resampled(first, 4, 5), signals_of(folder, name)), 1e-5
        else:
            # A field of 8 letters holds BDF's scale to 9 nV.
            yield name, largest(first, signals_of(folder, name)), 1.1e-5 if name.endswith(".bdf") else 1e-6


def identical(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    first = signals_of(folder, files[0])
    for name in files[1:]:
        yield name, largest(first, signals_of(folder, name)), 1e-6


def philips(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    """Not sample-identical, by the conversion of the vendor."""
    yield files[1], largest(signals_of(folder, files[0]), signals_of(folder, files[1])), 0.020 + 1e-6


def contec(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    """The same integers at 0.005 mV in one file, and at 2,000 mV to 65,535 steps in the other."""
    scp, edf = (signals_of(folder, name) for name in files)
    rescaled = {lead: (np.round(row / 0.005) + 2**15) * 2000 / 65535 - 1000 for lead, row in scp.items()}
    rows = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    yield files[1], largest({lead: rescaled[lead] for lead in rows}, edf), 1e-4


def mit_bih(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    """MLII, which one of the files calls I."""
    dicom, wfdb = (signals_of(folder, name) for name in files)
    yield files[1], largest({"I": dicom["MLII"]}, wfdb), 1e-6


def ptb(folder: Path, files: list[str]) -> Iterator[tuple[str, float, float]]:
    """V6 doubled and aVR raised by 1 mV in DICOM; at 400 Hz in HDF5."""
    wfdb, dicom, hdf5 = (signals_of(folder, name, **({"item": 2873686} if "hdf5" in name else {})) for name in files)
    dicom["V6"], dicom["aVR"] = dicom["V6"] / 2, dicom["aVR"] - 1
    padded = np.isnan(dicom["Z"])
    dicom["Z"][padded] = wfdb["Z"][:2500][padded]
    yield files[1], largest(wfdb, dicom), 1e-6
    yield files[2], largest(resampled(wfdb, 2, 5), hdf5), 1e-5


TWINS: Mapping[str, Callable[[Path, list[str]], Iterator[tuple[str, float, float]]]] = {
    "RECORDING A": recording_a,
    "Philips ad4d3d80": philips,
    "Contec 0000050": contec,
    "MIT-BIH 100": mit_bih,
    "PTB s0010_re": ptb,
}
"""How the files of a group are compared, where it is not sample by sample."""


def twins(folder: Path, title: str, group: Entry) -> list[dict[str, Any]]:
    """A row for each file but the first that holds the same recording."""
    compare = TWINS.get(title, identical)
    rows = []
    for name, found, allowed in compare(folder, group["files"]):
        wrong = [] if found <= allowed else [f"differs by {found:.2g} mV; expected {allowed:.2g} at most"]
        rows.append({"recording": title, "file": name, "as": group["files"][0], "mV": found, "wrong": wrong})
    return rows


# -- folders ---------------------------------------------------------------------------------------------------------


def opened(folder: Path) -> dict[str, Any]:
    """A row for a folder: how many recordings were found below it, how many were read, what was said of them."""
    given = OPENED_WITH.get(folder.name, {})
    notes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    refused: dict[str, str] = {}
    n_read = 0
    for path in find(folder):
        try:
            for one in recordings_of(path, **given):
                for note in one.read().notes:
                    notes[re.sub(r"\d+(\.\d+)?", "N", note)] += 1
                    examples.setdefault(re.sub(r"\d+(\.\d+)?", "N", note), told(note, folder))
                n_read += 1
        except EnECGError as error:
            refused[str(path.relative_to(folder))] = told(error, folder)
    reasons = {
        name: next((why for pattern, why in REFUSED_RIGHTLY.items() if fnmatch(name, pattern)), "") for name in refused
    }
    wrong = [f"{name}: {refused[name]}" for name, why in reasons.items() if not why]
    said = {examples[note]: n for note, n in notes.most_common()}
    row = {"folder": folder.name, "given": given, "read": n_read, "refused": reasons, "notes": said}
    return row | {"wrong": wrong if n_read else [*wrong, "nothing was found"]}


def companions(folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """A row for every other file of the folder: whether it opens by itself."""
    rows = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in names and len(path.relative_to(folder).parts) > 1:
            try:
                rows.append({"file": name, "found": summary(enecg.read(path)), "refused": False, "wrong": []})
            except EnECGError as error:
                wrong = [] if path.stem in str(error) else ["is not named"]
                rows.append({"file": name, "found": told(error, folder), "refused": True, "wrong": wrong})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    parser.add_argument("--to", type=Path, default=RESULTS)
    asked = parser.parse_args()
    expected = json.loads((asked.folder / "expected.json").read_text())
    rows = {
        "files": [checked(asked.folder, name, entry) for name, entry in expected["files"].items()],
        "same": [
            row for title, group in expected["_same_recording"].items() for row in twins(asked.folder, title, group)
        ],
        "others": companions(asked.folder, list(expected["files"])),
        "folders": [opened(folder) for folder in asked.also],
    }
    about = {"command": "scripts/check_formats.py FOLDER --also " + " ".join(one.name for one in asked.also)}
    asked.to.write_text(json.dumps({"about": about} | rows, indent=1, ensure_ascii=False) + "\n")
    wrong = [(row.get("file") or row["folder"], one) for part in rows.values() for row in part for one in row["wrong"]]
    print(f"{sum(map(len, rows.values()))} rows, {len(wrong)} disagreements; {asked.to}")
    for name, one in wrong:
        print(f"  {name}: {one}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
