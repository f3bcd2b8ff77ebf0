"""enecg experts adapt."""

import click

from enecg.cli._common import as_command, json_option, names, show_json
from enecg.cli._data import TASKS_HELP, DataChoice, data_options, tasks_of


@as_command(
    "enecg experts adapt ecg-jepa --as ours --data my-ecgs --tasks age,sex",
    "enecg fit bundle --experts ecg-jepa+ours,rocket,measurements --data my-other-ecgs",
)
@click.argument("expert")
@click.option("--as", "name", required=True, help="Its name afterwards is EXPERT+NAME.")
@data_options
@click.option("--tasks", help=TASKS_HELP)
@click.option("--epochs", type=click.IntRange(min=1), help="At most; stopped earlier by validation subjects.")
@json_option()
def command(expert: str, name: str, choice: DataChoice, tasks: str | None, epochs: int | None, as_json: bool) -> int:
    """Train LoRA inside the attention of EXPERT, and keep it as an expert of its own.

    What it learned from it has seen: evaluate refuses to test it on the same subjects. Nothing is kept if LoRA serves
    validation subjects no better than a head on the frozen expert.
    """
    from dataclasses import asdict, replace

    from enecg.adapting import AdaptSettings, adapt_expert

    opened = choice.open()
    settings = AdaptSettings() if epochs is None else replace(AdaptSettings(), max_epochs=epochs)
    found = adapt_expert(
        expert,
        name,
        opened,
        tasks=tasks_of(names(tasks), opened),
        settings=settings,
        seed=choice.seed,
        progress=not as_json,
    )
    for reason in found.refused:
        click.echo(f"not used: {reason}", err=True)
    if as_json:
        show_json({"expert": f"{expert}+{name}"} | asdict(found))
    else:
        click.echo(
            f"{expert}+{name}: learned {', '.join(found.tasks)} from {found.n_recordings} recordings; validation loss "
            f"{found.before:.3f} with a head alone, {found.after:.3f} adapted (1 is the trivial answer)"
        )
    return 1 if found.refused else 0
