"""enecg embed."""

import click

from enecg.cli._common import as_command, check_writable, json_option, names, show_json
from enecg.cli._data import DataChoice, data_options


@as_command(
    "enecg embed cache --data ptbxl --cohort ptbxl", "enecg embed cache --data my-ecgs --experts rocket,dlinear"
)
@click.argument("store", type=click.Path(file_okay=False))
@data_options
@click.option("--experts", help="Names, with commas between; enecg experts lists them.")
@json_option()
def command(store: str, choice: DataChoice, experts: str | None, as_json: bool) -> int:
    """Fill a store with embeddings, so that fits and evaluations read no file. Stopped runs go on where they were."""
    check_writable(store)
    from enecg.estimator import DEFAULT_EXPERTS, EnECG

    opened = choice.open(targets=False)
    model = EnECG(names(experts) or DEFAULT_EXPERTS, store=store, progress=True)
    embedded, caveats = model.embed(opened), model.caveats()
    for refusal in embedded.refusals:
        click.echo(f"refused {refusal.id} ({refusal.expert or 'all experts'}): {refusal.reason}", err=True)
    rows = [
        {
            "expert": name,
            "recordings": int(there.sum()),
            "of": len(there),
            "seconds": round(embedded.seconds[name], 3),
            "caveats": caveats.get(name, ""),
        }
        for name, there in embedded.present.items()
    ]
    if as_json:
        show_json(rows)
    else:
        for row in rows:
            said = f"; {row['caveats']}" if row["caveats"] else ""
            click.echo(f"{row['expert']:24} {row['recordings']} of {row['of']} recordings, {row['seconds']} s{said}")
    if not any(row["recordings"] for row in rows):
        return 3
    return 1 if embedded.refusals else 0
