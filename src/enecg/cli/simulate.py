"""enecg simulate."""

from pathlib import Path
from typing import Any

import click

from enecg.cli._common import as_command, check_writable
from enecg.cli._data import TABLE


@as_command(
    "enecg simulate hearts --n 100",
    "enecg simulate hyperkalaemia --n 5 --potassium 7.2 --age 70",
    "enecg fit bundle --data hearts",
)
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--n", type=click.IntRange(min=1), default=10, show_default=True, help="How many recordings.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--rate", default=500.0, show_default=True, help="Hz.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of each.")
@click.option("--rhythm", help="One of the 15 classes of task rhythm (enecg tasks rhythm).")
@click.option("--age", type=float, help="Years.")
@click.option("--sex", type=click.Choice(["male", "female"]))
@click.option("--potassium", type=float, help="mmol/L.")
def command(folder: str, n: int, seed: int, rate: float, seconds: float, **patient: Any) -> None:
    """Write simulated recordings (WFDB) into FOLDER, and their truth as targets.csv: `--data FOLDER` takes both."""
    out = Path(folder)
    check_writable(out / TABLE)
    import polars

    from enecg.errors import RecordingError
    from enecg.formats import write
    from enecg.simulation import simulate_one

    given = {name: value for name, value in patient.items() if value is not None}
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(n):
        try:
            made = simulate_one(index, seed, rate=rate, seconds=seconds, patient=given)
        except RecordingError as error:
            raise click.UsageError(str(error)) from error
        write(made.recording, out / f"{made.recording.id}.hea")
        rows.append({"id": made.recording.id, "subject": made.recording.subject, **_plain(made.truth.labels)})
    (out / TABLE).write_text(polars.DataFrame(rows, infer_schema_length=None).write_csv())
    click.echo(f"{n} simulated recordings and {TABLE} in {out}")


def _plain(labels: Any) -> dict[str, Any]:
    return {name: ";".join(value) or "-" if isinstance(value, list) else value for name, value in labels.items()}
