"""enecg evaluate."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enecg.cli._common import as_command, check_page, check_writable, json_option, names, show_json
from enecg.cli._data import TASKS_HELP, DataChoice, data_options, experts_of, tasks_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from enecg.cohorts import Cohort
    from enecg.evaluation import Fold


@as_command(
    "enecg evaluate --n 2000 --out results.json",
    "enecg evaluate --data ptbxl --split-column fold --train 1,2,3,4 --validate 5 --test 6 --store cache",
    "enecg evaluate --bundle demo/bundle --data ludb --report ludb.html",
)
@data_options
@click.option("--tasks", help=TASKS_HELP)
@click.option("--experts", help="Names, with commas between; enecg experts lists them.")
@click.option("--bundle", type=click.Path(), help="Test this bundle as it is, on data that it has not seen.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds by subject.")
@click.option("--split-column", help="Column that says who trains, validates and tests, instead of folds.")
@click.option("--train", help="Values of the split column, with commas between.")
@click.option("--validate", "validation", help="Values of the split column that make choices.")
@click.option("--test", help="Values of the split column that are tested.")
@click.option("--subjects", type=int, help="Use only this many subjects for training and validation.")
@click.option("--draws", default=5, show_default=True, help="How often --subjects are drawn.")
@click.option("--paper", is_flag=True, help="Compare recipe 'paper' too.")
@click.option("--peer", type=click.Path(dir_okay=False), help="Another system's answers (.npz, see scripts/peer.py).")
@click.option("--allow-seen", is_flag=True, help="Allow experts that have seen the cohort; rows are flagged.")
@click.option("--shuffle", is_flag=True, help="Shuffle the labels: everything must fall to chance.")
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
@click.option("--out", type=click.Path(dir_okay=False), help="Write the rows here, as JSON.")
@click.option("--report", type=click.Path(dir_okay=False), help="Write a page for a browser (.html), with curves.")
@json_option("The rows as JSON, to the screen.")
def command(
    choice: DataChoice,
    tasks: str | None,
    experts: str | None,
    bundle: str | None,
    folds: int,
    split_column: str | None,
    train: str | None,
    validation: str | None,
    test: str | None,
    subjects: int | None,
    draws: int,
    paper: bool,
    peer: str | None,
    allow_seen: bool,
    shuffle: bool,
    store: str | None,
    out: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Cross-validate by subject, or use a fixed split, and compare with baselines, single experts and a peer."""
    values = [names(part) for part in (train, validation, test)]
    if len({value is None for value in (split_column, *values)}) > 1:
        raise click.UsageError("--split-column, --train, --validate and --test go together")
    if subjects is not None and split_column is None:
        raise click.UsageError("--subjects needs a fixed split: --split-column, --train, --validate, --test")
    if bundle is not None and (tasks or experts or paper or peer or shuffle or split_column):
        raise click.UsageError("--bundle is tested as it is: leave out what trains another (--tasks, --experts, ...)")
    if report is not None and out == report:
        raise click.UsageError(f"--out and --report are both {out}: give the page a name of its own")
    for target in (out, report):
        if target is not None:
            check_writable(target)
    if report is not None:
        check_page(report)
    from enecg.estimator import EnECG
    from enecg.evaluation import evaluate, evaluate_fitted, markdown, shuffled, write_json

    opened = choice.open()
    if bundle is not None:
        finished = EnECG.load(bundle).set_params(store=store, progress=True)
        found = evaluate_fitted(finished, opened, allow_seen=allow_seen, seed=choice.seed)
    else:
        wanted = tasks_of(names(tasks), opened)
        rounds = None if split_column is None else _rounds(opened, split_column, values, subjects, draws)
        if shuffle:
            opened = shuffled(opened, [task.name for task in wanted], choice.seed)
        chosen = experts_of(names(experts), opened, rounds, allow_seen=allow_seen)
        model = EnECG(chosen, wanted, seed=choice.seed, store=store, progress=True)
        found = evaluate(
            model,
            opened,
            folds=folds,
            rounds=rounds,
            paper=paper,
            peer=None if peer is None else _peer(Path(peer), subjects, draws),
            allow_seen=allow_seen,
            seed=choice.seed,
        )
    found.about["command"] = "enecg " + " ".join(Path(part).name if "/" in part else part for part in sys.argv[1:])
    if as_json:
        show_json(found.record())
    else:
        click.echo(markdown(found.record()))
    if out is not None:
        write_json(found.record(), Path(out))
    if report is not None:
        from enecg.pages import evaluation_page, write_page

        write_page(report, evaluation_page(found, choice.seed))


def _rounds(cohort: "Cohort", column: str, values: Any, subjects: int | None, draws: int) -> "list[list[Fold]]":
    """A fixed split once, or once for each draw of a few subjects."""
    from enecg.evaluation import few_subjects, split_by_column

    whole = split_by_column(cohort, column, *values)
    if subjects is None:
        return [[whole]]
    return [[few_subjects(cohort, whole, subjects, draw)] for draw in range(draws)]


def _peer(path: Path, subjects: int | None, draws: int) -> "list[dict[str, npt.NDArray[np.float32]]]":
    """The peer's answers of each round (scripts/peer.py)."""
    import numpy as np

    with np.load(path) as found:
        plans = [""] if subjects is None else [f"few {subjects} {draw} " for draw in range(draws)]
        made = [
            {name.removeprefix(plan): found[name] for name in found.files if name.rpartition(" ")[0] == plan.strip()}
            for plan in plans
        ]
    return made
