"""enecg predict."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from enecg.cli._common import as_command, check_writable, json_option, names, recordings_in, show_json

if TYPE_CHECKING:
    from enecg.predictions import Predictions


@as_command(
    "enecg predict ecg.hea",
    "enecg predict folder --out answers.csv",
    "enecg predict ecg.hea --plot ecg.png --include-simulated",
    "enecg predict ecg.hea --bundle demo/bundle --json",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--bundle", type=click.Path(), help="Made by enecg fit or demo; left out: the one that ships with enecg.")
@click.option("--out", type=click.Path(dir_okay=False), help=".csv, .parquet, .json or .jsonl; default: to the screen.")
@json_option("A line of JSON for each recording, to the screen.")
@click.option("--tasks", help="Names, with commas between; default: all.")
@click.option(
    "--include-simulated", is_flag=True, help="Answer tasks that only simulated recordings taught, marked so."
)
@click.option(
    "--top-k", type=click.IntRange(min=1), help="How many experts run for a recording; default: all that can."
)
@click.option(
    "--coverage", type=click.FloatRange(0.5, 0.99), help="Of intervals and class sets; default: the bundle's."
)
@click.option(
    "--plot", type=click.Path(), help="Draw with the answers: a .png, .svg or .pdf file, or a folder for many."
)
@click.option("--keep-poor", is_flag=True, help="Answer recordings of poor quality too.")
@click.option("--unit", help="V, mV, uV or nV, for files that do not say theirs.")
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
def command(
    paths: tuple[str, ...],
    bundle: str | None,
    out: str | None,
    as_json: bool,
    tasks: str | None,
    include_simulated: bool,
    top_k: int | None,
    coverage: float | None,
    plot: str | None,
    keep_poor: bool,
    unit: str | None,
    store: str | None,
) -> int:
    """Answer ECG files. PATHS: files or folders.

    A recording that cannot be read or answered is refused with its reason; the others get their answers.
    """
    files, empty = recordings_in(paths)
    drawings = [] if plot is None else _drawings(Path(plot), files)
    for target in (out, *drawings[:1]):
        if target is not None:
            check_writable(target)
    from enecg.estimator import EnECG
    from enecg.formats import RecordingFile

    model = EnECG.starter() if bundle is None else EnECG.load(bundle)
    model.set_params(store=store, progress=len(files) > 50)
    if coverage is not None:
        model.set_params(coverage=coverage)
    # None: a bundle that was taught by nothing else answers all the same, and says so in every row.
    wanted = True if include_simulated else None
    recordings = [RecordingFile(file, unit=unit) for file in files]
    found = model.predict(recordings, tasks=names(tasks), top_k=top_k, abstain=not keep_poor, include_simulated=wanted)
    for complaint in empty:
        click.echo(complaint, err=True)
    if out is not None:
        found.write(out)
        click.echo(f"{len(found) - len(found.refused)} of {len(found)} recordings answered: {out}", err=True)
        for prediction in found.refused:
            click.echo(f"refused {prediction.path}: {prediction.refused}", err=True)
    if as_json:
        for record in found.records():
            show_json(record, indent=None)
    elif out is None:
        _show(found)
    for target, recording, prediction in zip(drawings, recordings, found, strict=bool(drawings)):
        if prediction.refused is None:
            from enecg.plot import plot_recording

            target.parent.mkdir(parents=True, exist_ok=True)
            plot_recording(recording.read(), prediction, target)
    if len(found.refused) == len(found):
        return 3
    return 1 if found.refused or empty else 0


def _show(found: "Predictions") -> None:
    from enecg.report import as_text

    width = shutil.get_terminal_size((110, 40)).columns
    for prediction in found:
        click.echo(as_text(prediction, width) + "\n")


def _drawings(plot: Path, files: list[Path]) -> list[Path]:
    """A picture's name for each file: the one given, or in a folder, told apart by more of the path where needed."""
    if plot.suffix.lower() in (".png", ".svg", ".pdf"):
        if len(files) != 1:
            raise click.UsageError(f"--plot {plot} is one file; {len(files)} recordings were given: name a folder")
        return [plot]
    if plot.suffix:
        raise click.UsageError(f"--plot {plot}: pictures are .png, .svg or .pdf; or name a folder, without an ending")
    made: dict[str, Path] = {}
    for number, file in enumerate(files):
        stem = file.stem
        if stem in made:
            stem = f"{file.resolve().parent.name}_{stem}"
        made[stem if stem not in made else f"{stem}_{number}"] = file
    return [plot / f"{name}.png" for name in made]
