"""Linear probes of experts on PTB-XL: results/probes.json, which `make results` turns into tables.

    .venv/bin/python scripts/probe_experts.py --data FOLDER [--store FOLDER] [--seeds 0 1 2] [NAME ...]

FOLDER holds ptbxl in its publisher's layout. Folds 1 to 4 train, 5 chooses the strength of the ridge, 6 tests. NAME is
an expert (`rocket`, `s4d:random`, `s4d+mine`), or `s4d+judged` for those of its seeds that are kept (`make_experts.py
--judge --seed N`). Of each: what its embedding says of each task; the same from the labels of 1, 10 and 25 % of the
patients; and, of networks of our own, from fewer leads.

An expert's rows are written when all of them are there, and embeddings stay in the store, so a run that was killed goes
on where it was. Without names all experts are probed whose rows are not there yet; those named are probed anew.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
from probing.measures import Jury, row_of
from probing.probe import Probe, share_of

from enecg import __version__, load_cohort
from enecg.cohorts import Cohort
from enecg.ensemble import subject_codes
from enecg.errors import LeakageError
from enecg.evaluation import Fold, higher_is_better, split_by_column, write_json, write_roles
from enecg.experts import Expert, get_expert, variant_names
from enecg.experts._registry import NETWORKS, split_name
from enecg.experts._variant import Note
from enecg.inputs import seen_rows
from enecg.recording import LazyRecording, Recording
from enecg.signal.leads import LIMB_LEADS
from enecg.store import Store, embed
from enecg.tasks import TASKS, Task

ROOT = Path(__file__).parents[1]
SYSTEMS = ("rocket", "measurements", "s4d+judged", "s4d:random", "vit+judged", "vit:random")
ASKED = ("superclass", "statements", "rhythm_statements", "rhythm", "sex", "age")
OF_STATEMENTS = ("superclass", "rhythm_statements", "rhythm")
"""Whose labels PTB-XL's statements settle: who was taught the statements was taught these."""

SHARES = {0.01: 5, 0.1: 5, 0.25: 3}
"""Of the patients, and how often so many are drawn."""

LEADS = {
    "6 limb leads": LIMB_LEADS,
    "I and II": ("I", "II"),
    "II and V5": ("II", "V5"),
    "I": ("I",),
}
ALL_LEADS = "12 leads"

Array = npt.NDArray[np.float32]
Answers = Mapping[str, Array]
Row = dict[str, Any]


class SomeLeads(LazyRecording):
    """A recording of which only these leads were taken."""

    def __init__(self, whole: LazyRecording, leads: Sequence[str]) -> None:
        self.id, self.subject, self.whole, self.leads = whole.id, whole.subject, whole, tuple(leads)

    @property
    def key(self) -> str:
        return f"{self.whole.key}\nonly {' '.join(self.leads)}"

    def read(self) -> Recording:
        return self.whole.read().select(self.leads)


