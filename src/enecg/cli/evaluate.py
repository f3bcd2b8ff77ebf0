"""enecg evaluate."""

import sys
from pathlib import Path

import click
import numpy as np

from enecg.cli._common import data_options, names, one_thread, open_cohort


@click.command()
@data_options
@click.option("--tasks", help="Names, with commas between; default: the five of the paper that the data have.")
@click.option("--experts", help="Names, with commas between.")
@click.option("--folds", default=5, show_default=True, help="Folds by subject.")
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
def command(
    data: str | None,
    cohort: str | None,
    table: str | None,
    n: int,
    seed: int,
    tasks: str | None,
    experts: str | None,
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
) -> None:
    """Cross-validate by subject, or use a fixed split, and compare with baselines, single experts and a peer.

    Example:  enecg evaluate --data ptbxl --cohort ptbxl --split-column fold --train 1,2,3,4 --validate 5 --test 6
    """
    one_thread()
    from enecg.estimator import DEFAULT_EXPERTS, EnECG
    from enecg.evaluation import evaluate, few_subjects, markdown, shuffled, split_by_column, write_json
    from enecg.tasks import FIVE_TASKS

    opened = open_cohort(data, cohort, table, n, seed)
    wanted = names(tasks) or tuple(task for task in FIVE_TASKS if task in opened.targets.columns)
    rounds = None
    if split_column is not None:
        values = [names(part) for part in (train, validation, test)]
        if None in values:
            raise click.UsageError("--split-column needs --train, --validate and --test")
        whole = split_by_column(opened, split_column, *values)  # type: ignore[arg-type]
        rounds = [[whole]]
        if subjects is not None:
            rounds = [[few_subjects(opened, whole, subjects, draw)] for draw in range(draws)]
    if shuffle:
        opened = shuffled(opened, wanted, seed)
    model = EnECG(names(experts) or DEFAULT_EXPERTS, wanted, seed=seed, store=store, progress=True)
    found = evaluate(
        model,
        opened,
        folds=folds,
        rounds=rounds,
        paper=paper,
        peer=None if peer is None else _peer(Path(peer), subjects, draws),
        allow_seen=allow_seen,
        seed=seed,
    )
    found.about["command"] = "enecg " + " ".join(Path(part).name if "/" in part else part for part in sys.argv[1:])
    click.echo(markdown(found.record()))
    if out is not None:
        write_json(found.record(), Path(out))


def _peer(path: Path, subjects: int | None, draws: int) -> "list[dict[str, np.typing.NDArray[np.float32]]]":
    """The peer's answers of each round (scripts/peer.py)."""
    with np.load(path) as found:
        plans = [""] if subjects is None else [f"few {subjects} {draw} " for draw in range(draws)]
        made = [
            {name.removeprefix(plan): found[name] for name in found.files if name.rpartition(" ")[0] == plan.strip()}
            for plan in plans
        ]
    return made
