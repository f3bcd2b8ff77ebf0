"""enecg embed."""

import click

from enecg.cli._common import data_options, names, one_thread, open_cohort


@click.command()
@click.argument("store", type=click.Path(file_okay=False))
@data_options
@click.option("--experts", help="Names, with commas between.")
def command(
    store: str, data: str | None, cohort: str | None, table: str | None, n: int, seed: int, experts: str | None
) -> int:
    """Fill a store with embeddings, so that fits and evaluations read no file. Stopped runs go on where they were.

    Example:  enecg embed cache --data ptbxl --cohort ptbxl
    """
    one_thread()
    from enecg.estimator import DEFAULT_EXPERTS, EnECG

    opened = open_cohort(data, cohort, table, n, seed)
    embedded = EnECG(names(experts) or DEFAULT_EXPERTS, store=store, progress=True).embed(opened)
    for refusal in embedded.refusals:
        click.echo(f"refused {refusal.id} ({refusal.expert or 'all experts'}): {refusal.reason}", err=True)
    for name, there in embedded.present.items():
        rate = embedded.seconds[name] / max(1, int(there.sum())) * 1000
        click.echo(f"{name:24} {int(there.sum())} of {len(there)} recordings, {rate:.1f} ms each computed here")
    return 1 if embedded.refusals else 0
