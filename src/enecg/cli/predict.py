"""enecg predict."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from enecg.cli._common import as_command, check_page, check_writable, json_option, names, recordings_in, show_json

if TYPE_CHECKING:
    from enecg.native import NativeAnswers
    from enecg.predictions import Predictions


@as_command(
    "enecg predict ecg.hea",
    "enecg predict folder --out answers.csv",
    "enecg predict ecg.hea --plot ecg.png --include-simulated",
    "enecg predict folder --report answers.html",
    "enecg predict ecg.hea --bundle demo/bundle --json",
    "enecg predict folder --expert ecgfounder --out labels.csv --embeddings embeddings.npy",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--bundle", type=click.Path(), help="Made by enecg fit or demo; left out: the one that ships with enecg.")
@click.option("--expert", help="Instead of a bundle's: the answers that this published expert was made with, by name.")
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
@click.option(
    "--report",
    type=click.Path(dir_okay=False),
    help="Write a page for a browser (.html): ECG paper, answers, experts, quality.",
)
@click.option(
    "--embeddings", type=click.Path(dir_okay=False), help="With --expert: write its embeddings, an array (.npy)."
)
@click.option("--keep-poor", is_flag=True, help="Answer recordings of poor quality too.")
@click.option("--unit", help="V, mV, uV or nV, for files that do not say theirs.")
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
def command(
    paths: tuple[str, ...],
    bundle: str | None,
    expert: str | None,
    out: str | None,
    as_json: bool,
    tasks: str | None,
    include_simulated: bool,
    top_k: int | None,
    coverage: float | None,
    plot: str | None,
    report: str | None,
    embeddings: str | None,
    keep_poor: bool,
    unit: str | None,
    store: str | None,
) -> int:
    """Answer ECG files. PATHS: files or folders.

    A recording that cannot be read or answered is refused with its reason; the others get their answers.
    """
    of_ensembles = {"--bundle": bundle, "--tasks": tasks, "--top-k": top_k, "--coverage": coverage, "--plot": plot}
    of_ensembles["--report"] = report
    of_ensembles["--include-simulated"] = include_simulated or None
    misplaced = [name for name, value in of_ensembles.items() if value is not None]
    if expert is not None and misplaced:
        raise click.UsageError(f"{misplaced[0]} is for ensembles; --expert gives an expert's own answers as they are")
    if expert is None and embeddings is not None:
        raise click.UsageError("--embeddings are those of one expert: name it with --expert")
    files, empty = recordings_in(paths)
    drawings = [] if plot is None else _drawings(Path(plot), files)
    for target in (out, embeddings, report, *drawings[:1]):
        if target is not None:
            check_writable(target)
    if report is not None:
        check_page(report, len(files))
    from enecg.estimator import EnECG
    from enecg.formats import RecordingFile
    from enecg.native import answer, check_array
    from enecg.predictions import check_ending
    from enecg.report import as_text, native_text

    if out is not None:
        check_ending(Path(out))
    recordings = [RecordingFile(file, unit=unit) for file in files]
    progress, width = len(files) > 50, shutil.get_terminal_size((110, 40)).columns
    if expert is not None:
        if embeddings is not None:
            check_array(Path(embeddings))
        own = answer(recordings, expert, store=store, abstain=not keep_poor, progress=progress)
        if embeddings is not None:
            own.write_embeddings(embeddings)
        refusals = [(path, why) for path, why in zip(own.paths, own.refused, strict=True) if why is not None]
        return _tell(own, [native_text(own, row, width) for row in range(len(own))], refusals, out, as_json, empty)
    model = EnECG.starter() if bundle is None else EnECG.load(bundle)
    model.set_params(store=store, progress=progress)
    if coverage is not None:
        model.set_params(coverage=coverage)
    # None: a bundle that was taught by nothing else answers all the same, and says so in every row.
    wanted = True if include_simulated else None
    found = model.predict(recordings, tasks=names(tasks), top_k=top_k, abstain=not keep_poor, include_simulated=wanted)
    refusals = [(prediction.path, prediction.refused or "") for prediction in found.refused]
    code = _tell(found, [as_text(prediction, width) for prediction in found], refusals, out, as_json, empty)
    for target, recording, prediction in zip(drawings, recordings, found, strict=bool(drawings)):
        if prediction.refused is None:
            from enecg.plot import plot_recording

            target.parent.mkdir(parents=True, exist_ok=True)
            plot_recording(recording.read(), prediction, target)
    if report is not None:
        from enecg.pages import Shown, predictions_page, write_page

        shown = [Shown(prediction, recording) for prediction, recording in zip(found, recordings, strict=True)]
        called = "starter ensemble" if bundle is None else f"bundle {Path(bundle).resolve().name}"
        write_page(report, predictions_page(shown, model, called))
    return code


def _tell(
    found: "Predictions | NativeAnswers",
    texts: Sequence[str],
    refusals: Sequence[tuple[Path | None, str]],
    out: str | None,
    as_json: bool,
    empty: Sequence[str],
) -> int:
    """Write the answers, or show them; returns the exit code. texts : one for each recording, for the screen."""
    for complaint in empty:
        click.echo(complaint, err=True)
    if out is not None:
        found.write(out)
        click.echo(f"{len(found) - len(refusals)} of {len(found)} recordings answered: {out}", err=True)
        for path, reason in refusals:
            click.echo(f"refused {path}: {reason}", err=True)
    if as_json:
        for record in found.records():
            show_json(record, indent=None)
    elif out is None:
        for text in texts:
            click.echo(text + "\n")
    if len(refusals) == len(found):
        return 3
    return 1 if refusals or empty else 0


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
