"""enecg fit."""

import click

from enecg.cli._common import as_command, check_writable, json_option, names, show_json
from enecg.cli._data import TASKS_HELP, DataChoice, data_options, tasks_of


@as_command(
    "enecg fit bundle --data my-ecgs --table targets.csv --tasks age,lvef_below_40:binary",
    "enecg fit bundle --cohort ptbxl --data ptbxl --cohort ludb --data ludb --store cache",
)
@click.argument("bundle", type=click.Path(file_okay=False))
@data_options
@click.option("--tasks", help=TASKS_HELP)
@click.option("--experts", help="Names, with commas between; enecg experts lists them.")
@click.option("--recipe", type=click.Choice(["joint", "paper"]), default="joint", show_default=True)
@click.option(
    "--top-k", type=click.IntRange(min=1), help="How many experts run for a recording; default: all that can."
)
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
@json_option()
def command(
    bundle: str,
    choice: DataChoice,
    tasks: str | None,
    experts: str | None,
    recipe: str,
    top_k: int | None,
    store: str | None,
    as_json: bool,
) -> int:
    """Train an ensemble and write its BUNDLE, a new folder."""
    check_writable(bundle)
    from enecg.estimator import DEFAULT_EXPERTS, EnECG

    opened = choice.open()
    model = EnECG(
        names(experts) or DEFAULT_EXPERTS,
        tasks_of(names(tasks), opened),
        recipe=recipe,
        top_k=top_k,
        seed=choice.seed,
        store=store,
        progress=True,
    )
    model.fit(opened)
    model.save(bundle)
    for refusal in model.refusals_:
        click.echo(f"refused {refusal.id} ({refusal.expert or 'all experts'}): {refusal.reason}", err=True)
    code = 1 if any(refusal.expert is None for refusal in model.refusals_) else 0
    if as_json:
        show_json({"bundle": bundle} | model.training_ | {"caveats": model.caveats()})
        return code
    for name, learned in model.training_["tasks"].items():
        click.echo(f"{name:18} {learned['n_recordings']} recordings of {learned['n_subjects']} subjects")
    for name, said in model.caveats().items():
        click.echo(f"{name}: {said}")
    click.echo(f"bundle: {bundle}")
    return code
