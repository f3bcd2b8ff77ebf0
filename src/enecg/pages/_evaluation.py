"""A page of an evaluation: who was used for what, the tables, and what one figure does not tell."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from enecg._version import __version__
from enecg.evaluation import (
    MIN_GROUP,
    Curves,
    Evaluation,
    Figure,
    OutOfFold,
    Point,
    Table,
    cell_text,
    costs_table,
    curves_of,
    gains_table,
    groups_table,
    heading,
    spread_of,
    systems_table,
    tasks_of,
)
from enecg.pages._document import document, research_only
from enecg.pages._figures import Scale, axis, interval, precision_recall, reliability, spread
from enecg.pages._html import Html, element, items, table
from enecg.tasks import Task

_DRAWN = 12
"""Classes whose curves are drawn: those with the most recordings. The table has them all."""

_GLOSSARY = {
    "mae": "mean absolute error, in the task's unit",
    "rmse": "root of the mean squared error, in the task's unit",
    "over_20": "share of answers that are off by more than 20 ms",
    "auroc": "area under the ROC curve; 0.5 is chance. Recordings of one fold are compared with each other only",
    "macro_auroc": "mean over classes of the area under the ROC curve",
    "challenge_score": "the score of the PhysioNet/CinC Challenge 2021: 1 is right, 0 says sinus rhythm of everyone",
    "six_auroc": "mean over the six commonest rhythm statements of the area under the ROC curve",
    "accuracy": "share of right answers",
    "macro_f1": "mean over classes of the harmonic mean of sensitivity and precision",
    "ece": "expected calibration error: how far probabilities are from shares, on average",
    "coverage": "share of truths inside the interval or set",
    "mean interval": "mean length of the intervals, in the task's unit",
    "mean set size": "classes that are left, on average",
}
_SYSTEMS = (
    "trivial looks at nothing (training mean or shares); X alone is the trained head of one expert; best expert is the "
    "one that was best on validation recordings; uniform average and without gate weigh the experts alike for all; top "
    "k runs only the experts that the gate prefers."
)


def evaluation_page(found: Evaluation, seed: int = 0) -> Iterator[Html]:
    """The page, a part at a time. seed : of the draws of subjects that intervals of the curves come from."""
    return document(f"Evaluation on {found.about['cohort']}", _parts(found, seed))


def _parts(found: Evaluation, seed: int) -> Iterator[Html]:
    record = found.record()
    names = tasks_of(record)
    yield _head(record)
    yield _used(found.about)
    if names:
        yield element("nav", element("h2", "At a glance"), _glance(record, names), aria_label="tasks")
    for name in names:
        yield _task(name, found, seed)
    costs = costs_table(found.rows)
    if costs.lines:
        yield element("section", element("h2", "What it cost"), _tabled(costs, Html(), head="system"))
    yield element("footer", _how_to_read(found.rows))


# -- before the tasks ----------------------------------------------------------------------------------------------


def _head(record: Mapping[str, Any]) -> Html:
    about = record["about"]
    facts = [f"enecg {__version__}", f"experts: {', '.join(about['experts'])}"]
    facts += [f"licence of the recordings: {about['licence']}"] if about.get("licence") else []
    parts = [
        element("h1", f"Evaluation on {about['cohort']}"),
        element("p", " · ".join(facts), class_="small"),
        element("p", element("code", about["command"]), class_="small") if about.get("command") else Html(),
        research_only(),
        element("p", heading(record)),
    ]
    beware = [f"{name}: {said}." for name, said in (about.get("caveats") or {}).items()]
    unnamed = about.get("without a subject")
    beware += [f"Of {unnamed:,} recordings no subject is known: each counts as one."] if unnamed else []
    if beware:
        parts.append(element("div", element("strong", "To be known"), items(beware), class_="warning"))
    if about.get("citation"):
        parts.append(element("p", f"Cite: {about['citation']}", class_="small"))
    return element("header", *parts)


def _used(about: Mapping[str, Any]) -> Html:
    sides = ("trained", "validated", "tested")
    plan = about.get("used", [])
    rows = []
    for number, fold in enumerate(plan, 1):
        name = f"fold {number}" if about["rounds"] == 1 else f"round {number}"
        rows.append([name, *(_people(fold.get(side)) for side in sides)])
    said = f"{about['recordings']:,} recordings of {about['subjects']:,} subjects. "
    if "trained on" in about:
        elsewhere = ", ".join(about["trained on"])
        said += f"The ensemble was trained before, on {about['trained']:,} recordings of {elsewhere}."
    else:
        said += "Every subject is on one side of each split; validated recordings made the choices. "
    parts = [element("h2", "Who was used for what"), element("p", said)]
    return element("section", *parts, table(Html(), ["", *sides], rows) if rows else Html())


def _people(side: Mapping[str, int] | None) -> str:
    return "" if side is None else f"{side['recordings']:,} ({side['subjects']:,} subjects)"


def _glance(record: Mapping[str, Any], names: Sequence[str]) -> Html:
    """Each task's main figure: trivial, best expert, ensemble; and the coverage."""
    shown = ("trivial", "best expert", "peer", "ensemble")
    rows = []
    for name in names:
        systems = systems_table(record["rows"], name)
        metric = systems.columns[0]
        cells = {system: dict(zip(systems.columns, line, strict=True)) for system, line in systems.lines}
        said = [_cell(cells.get(system, {}).get(metric)) for system in shown]
        rows.append([_link(name), metric, *said, _cell(cells.get("ensemble", {}).get("coverage"))])
    columns = [place for place, _ in enumerate(rows[0]) if place < 2 or any(row[place] for row in rows)]
    head = ["task", "figure", *shown, "coverage"]
    return table(Html(), [head[place] for place in columns], [[row[place] for place in columns] for row in rows])


