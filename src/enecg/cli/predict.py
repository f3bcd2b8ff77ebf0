"""enecg predict."""

from pathlib import Path

import click

from enecg.cli._common import names, one_thread


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@click.option("--bundle", required=True, type=click.Path(file_okay=False), help="Made by enecg fit or demo.")
@click.option("--out", type=click.Path(dir_okay=False), help=".csv, .parquet, .json or .jsonl; default: to the screen.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines to the screen.")
@click.option("--tasks", help="Names, with commas between.")
@click.option("--top-k", type=click.IntRange(min=1), help="How many experts run for a recording.")
@click.option("--plot", type=click.Path(), help="Draw: a .png file for one recording, a folder for many.")
@click.option("--keep-poor", is_flag=True, help="Answer recordings of poor quality too.")
@click.option("--store", type=click.Path(file_okay=False), help="Folder that keeps embeddings.")
def command(
    paths: tuple[str, ...],
    bundle: str,
    out: str | None,
    as_json: bool,
    tasks: str | None,
    top_k: int | None,
    plot: str | None,
    keep_poor: bool,
    store: str | None,
) -> int:
    """Answer with a bundle. A recording that cannot be read is refused with its reason; the others get their answers.

    Example:  enecg predict demo/recordings --bundle demo/bundle --out answers.csv
    """
    one_thread()
    from enecg.estimator import EnECG
    from enecg.formats import find

    files = [file for path in paths for file in (find(path) if Path(path).is_dir() else [Path(path)])]
    if not files:
        raise click.UsageError(f"no recordings in {', '.join(paths)}")
    model = EnECG.load(bundle)
    model.set_params(store=store, progress=len(files) > 50)
    found = model.predict(files, tasks=names(tasks), top_k=top_k, abstain=not keep_poor)
    if out is not None:
        found.write(out)
        click.echo(f"{len(found) - len(found.refused)} of {len(found)} recordings answered: {out}", err=True)
    elif as_json:
        import json

        for record in found.records():
            click.echo(json.dumps(record))
    else:
        for prediction in found:
            click.echo(_text(prediction))
    if plot is not None:
        _draw(Path(plot), files, found)
    if out is not None:
        for prediction in found.refused:
            click.echo(f"refused {prediction.path}: {prediction.refused}", err=True)
    if len(found.refused) == len(found):
        return 3
    return 1 if found.refused else 0


def _text(prediction: object) -> str:
    from enecg.plot import answer_lines
    from enecg.predictions import Prediction

    assert isinstance(prediction, Prediction)
    return "\n".join([f"{prediction.path or prediction.id}", *(f"  {line}" for line in answer_lines(prediction)), ""])


def _draw(plot: Path, files: list[Path], found: object) -> None:
    from enecg.formats import read
    from enecg.plot import plot_recording
    from enecg.predictions import Predictions

    assert isinstance(found, Predictions)
    if plot.suffix:
        if len(files) != 1:
            raise click.UsageError(f"--plot {plot} is one file; {len(files)} recordings were given: name a folder")
        targets = [plot]
    else:
        plot.mkdir(parents=True, exist_ok=True)
        targets = [plot / f"{file.stem}.png" for file in files]
    for file, prediction, target in zip(files, found, targets, strict=True):
        if prediction.refused is None:
            plot_recording(read(file), prediction, target)
