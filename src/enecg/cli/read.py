"""enecg read."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enecg.cli._common import as_command, check_writable, json_option, recordings_in, show_json

if TYPE_CHECKING:
    from enecg.recording import Recording


def _show_formats(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from enecg.formats import READERS

    width = max(len(reader.NAME) for reader in READERS)
    click.echo("\n".join(f"{reader.NAME:{width}}  {reader.EXPECTED}" for reader in READERS))
    ctx.exit()


@as_command("enecg read ecg.hea", "enecg read folder --json", "enecg read ecg.hea --plot ecg.png")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--unit", help="V, mV, uV or nV, for files that do not say theirs.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the (one) recording here: .png, .svg, .pdf.")
@json_option("A line of JSON for each recording.")
@click.option(
    "--formats",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_formats,
    help="List the formats that are read, and what tells each, and end.",
)
def command(paths: tuple[str, ...], unit: str | None, plot: str | None, as_json: bool) -> int:
    """Show what files hold: leads, rate, length, what they say about the patient, quality. PATHS: files or folders."""
    from enecg.errors import EnECGError
    from enecg.formats import read

    files, empty = recordings_in(paths)
    if plot is not None:
        if len(files) != 1:
            raise click.UsageError(f"--plot draws one recording; {len(files)} were given")
        check_writable(plot)
    for complaint in empty:
        click.echo(complaint, err=True)
    refused = 0
    for file in files:
        try:
            recording = read(file, unit=unit)
        except EnECGError as error:
            refused += 1
            if as_json:
                show_json({"path": str(file), "refused": str(error)}, indent=None)
            else:
                click.echo("\n".join([f"{file}", *_lines([("refused", str(error))]), ""]))
            continue
        facts = _facts(file, recording)
        if as_json:
            show_json(facts, indent=None)
        else:
            click.echo("\n".join([f"{file}", *_lines(_rows(facts)), ""]))
        if plot is not None:
            from enecg.plot import plot_recording

            Path(plot).parent.mkdir(parents=True, exist_ok=True)
            plot_recording(recording, path=plot)
    if refused == len(files):
        return 3
    return 1 if refused or empty else 0


def _facts(path: Path, recording: "Recording") -> dict[str, Any]:
    """What a file holds, as plain values."""
    import numpy as np

    from enecg.signal.doubts import doubts
    from enecg.signal.quality import assess

    quality = assess(recording.signal, recording.rate, recording.leads)
    missing = np.isnan(recording.signal)
    low = [
        None if gone.all() else round(float(np.nanmin(row)), 4)
        for row, gone in zip(recording.signal, missing, strict=True)
    ]
    high = [
        None if gone.all() else round(float(np.nanmax(row)), 4)
        for row, gone in zip(recording.signal, missing, strict=True)
    ]
    return {
        "path": str(path),
        "format": None if recording.source is None else recording.source.format,
        "id": recording.id,
        "subject": recording.subject,
        "age_years": recording.age,
        "sex": recording.sex,
        "acquired": None if recording.acquired is None else recording.acquired.isoformat(),
        "device": recording.device,
        "leads": list(recording.leads),
        "rate_hz": recording.rate,
        "samples": recording.n_samples,
        "seconds": round(recording.seconds, 3),
        "lowest_mv": low,
        "highest_mv": high,
        "missing": [round(float(share), 4) for share in missing.mean(axis=1)],
        "measurements": dict(recording.measurements),
        "statements": list(recording.statements),
        "notes": list(recording.notes),
        "quality": round(quality.grade, 3),
        "faults": list(quality.reasons),
        "doubts": [str(doubt) for doubt in doubts(recording.signal, recording.rate, recording.leads)],
    }


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts for a person, with units, in the order of a first look; what is not known is left out."""
    age = "" if facts["age_years"] is None else f"{facts['age_years']:g} years"
    low, high = ([value for value in facts[name] if value is not None] for name in ("lowest_mv", "highest_mv"))
    gaps = {name: share for name, share in zip(facts["leads"], facts["missing"], strict=True) if share > 0}
    rows = [
        ("format", facts["format"] or ""),
        ("recorded", (facts["acquired"] or "").replace("T", " ")),
        ("device", facts["device"] or ""),
        ("patient", ", ".join(part for part in (facts["subject"], facts["sex"], age) if part)),
        ("leads", f"{len(facts['leads'])}: {' '.join(facts['leads'])}"),
        ("length", f"{facts['seconds']:g} s, {facts['samples']} samples at {facts['rate_hz']:g} Hz"),
        ("amplitude", f"{min(low):.3f} to {max(high):.3f} mV" if low else "no samples"),
        ("missing", ", ".join(f"{name} {share:.1%}" for name, share in gaps.items())),
        ("quality", f"{facts['quality']:.2f} of 1"),
        *(("fault", fault) for fault in facts["faults"]),
        *(("doubt", doubt) for doubt in facts["doubts"]),
        *((name, str(value)) for name, value in facts["measurements"].items()),
        *(("says", statement) for statement in facts["statements"]),
        *(("note", note) for note in facts["notes"]),
    ]
    return [(key, value) for key, value in rows if value]


def _lines(rows: list[tuple[str, str]]) -> list[str]:
    return [
        line
        for key, value in rows
        for line in textwrap.wrap(value, 110, initial_indent=f"  {key:10} ", subsequent_indent=" " * 13)
    ]