def _link(task: str) -> Html:
    return element("a", task.replace("_", " "), href=f"#task-{task}")


def _cell(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else cell_text(row)


# -- a task --------------------------------------------------------------------------------------------------------


def _task(name: str, found: Evaluation, seed: int) -> Html:
    rows = found.rows
    held = found.held.get(name)
    parts = [element("h2", name.replace("_", " "))]
    if held is not None and held.task.description:
        parts.append(element("p", _described(held.task), class_="small"))
    systems, gains, groups = systems_table(rows, name), gains_table(rows, name), groups_table(rows, name)
    parts.append(_tabled(systems, "Systems, with 95 % intervals", head="system"))
    if gains.lines:
        parts.append(_tabled(gains, "The ensemble against others, on the same draws; above 0 is for the ensemble"))
    if groups.lines:
        said = f"The ensemble by group, of {MIN_GROUP} recordings at least; an interval needs {MIN_GROUP} subjects"
        parts.append(_tabled(groups, said, counts=True, head="group"))
    if held is not None:
        parts.append(_spread(held) if held.task.kind == "regression" else _classes(held, seed))
    return element("section", *parts, id=f"task-{name}")


def _described(task: Task) -> str:
    return f"{task.description}; in {task.unit}" if task.kind == "regression" and task.unit else task.description


def _tabled(found: Table, caption: object, *, head: str | None = None, counts: bool = False) -> Html:
    """With a picture of the first column's intervals. counts : with how many recordings a line is of."""
    first = [line[0] for _, line in found.lines]
    known = [row for row in first if row is not None]
    ends = [row[key] for row in known for key in ("value", "low", "high") if row.get(key) is not None]
    pictured = len(known) > 1 and all(row["task"] for row in known)
    scale = Scale.of([*ends, 0.0] if known and str(known[0]["metric"]).endswith(" gain") else ends, 150.0)
    rows = []
    for name, line in found.lines:
        cells: list[object] = [element("td", _cell(row), class_="number") for row in line]
        if pictured:
            own = line[0]
            drawn = Html() if own is None else interval(scale, own["value"], own.get("low"), own.get("high"))
            cells.insert(1, drawn)
        if counts:
            n = next((row["n"] for row in line if row is not None), None)
            cells.append(element("td", "" if n is None else f"{n:,}", class_="number"))
        strong = element("strong", name) if name == "ensemble" else name
        rows.append([strong, *cells])
    names: list[object] = [head or found.head, *found.columns]
    if pictured:
        names.insert(2, "")
        rows.append(["", "", axis(scale), *[""] * (len(found.columns) - 1 + counts)])
    return table(caption, [*names, "recordings"] if counts else names, rows, "figures")


def _spread(held: OutOfFold) -> Html:
    rows = spread_of(held)
    if not len(rows):
        return Html()
    caption = (
        "What was true where so much was answered: median and middle 80 % of ten bins with as many answers each. On "
        "the dashed line answers are right."
    )
    drawn = element("div", spread(rows, held.task.unit or ""), class_="curves")
    return element("figure", drawn, element("figcaption", caption))


def _classes(held: OutOfFold, seed: int) -> Html:
    """Curves, and what thresholds do."""
    made, few = curves_of(held, seed)
    parts: list[Html] = []
    if made:
        shown = sorted(made, key=lambda one: -one.positives)[:_DRAWN]
        drawn = [_pair(one) for one in made if one in shown]
        said = "Left: share found against probability said, with 95 % intervals; bars: how often it was said. "
        said += "Right: precision against recall; dashed: chance; numbers: the operating points below."
        rounds = len(held.answers)
        said += f" Answers of {rounds} rounds together." if rounds > 1 else ""
        if len(shown) < len(made):
            said += f" The {len(shown)} classes with the most recordings are drawn; the table has all {len(made)}."
        parts.append(element("h3", "Reliability and precision-recall"))
        parts += [element("p", said, class_="small"), element("div", *drawn, class_="cards wide-cards")]
        parts += [element("h3", "Operating points"), _points(made)]
    if few:
        said = ", ".join(f"{name} ({up:,} of it, {down:,} not)" for name, (up, down) in few.items())
        parts.append(element("p", f"Too few recordings for curves: {said}.", class_="small"))
    return Html("".join(parts))


def _pair(one: Curves) -> Html:
    figures = f"AUROC {_figure(one.auroc)}; average precision {_figure(one.average_precision)}"
    return element(
        "article",
        element("h4", one.name),
        element("p", f"{one.positives:,} of {one.n:,} answers; {figures}", class_="small"),
        element("div", reliability(one), precision_recall(one), class_="curves"),
    )


def _points(made: Sequence[Curves]) -> Html:
    rows = []
    for one in made:
        for number, point in enumerate(one.points, 1):
            name = element("span", one.name) if number == 1 else element("span", one.name, class_="again")
            rows.append([name, f"{number} {point.how}", *_numbers(point), f"{point.flagged:,}"])
    caption = (
        "Point 1 is the answer as predict gives it. The thresholds of 2 and 3 were looked up on these very recordings, "
        "and flatter a little: choose yours on others."
    )
    head = ["class", "point", "threshold", "sensitivity", "specificity", "precision", "said yes"]
    return table(caption, head, rows, "figures")


def _numbers(point: Point) -> list[Html]:
    threshold = "likeliest" if point.threshold is None else f"{point.threshold:.3f}"
    said = [threshold, *map(_figure, (point.sensitivity, point.specificity, point.precision))]
    return [element("td", one, class_="number") for one in said]


def _figure(figure: Figure) -> str:
    if not math.isfinite(figure.value):
        return "none"
    reach = f" ({figure.low:.3f} to {figure.high:.3f})" if math.isfinite(figure.low) else ""
    return f"{figure.value:.3f}{reach}"


def _how_to_read(rows: Sequence[Mapping[str, Any]]) -> Html:
    metrics = dict.fromkeys(str(row["metric"]) for row in rows)
    said = [
        "Intervals are of 95 %: from 1,000 draws of the tested subjects with replacement, the same for all systems; of "
        "sensitivity, specificity, precision and reliability Wilson's, for as many answers as there are subjects.",
        _SYSTEMS,
        *(f"{name}: {_GLOSSARY[name]}." for name in metrics if name in _GLOSSARY),
    ]
    return element("section", element("h2", "How to read this page"), items(said))
