"""The section of docs/results.md on what linear probes read from experts (scripts/probe_experts.py)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Table = Callable[[str, Sequence[Row], Callable[[Row], str], Callable[[Row], str]], str]

HEADINGS = {
    "superclass macro_auroc": "superclass",
    "statements auroc_all": "statements",
    "statements auroc_10": "statements, 10 positives",
    "rhythm_statements six_auroc": "six rhythm codes",
    "rhythm macro_auroc": "rhythm classes",
    "sex auroc": "sex",
    "age mae": "age, MAE years",
}
"""By task and metric; macro AUROC where no unit is said."""

NOTE = """What least squares on 0 and 1 (years for age) reads from an embedding, with nothing of the expert trained:
folds 1 to 4 train, fold 5 chooses the strength of the ridge, by one rule for every expert (scripts/probing/probe.py),
fold 6 tests. `NAME+judged` was taught by folds 1 to 4, with 5 choosing among its weights, and is the mean over its
seeds; intervals hold the chance of the tested patients, not that of the seed. `NAME:random` is the same network
untaught."""

FEW = """**Few labels.** The labels of so many of the patients of folds 1 to 4 train and of as many of fold 5 choose;
means over draws of patients, each tested on all of fold 6. **†**: all labels of folds 1 to 4 have taught the expert
this very question before (superclasses, rhythm classes and rhythm codes follow from PTB-XL's statements). Such a figure
says how few labels a new head needs for what its expert knows already, not how few a new question needs, and must not
be set against those of experts that have seen no label."""

LEADS = """**Fewer leads.** Recordings with only these leads, in training and test alike, or (**learned on 12 leads**)
in the test alone. Any two limb leads give all six by Einthoven's and Goldberger's equations, and these are computed
whenever an ECG is read: I and II are the six limb leads but for rounding."""


def probes(record: Mapping[str, Any], table: Table) -> str:
    """The section. table : as scripts/make_results.py has it."""
    about, rows = record["about"], record["rows"]
    systems = about["systems"]
    said = f"{about['tested']['recordings']:,} recordings of {about['tested']['subjects']:,} patients tested. "
    said += f"`results/probes.json`, `{about['command']}`. {dropped(about['dropped'])}"
    own = {
        name: [row for row in rows if row["table"] == name] for name in ("probe", "seeds", "gain", "labels", "leads")
    }
    parts = [
        "## Experts of our own, probed",
        NOTE,
        said,
        table("probe", own["probe"], _system, _heading),
        table("of each seed", own["seeds"], _system, _heading),
        table("gain over the untaught", own["gain"], lambda row: row["system"].partition(" - ")[0], _heading),
        seen(systems),
    ]
    if own["labels"]:
        parts += [FEW, *few(own["labels"], own["probe"], systems, table)]
    if own["leads"]:
        whole = [row | {"leads": "12 leads", "learned on": "12 leads"} for row in own["probe"]]
        parts.append(LEADS)
        for system in dict.fromkeys(row["system"] for row in own["leads"]):
            lines = [row for row in (*whole, *own["leads"]) if row["system"] == system]
            parts.append(table(f"`{system}`", lines, _leads, _heading))
    return "\n\n".join(part for part in parts if part) + "\n"


def few(rows: Sequence[Row], whole: Sequence[Row], systems: Mapping[str, Any], table: Table) -> list[str]:
    """A table for each question: systems down, shares of the patients across."""

    def name(row: Row) -> str:
        return f"{row['system']} †" if row["task"] in systems[row["system"]]["taught"] else str(row["system"])

    every = [*rows, *(row | {"share": 1.0} for row in whole)]
    made = []
    for question, heading in HEADINGS.items():
        own = sorted((row for row in every if _question(row) == question), key=lambda row: row["share"])
        order = list(systems)
        own.sort(key=lambda row: order.index(row["system"]))
        made.append(table(heading, own, name, lambda row: f"{row['share']:.0%}"))
    return made


def seen(systems: Mapping[str, Any]) -> str:
    """Which experts have been taught by labels."""
    told = [f"`{name}` {', '.join(one['taught'])}" for name, one in systems.items() if one["taught"]]
    told += [f"`{name}` none" for name, one in systems.items() if not one["taught"]]
    return f"Labels that have taught an expert: {'; '.join(told)}."


def dropped(told: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """How many classes are averaged, and how often the bootstrap drops one."""
    parts = []
    for task, metrics in told.items():
        for metric, one in metrics.items():
            part = f"{one['classes']} of {HEADINGS[f'{task} {metric}']}"
            if one["draws without one"]:
                part += (
                    f" ({one['draws without one']:.1%} of the draws have no positive of some and leave these out, "
                    f"{one['classes dropped per draw']:.1f} a draw on average)"
                )
            parts.append(part)
    return f"Areas under the curve are means over classes: {', '.join(parts)}."


def _system(row: Row) -> str:
    return str(row["system"])


def _question(row: Row) -> str:
    return f"{row['task']} {row['metric'].removesuffix(' gain')}"


def _heading(row: Row) -> str:
    return HEADINGS[_question(row)]


def _leads(row: Row) -> str:
    return str(row["leads"]) if row["leads"] == row["learned on"] else f"{row['leads']}, learned on {row['learned on']}"
