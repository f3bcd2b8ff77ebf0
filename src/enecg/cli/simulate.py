"""enecg simulate."""

from pathlib import Path
from typing import Any

import click

from enecg.errors import CohortError


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--n", default=10, show_default=True, help="How many recordings.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--rate", default=500.0, show_default=True, help="Hz.")
@click.option("--seconds", default=10.0, show_default=True, help="Length.")
@click.option("--rhythm", help="One of the 15 classes of task rhythm.")
@click.option("--age", type=float, help="Years.")
@click.option("--sex", type=click.Choice(["male", "female"]))
@click.option("--potassium", type=float, help="mmol/L.")
def command(folder: str, n: int, seed: int, rate: float, seconds: float, **patient: Any) -> None:
    """Write simulated recordings (WFDB) and their truth (targets.csv).

    Example:  enecg simulate simulated --n 100
    """
    from enecg.simulation import simulate_one

    given = {name: value for name, value in patient.items() if value is not None}
    out = Path(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        rows = []
        for index in range(n):
            made = simulate_one(index, seed, rate=rate, seconds=seconds, patient=given)
            write_wfdb(made.recording, out)
            rows.append({"id": made.recording.id, "subject": made.recording.subject, **_plain(made.truth.labels)})
        import polars

        polars.DataFrame(rows).write_csv(out / "targets.csv")
    except OSError as error:
        raise CohortError(f"{out}: cannot be written ({error}); choose a folder with free space") from error
    click.echo(f"{n} simulated recordings and targets.csv in {out}")


def _plain(labels: Any) -> dict[str, Any]:
    return {name: ";".join(value) or "-" if isinstance(value, list) else value for name, value in labels.items()}


def write_wfdb(recording: Any, folder: Path) -> None:
    """Write one recording as a WFDB record, 1 uV for each unit."""
    import numpy as np
    import wfdb

    comments = [f"Age: {recording.age:g}", f"Sex: {recording.sex}", *recording.notes]
    wfdb.wrsamp(
        recording.id,
        fs=recording.rate,
        units=["mV"] * recording.n_leads,
        sig_name=list(recording.leads),
        p_signal=np.clip(recording.signal.T.astype(np.float64), -32, 32),
        fmt=["16"] * recording.n_leads,
        adc_gain=[1000.0] * recording.n_leads,
        baseline=[0] * recording.n_leads,
        comments=comments,
        write_dir=str(folder),
    )
