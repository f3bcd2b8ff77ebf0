"""enecg fit."""

import click

from enecg.cli._common import data_options, names, one_thread, open_cohort


@click.command()
@click.argument("bundle", type=click.Path(file_okay=False))
@data_options
@click.option("--tasks", help="Names, with commas between; default: the five of the paper that the data have.")
@click.option("--experts", help="Names, with commas between.")
@click.option("--recipe", type=click.Choice(["joint", "paper"]), default="joint", show_default=True)
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
def command(
    bundle: str,
    data: str | None,
    cohort: str | None,
    table: str | None,
    n: int,
    seed: int,
    tasks: str | None,
    experts: str | None,
    recipe: str,
    store: str | None,
) -> None:
    """Train an ensemble and write its bundle.

    Example:  enecg fit my-bundle --data my-ecgs --table targets.csv --tasks age,sex --store cache
    """
    one_thread()
    from enecg.estimator import DEFAULT_EXPERTS, EnECG
    from enecg.tasks import FIVE_TASKS

    opened = open_cohort(data, cohort, table, n, seed)
    wanted = names(tasks) or tuple(task for task in FIVE_TASKS if task in opened.targets.columns)
    if not wanted:
        raise click.UsageError(f"none of the tasks {', '.join(FIVE_TASKS)} is a column of the targets; pass --tasks")
    model = EnECG(names(experts) or DEFAULT_EXPERTS, wanted, recipe=recipe, seed=seed, store=store, progress=True)
    model.fit(opened)
    model.save(bundle)
    for note in opened.notes:
        click.echo(note)
    for name, learned in model.training_["tasks"].items():
        click.echo(f"{name:18} {learned['n_recordings']} recordings of {learned['n_subjects']} subjects")
    click.echo(f"bundle: {bundle}")
