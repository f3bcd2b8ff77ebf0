"""A look at a cohort before anything is trained on it: what is there, what is damaged, what would leak."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from enecg.cohorts._cohort import Cohort
from enecg.errors import EnECGError, TaskError
from enecg.progress import progress_bar
from enecg.tasks import TASKS, is_missing

if TYPE_CHECKING:
    import polars

_SPLITS = ("fold", "split", "strat_fold")
"""Columns that say who trains and who is tested."""

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Coverage:
    """Of one task's column: recordings with a label, of how many subjects, and how many of each class.

    wrong : what the task does not understand in it, if anything.
    """

    task: str
    recordings: int
    subjects: int
    classes: dict[str, int]
    wrong: str = ""


@dataclass(frozen=True)
class CohortCheck:
    """What a look at a cohort has shown.

    read : how many recordings were read;  damaged : (id, reason) of those that cannot be;  kinds : how many of them
    have how many leads, Hz and seconds;  told : notes of the readers, without their numbers, and how often.
    several : subjects with more than one recording, and how many recordings those are;  unnamed : without a subject.
    leaks : why subjects would stand on both sides of a split that the cohort itself suggests, or that knows no better.
    """

    recordings: int
    subjects: int
    notes: Sequence[str]
    coverage: Sequence[Coverage]
    read: int
    damaged: Sequence[tuple[str, str]]
    kinds: dict[str, int]
    told: dict[str, int]
    several: tuple[int, int]
    unnamed: int
    leaks: Sequence[str]


def check_cohort(cohort: Cohort, *, read: int | None = None, progress: bool = False) -> CohortCheck:
    """Count, read and compare.

    read : how many recordings, evenly over the cohort; None: all, 0: none. Only of those read is it known whether they
        are damaged, and whether two people have the same samples.
    """
    n = len(cohort) if read is None else min(read, len(cohort))
    rows: list[int] = np.unique(np.linspace(0, len(cohort) - 1, n).round().astype(int)).tolist() if n else []
    damaged: list[tuple[str, str]] = []
    kinds: Counter[str] = Counter()
    told: Counter[str] = Counter()
    whose: dict[str, list[int]] = {}
    with progress_bar(progress, f"reading {cohort.name}", len(rows)) as bar:
        for row in rows:
            lazy = cohort[row]
            try:
                recording = lazy.read()
            except EnECGError as error:
                damaged.append((lazy.id, str(error)))
            else:
                kinds[f"{recording.n_leads} leads, {recording.rate:g} Hz, {recording.seconds:.3g} s"] += 1
                told.update({_NUMBER.sub("#", note) for note in recording.notes})
                whose.setdefault(recording.digest, []).append(row)
            bar.advance(1)
    counts = Counter(subject for subject in cohort.subjects if subject is not None)
    several = [count for count in counts.values() if count > 1]
    return CohortCheck(
        recordings=len(cohort),
        subjects=len(counts),
        notes=list(cohort.notes),
        coverage=[_coverage(cohort, name) for name in TASKS if name in cohort.targets.columns],
        read=len(rows),
        damaged=damaged,
        kinds=dict(kinds.most_common()),
        told=dict(told.most_common()),
        several=(len(several), sum(several)),
        unnamed=sum(subject is None for subject in cohort.subjects),
        leaks=[*_across_splits(cohort.targets), *_same_samples(cohort, whose)],
    )


def _coverage(cohort: Cohort, name: str) -> Coverage:
    column = cohort.targets[name].to_list()
    there = [row for row, value in enumerate(column) if not is_missing(value)]
    task, subjects = TASKS[name], cohort.subjects
    # Who has no subject counts as a person of their own.
    people = len({subjects[row] or f"?{row}" for row in there})
    try:
        encoded = task.encode(column)[there]
    except TaskError as error:
        return Coverage(name, len(there), people, {}, str(error))
    if task.kind == "binary":
        encoded = np.hstack([1 - encoded, encoded])
    classes: Counter[str] = Counter()
    for row in encoded if task.classes else ():
        marked = [label for label, mark in zip(task.classes, row, strict=True) if mark]
        # A label of a multiclass task that allows several classes is none of them for certain.
        classes.update(marked if task.kind == "multilabel" else [" or ".join(marked)])
    return Coverage(name, len(there), people, dict(classes.most_common()))


def _across_splits(targets: "polars.DataFrame") -> list[str]:
    """Of each column that splits, how many subjects have several of its values."""
    import polars

    found = []
    for column in _SPLITS:
        if column not in targets.columns:
            continue
        known = targets.drop_nulls(["subject", column])
        sides = known.group_by("subject").agg(polars.col(column).n_unique().alias("n"))
        both = sides.filter(polars.col("n") > 1).sort("subject")
        if len(both):
            found.append(f"{len(both):,} subjects have several values of column {column} (first: {both['subject'][0]})")
    return found


def _same_samples(cohort: Cohort, whose: dict[str, list[int]]) -> list[str]:
    """Recordings that are the same to the last digit, of subjects that are said to be different."""
    pairs, subjects = [], cohort.subjects
    for rows in whose.values():
        first, *others = rows
        pairs += [(first, row) for row in others if not _same(subjects[first], subjects[row])]
    if not pairs:
        return []
    first, other = pairs[0]
    return [
        f"{len(pairs):,} recordings hold the samples of another subject's (first: {cohort[other].id} of "
        f"{subjects[other]} those of {cohort[first].id} of {subjects[first]})"
    ]


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and one == other
