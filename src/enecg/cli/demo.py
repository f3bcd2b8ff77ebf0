"""enecg demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enecg.cli._common import as_command, check_writable, names
from enecg.cli._data import TASKS_HELP, DataChoice, data_options, experts_of, tasks_of

if TYPE_CHECKING:
    from enecg.cohorts import Cohort
    from enecg.recording import LazyRecording

FOLDS = 4
"""A quarter of the subjects is tested."""


@as_command("enecg demo", "enecg demo --data ptbxl", "enecg demo --data my-ecgs --table targets.csv --out my-demo")
@click.option(
    "--out", default="demo", show_default=True, type=click.Path(file_okay=False), help="Folder for the results."
)
@data_options
@click.option("--tasks", help=TASKS_HELP)
@click.option("--experts", help="Names, with commas between; enecg experts lists them.")
def command(out: str, choice: DataChoice, tasks: str | None, experts: str | None) -> None:
    """Everything at once, on simulated recordings or on your --data.

    Fits the tasks, tests on subjects never seen, saves the bundle, answers one recording and draws it. At most --n
    recordings are taken from a larger data set.
    """
    folder = Path(out)
    check_writable(folder / "results.json")
    from enecg.estimator import EnECG
    from enecg.evaluation import cross_validation, evaluate, markdown, write_json
    from enecg.formats import read
    from enecg.pages import Shown, predictions_page, write_page
    from enecg.plot import plot_recording
    from enecg.report import as_text

    opened = _some(choice.open(), choice.n, choice.seed)
    wanted = tasks_of(names(tasks), opened)
    fold = cross_validation(opened, wanted, FOLDS, choice.seed)[0]
    chosen = experts_of(names(experts), opened, [[fold]])
    model = EnECG(chosen, wanted, seed=choice.seed, store=folder / "store", progress=True)
    found = evaluate(model, opened, rounds=[[fold]], seed=choice.seed)
    write_json(found.record(), folder / "results.json")
    (folder / "results.md").write_text(markdown(found.record()))
    found.models[0].save(folder / "bundle")
    row = int(fold.test.nonzero()[0][0])
    path = _file_of(opened[row], folder / "recordings")
    fitted, recording = EnECG.load(folder / "bundle"), read(path)
    prediction = fitted.predict([path], include_simulated=True)[0]
    plot_recording(recording, prediction, folder / "prediction.png")
    write_page(folder / "report.html", predictions_page([Shown(prediction, recording)], fitted, "bundle"))
    units = {task.name: task.unit for task in wanted if task.kind == "regression"}
    click.echo(_summary(found.record()["rows"], units, int(fold.test.sum())))
    click.echo(as_text(prediction))
    click.echo(f"  truth: {_truth(opened, row, [task.name for task in wanted])}\n")
    for name, what in (
        ("prediction.png", "this recording on ECG paper, with the answers"),
        ("report.html", "the same as a page for a browser, with each expert's own opinion"),
        ("bundle", f"the ensemble: enecg predict {path} --bundle {folder / 'bundle'}"),
        ("results.md", "the whole table; results.json for machines"),
    ):
        click.echo(f"{folder / name}: {what}")
    if opened.simulated:
        click.echo("All recordings were simulated. Nothing here is a medical device.")


def _some(cohort: "Cohort", n: int, seed: int) -> "Cohort":
    """At most n recordings, drawn by the seed, in the cohort's order."""
    import numpy as np

    if len(cohort) <= n:
        return cohort
    click.echo(f"{n} of {len(cohort)} recordings are taken; --n takes more", err=True)
    return cohort.take(np.sort(np.random.default_rng([seed, 8]).permutation(len(cohort))[:n]))


def _file_of(recording: "LazyRecording", folder: Path) -> Path:
    """The recording's own file; one that was simulated gets one."""
    from enecg.formats import write

    file = getattr(recording, "file", None)
    if file is not None:
        return Path(file.path)
    folder.mkdir(parents=True, exist_ok=True)
    return write(recording.read(), folder / f"{recording.id}.hea")


def _summary(rows: list[dict[str, Any]], units: dict[str, str | None], n: int) -> str:
    """Each task's main metric, a line for each task, a column for each system."""
    systems = ["trivial", *dict.fromkeys(row["system"] for row in rows if row["system"].endswith(" alone")), "ensemble"]
    table = [["task", "metric", *(system.removesuffix(" alone") for system in systems), "coverage"]]
    for task in dict.fromkeys(row["task"] for row in rows if row["task"]):
        own = [row for row in rows if row["task"] == task and "group" not in row]
        metric = own[0]["metric"]
        value = {(row["system"], row["metric"]): row for row in own}
        cells = [_cell(value.get((system, metric))) for system in systems]
        table.append(
            [
                task,
                f"{metric}, {units[task]}" if units.get(task) else metric,
                *cells,
                _cell(value.get(("ensemble", "coverage"))),
            ]
        )
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([f"\nOn {n} recordings of subjects never seen, with 95% intervals:\n", *lines, ""])


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    digits = 1 if abs(row["value"]) >= 2 else 3
    reach = f" ({row['low']:.{digits}f} to {row['high']:.{digits}f})" if row.get("low") is not None else ""
    return f"{row['value']:.{digits}f}{reach}"


def _truth(cohort: "Cohort", row: int, tasks: list[str]) -> str:
    said = {name: cohort.targets[name][row] for name in tasks}
    return ", ".join(f"{name} {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in said.items())
