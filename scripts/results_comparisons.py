"""The section of docs/results.md on what pays in pretraining, from results/comparisons.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

YARDSTICKS = ("uniform", "uniform-wrong")

FIGURES = (("superclass", 3), ("statements", 3), ("sex", 3), ("age", 2))
"""Tasks, and decimals of what is told of them."""

HEAD = (
    "| run | s in all | steps to the loss of `uniform` | s to it | loss of fold 5 | gain (95 %) | over | superclass, "
    "macro AUROC | statements, macro AUROC | sex, AUROC | age, MAE years |"
)

NOTE = """`{network}` from random weights on PTB-XL: {taught:,} recordings of folds 1 to 4 teach superclass, statements,
age and sex together, {steps} steps of {batch}, with the shipped expert's settings; {seeds}. Fold 6 was not read.
**uniform** is the yardstick; **half-more** and **fourfold** take more steps of the same, for runs that cost more.
**acid** learns in each step from those {batch} of {of} times as many recordings that have most left to learn (its
references' time is counted); **wrong** runs learn from training labels of which {wrong:.0%} are permuted, each task's
on its own. **warm-start**, **masked-first**, **predictive-first** and **patients-first** begin with self-supervision on
the same training recordings, **simulated-first** with the exact truth of simulated ones, whose making is counted;
**alone** runs teach only linear heads in the end. Seconds are the processor's, one core, without looks at validation.
When a loss was reached is told of {looked:,} recordings of fold 5, straight from look to look (for wrong runs, the loss
of `uniform-wrong`); the learning rate falls to nothing at each run's own end, so losses fall late, and steps saved are
told modestly. Loss is the sum over the tasks, each relative to the trivial answer's, per recording of all
{validated:,} of fold 5; fold 5 also chose among each run's looks. The gain is how much lower it is than the other's,
with an interval from 1,000 draws of subjects: it knows nothing of the chance of another seed."""


def comparisons(record: Mapping[str, Any]) -> str:
    """What was done, a table of all runs, and sentences on what paid and what did not."""
    about, rows, gains = record["about"], record["rows"], record["gains"]
    names = list(dict.fromkeys(row["run"] for row in rows))
    seeds = len({row["seed"] for row in rows})
    note = NOTE.format(**about, **about["recordings"], seeds="one seed" if seeds == 1 else f"means of {seeds} seeds")
    lines = [HEAD, "|---" + "|---:" * 5 + "|---" + "|---:" * len(FIGURES) + "|"]
    lines += [_line(name, [row for row in rows if row["run"] == name], gains) for name in names]
    told = f"`results/comparisons.json`, `{about['command']}`"
    return "\n".join(
        ["## What pays in pretraining", "", note, "", f"{told}.", "", *lines, "", verdict(rows, gains), ""]
    )


def verdict(rows: Sequence[Mapping[str, Any]], gains: Sequence[Mapping[str, Any]]) -> str:
    """What reached a yardstick's loss in less time than it; against each, what was better, no different, worse."""
    said = [_sooner(rows, name) for name in YARDSTICKS if any(row["run"] == name for row in rows)]
    for other in dict.fromkeys(row["against"] for row in gains):
        own = [row for row in gains if row["against"] == other]
        groups = {
            "better": [row for row in own if row["low"] > 0],
            "not told apart from it": [row for row in own if row["low"] <= 0 <= row["high"]],
            "worse": [row for row in own if row["high"] < 0],
        }
        told = [f"{word}: {', '.join(map(_gain, some))}" for word, some in groups.items() if some]
        said.append(f"Against `{other}`, {'; '.join(told)}.")
    return "**What helped, and what did not.** " + " ".join(said)


def _sooner(rows: Sequence[Mapping[str, Any]], yardstick: str) -> str:
    """Which runs took less processor time to a yardstick's loss, by the mean over seeds."""
    runs = {row["run"]: [own for own in rows if own["run"] == row["run"]] for row in rows}
    seconds = {
        name: float(np.mean([row["reached"]["seconds"] for row in own]))
        for name, own in runs.items()
        if name.endswith("-wrong") == yardstick.endswith("-wrong") and all(row["reached"] for row in own)
    }
    sooner = [f"{name} ({one:,.0f} s)" for name, one in seconds.items() if one < seconds[yardstick]]
    found = ", ".join(sooner) or "nothing"
    return f"The loss that `{yardstick}` came to in {seconds[yardstick]:,.0f} s was reached in less time by {found}."


def _gain(row: Mapping[str, Any]) -> str:
    return f"{row['run']} ({row['gain']:+.4f})"


def _line(name: str, rows: Sequence[Mapping[str, Any]], gains: Sequence[Mapping[str, Any]]) -> str:
    """Means over the seeds of one run."""
    there = [row["reached"] for row in rows]
    step, seconds = (
        f"{np.mean([one[key] for one in there]):,.0f}" if all(there) else "never" for key in ("step", "seconds")
    )
    gain = next((row for row in gains if row["run"] == name), None)
    cells = [
        name,
        f"{np.mean([row['seconds'] for row in rows]):,.0f}",
        step,
        seconds,
        f"{np.mean([row['loss'] for row in rows]):.4f}",
        "" if gain is None else f"{gain['gain']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})",
        "" if gain is None else f"`{gain['against']}`",
        *(f"{np.mean([row[task] for row in rows]):.{digits}f}" for task, digits in FIGURES),
    ]
    return f"| {' | '.join(cells)} |"