@dataclass
class Room:
    """What all probes share.

    fold : who trains, chooses, is tested;  truth : by task, encoded labels;  jury : of the test set.
    """

    cohort: Cohort
    fold: Fold
    store: Store
    tasks: Sequence[Task]
    truth: Mapping[str, Array]
    jury: Jury

    @classmethod
    def of(cls, cohort: Cohort, store: Store) -> "Room":
        fold = split_by_column(cohort, "fold", list("1234"), ["5"], ["6"])
        tasks = [TASKS[name] for name in ASKED]
        truth = {task.name: task.encode(cohort.targets[task.name]) for task in tasks}
        tested = {name: labels[fold.test] for name, labels in truth.items()}
        return cls(cohort, fold, store, tasks, truth, Jury(tested, subject_codes(cohort.subjects)[fold.test]))

    def embedding(self, expert: Expert, leads: str = ALL_LEADS) -> Array:
        """Of every recording, [recording, dim]; NaN where the expert takes none."""
        recordings = self.cohort.recordings
        if leads != ALL_LEADS:
            recordings = [SomeLeads(one, LEADS[leads]) for one in recordings]
        print(f"{expert.card.name}, {leads}", file=sys.stderr, flush=True)
        return embed(recordings, [expert], self.store, progress=True).embeddings[expert.card.name]

    def probe(self, embedding: Array, fold: Fold) -> Probe:
        there = np.isfinite(embedding).all(axis=1)
        return Probe.fit(
            embedding, self.tasks, self.truth, Fold(fold.train & there, fold.validation & there, fold.test)
        )

    def draws(self) -> dict[float, list[Fold]]:
        """By share of the patients, who trains and chooses in each draw."""
        return {
            share: [share_of(self.cohort, self.fold, share, draw) for draw in range(count)]
            for share, count in SHARES.items()
        }

    def roles(self) -> dict[str, str]:
        """By recording, a letter for all patients and for each draw of fewer: t(rained), v(alidated), e(xamined)."""
        folds = [self.fold, *(fold for drawn in self.draws().values() for fold in drawn)]
        letters = np.full((len(self.cohort), len(folds)), "-")
        for column, fold in enumerate(folds):
            for letter, side in zip("tve", (fold.train, fold.validation, fold.test), strict=True):
                letters[side, column] = letter
        return {one.id: "".join(row) for one, row in zip(self.cohort, letters, strict=True)}


def members(system: str, seeds: Sequence[int]) -> list[str]:
    """The experts that a system's figures are means over; none where none is kept."""
    if system.endswith("+judged"):
        return [name for name in (f"{system}-{seed}" for seed in seeds) if name in variant_names()]
    return [system]


def untaught(system: str) -> str | None:
    """The same network with random weights, where there is one."""
    base = split_name(system)[0]
    return f"{base}:random" if base in NETWORKS and system != f"{base}:random" else None


def taught(names: Sequence[str]) -> list[str]:
    """The tasks asked here whose labels have taught one of these experts."""
    told = {task for name in names if "+" in name for task in Note.read(name).tasks}
    return [task for task in ASKED if task in told or ("statements" in told and task in OF_STATEMENTS)]


def check_unmet(room: Room, expert: Expert) -> None:
    """Raises LeakageError if the expert has met anyone who is tested, if only to choose among its weights."""
    tested = [room.cohort.subjects[row] for row in np.flatnonzero(room.fold.test)]
    met = seen_rows(tested, [replace(expert.card, chosen_by=frozenset())])
    if met.any() or "unknown" in expert.card.seen:
        raise LeakageError(
            f"{expert.card.name} has met {met.sum()} of the {len(met)} recordings that test it, or does not say; "
            "expected one that learned from folds 1 to 5 at most (scripts/make_experts.py --judge)"
        )


def rows_of(room: Room, system: str, names: Sequence[str]) -> list[Row]:
    """All rows of one system. One embedding of one expert is in memory at a time."""
    test = room.fold.test
    whole: list[Answers] = []
    by_share: dict[float, list[Answers]] = {share: [] for share in SHARES}
    by_leads: dict[tuple[str, str], list[Answers]] = {}
    penalties: dict[str, list[float]] = {name: [] for name in ASKED}
    for name in names:
        expert = get_expert(name)
        check_unmet(room, expert)
        found = room.embedding(expert)
        probe = room.probe(found, room.fold)
        whole.append(probe.answers(found[test]))
        for task, penalty in probe.penalty.items():
            penalties[task].append(penalty)
        for share, folds in room.draws().items():
            by_share[share] += [room.probe(found, fold).answers(found[test]) for fold in folds]
        for leads in LEADS if "+" in name else ():
            found = room.embedding(expert, leads)
            for learned, one in ((leads, room.probe(found, room.fold)), (ALL_LEADS, probe)):
                by_leads.setdefault((leads, learned), []).append(one.answers(found[test]))
    rows = [row | {"table": "probe", "penalties": penalties[row["task"]]} for row in judged(room, system, whole)]
    if names != [system]:
        for name, answers in zip(names, whole, strict=True):
            rows += [row | {"table": "seeds"} for row in judged(room, name, [answers])]
    rows += gains(room, system, whole)
    for share, drawn in by_share.items():
        rows += [row | {"table": "labels", "share": share} for row in judged(room, system, drawn)]
    for (leads, learned), drawn in by_leads.items():
        more = {"table": "leads", "leads": leads, "learned on": learned}
        rows += [row | more for row in judged(room, system, drawn)]
    return rows


