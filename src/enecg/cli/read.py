"""enecg read."""

from pathlib import Path
from typing import Any

import click

from enecg.cli._common import show_json


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--unit", help="V, mV, uV or nV, for files that do not say theirs.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the (one) recording here: .png, .svg, .pdf.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def command(paths: tuple[str, ...], unit: str | None, plot: str | None, as_json: bool) -> int:
    """Show what files hold: leads, rate, length, what they say about the patient, quality.

    Example:  enecg read demo/recordings/simulated_1_000000.hea
    """
    from enecg.errors import EnECGError
    from enecg.formats import find, read
    from enecg.plot import plot_recording

    files = [file for path in paths for file in (find(path) if Path(path).is_dir() else [Path(path)])]
    if plot is not None and len(files) != 1:
        raise click.UsageError(f"--plot draws one recording; {len(files)} were given")
    shown, refused = [], 0
    for file in files:
        try:
            recording = read(file, unit=unit)
        except EnECGError as error:
            refused += 1
            shown.append({"path": str(file), "refused": str(error)})
            continue
        shown.append(_facts(file, recording))
        if plot is not None:
            plot_recording(recording, path=plot)
    if as_json:
        show_json(shown)
    else:
        for facts in shown:
            click.echo("\n".join(f"{key:12} {value}" for key, value in facts.items() if value not in (None, "", [])))
            click.echo()
    if refused == len(files):
        return 3
    return 1 if refused else 0


def _facts(path: Path, recording: Any) -> dict[str, Any]:
    from enecg.signal.quality import assess

    quality = assess(recording.signal, recording.rate, recording.leads)
    return {
        "path": str(path),
        "id": recording.id,
        "format": recording.source.format,
        "leads": " ".join(recording.leads),
        "rate_hz": recording.rate,
        "seconds": round(recording.seconds, 3),
        "age": recording.age,
        "sex": recording.sex,
        "acquired": None if recording.acquired is None else recording.acquired.isoformat(),
        "statements": list(recording.statements),
        "notes": list(recording.notes),
        "quality": round(quality.grade, 3),
        "faults": list(quality.reasons),
    }