def judged(room: Room, system: str, answers: Sequence[Answers]) -> list[Row]:
    """Rows of every task; what too few recordings leave undefined is none."""
    rows = [row for task in room.tasks for row in room.jury.rows(task, system, [one[task.name] for one in answers])]
    return [row for row in rows if np.isfinite(row["low"])]


def gains(room: Room, system: str, answers: Sequence[Answers]) -> list[Row]:
    """What teaching is worth: against the same network with random weights, on the same draws; above 0 it helps."""
    other = untaught(system)
    if other is None:
        return []
    found = room.embedding(get_expert(other))
    theirs = room.probe(found, room.fold).answers(found[room.fold.test])
    rows = []
    for task in room.tasks:
        ours = room.jury.mean(task, [one[task.name] for one in answers])
        for metric, values in room.jury.mean(task, [theirs[task.name]]).items():
            sign = 1 if higher_is_better(metric) else -1
            gain = row_of(task, f"{system} - {other}", f"{metric} gain", sign * (ours[metric] - values))
            rows.append(gain | {"table": "gain"})
    return [row for row in rows if np.isfinite(row["low"])]


def fewer(cohort: Cohort, patients: int) -> Cohort:
    """So many patients of each fold, to try the script."""
    fold, codes = cohort.targets["fold"].to_numpy(), subject_codes(cohort.subjects)
    kept = [np.unique(codes[fold == one])[:patients] for one in np.unique(fold)]
    return cohort.take(np.isin(codes, np.concatenate(kept)))


def about_of(room: Room) -> dict[str, Any]:
    sides = {"trained": room.fold.train, "validated": room.fold.validation, "tested": room.fold.test}
    codes = subject_codes(room.cohort.subjects)
    return {
        "command": "python scripts/probe_experts.py --data FOLDER --store FOLDER",
        "versions": {"enecg": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "seed": 0,
        "cohort": room.cohort.name,
        "licence": room.cohort.licence,
        "citation": room.cohort.citation,
        **{
            name: {"recordings": int(side.sum()), "subjects": len(np.unique(codes[side]))}
            for name, side in sides.items()
        },
        "draws of patients": {f"{share:g}": count for share, count in SHARES.items()},
        "dropped": {task.name: room.jury.dropped(task) for task in room.tasks},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join(SYSTEMS)}")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=ROOT / "build/store")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--patients", type=int, help="so many of each fold, to try the script")
    parser.add_argument("--to", type=Path, default=ROOT / "results/probes.json")
    options = parser.parse_args()
    cohort = load_cohort("ptbxl", options.data / "ptbxl")
    room = Room.of(cohort if options.patients is None else fewer(cohort, options.patients), Store(options.store))
    before = json.loads(options.to.read_text()) if options.to.exists() else {"about": {}, "rows": []}
    about, rows = about_of(room), before["rows"]
    systems = before["about"].get("systems", {})
    write_roles(room.roles(), options.to.with_suffix(".csv"))
    for system in options.names or SYSTEMS:
        names = members(system, options.seeds)
        if not names:
            print(f"{system}: none of seeds {options.seeds} is kept; left out", flush=True)
            continue
        prints = {name: get_expert(name).fingerprint for name in names}
        if not options.names and systems.get(system, {}).get("experts") == prints:
            print(f"{system}: there already", flush=True)
            continue
        began = time.monotonic()
        made = [row | {"of": system} for row in rows_of(room, system, names)]
        spent = round(time.monotonic() - began)
        systems[system] = {"experts": prints, "taught": taught(names), "seconds": spent}
        rows = [row for row in rows if row["of"] != system] + made
        write_json({"about": about | {"systems": systems}, "rows": rows}, options.to)
        print(f"{options.to.name}: {system}, {spent} s", flush=True)


if __name__ == "__main__":
    main()
