"""enecg convert."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enecg.cli._common import as_command, check_writable, json_option, names, recordings_in, show_json
from enecg.errors import EnECGError, WriteError

if TYPE_CHECKING:
    from enecg.formats import RecordingFile
    from enecg.recording import Recording

FORMATS = ("wfdb", "edf", "dicom", "aecg", "parquet")


@as_command(
    "enecg convert ecg.xml --out ecg.edf",
    "enecg convert folder --to wfdb --out converted",
    "enecg convert folder --to dicom --out shared --deidentify --key secret.key",
)
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=click.Path())
@click.option("--to", type=click.Choice(FORMATS), help="The format; left out: the one that --out's ending tells.")
@click.option(
    "--out", required=True, type=click.Path(), help="A folder, or the file for one recording, by its format's ending."
)
@click.option("--deidentify", is_flag=True, help="Replace ids, shift dates, leave out free text and serial numbers.")
@click.option(
    "--key",
    type=click.Path(dir_okay=False),
    help="Secret by which a patient has one new id and one shift in all runs; made if it is not there.",
)
@click.option("--keep-statements", is_flag=True, help="With --deidentify: keep the machine's sentences.")
@click.option("--unit", help="V, mV, uV or nV, for files that do not say theirs.")
@click.option("--rate", type=float, help="Hz, likewise.")
@click.option("--leads", help="Names in the file's order, with commas between, likewise.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@json_option("A line of JSON for each recording.")
def command(
    paths: tuple[str, ...],
    to: str | None,
    out: str,
    deidentify: bool,
    key: str | None,
    keep_statements: bool,
    force: bool,
    as_json: bool,
    **said: Any,
) -> int:
    """Write recordings in another format: all their samples, and all that it can hold of what they say.

    IN: files or folders, whose folders are kept; with --deidentify the new files are named by the new ids.
    """
    if not deidentify and (key or keep_statements):
        raise click.UsageError("--key and --keep-statements belong to --deidentify")
    to, one = _format(to, out)
    files, empty = recordings_in(paths)
    if one and len(files) != 1:
        raise click.UsageError(f"--out {out} is one file; {len(files)} recordings were given: choose a folder")
    check_writable(out)
    secret = _key(key, None if one else Path(out)) if deidentify else None
    for complaint in empty:
        click.echo(complaint, err=True)
    done = refused = nameless = 0
    places = _Places(Path(out), one, to, force)
    said["leads"] = names(said["leads"])
    for file, recording_file in _each(files, said):
        try:
            if isinstance(recording_file, EnECGError):
                raise recording_file
            recording = recording_file.read()
            nameless += recording.subject is None
            path = _written(recording, recording_file, places, paths, secret, keep_statements)
        except EnECGError as error:
            refused += 1
            why = str(error) if str(file) in str(error) else f"{file}: {error}"
            if as_json:
                show_json({"path": str(file), "refused": why}, indent=None)
            else:
                click.echo(f"refused {why}", err=True)
            continue
        done += 1
        if as_json:
            show_json({"path": str(file), "written": str(path)}, indent=None)
        else:
            click.echo(f"{file} -> {path}")
    if deidentify and nameless:
        click.echo(
            f"{nameless} of {done + refused} recordings name no patient: each was taken as a patient's only one",
            err=True,
        )
    if not done:
        return 3
    return 1 if refused or empty else 0


def _format(to: str | None, out: str) -> tuple[str, bool]:
    """The format, and whether the output is one file. Raises UsageError where nothing says the format."""
    from enecg.formats.writing import WRITERS, format_of

    if to is None:
        try:
            return format_of(Path(out)), True
        except WriteError as error:
            raise click.UsageError(f"--to is needed, for --out does not tell the format: {error}") from error
    return to, Path(out).suffix.lower() == WRITERS[to].ENDING


def _key(name: str | None, folder: Path | None) -> bytes:
    """The secret in a file, which is made if it is not there; without a file, one that nobody keeps."""
    from enecg.deidentify import SHORTEST_KEY, new_key

    if name is None:
        click.echo(
            "a random key was made, which is not kept: nobody can tell whose the new ids are, and another run gives "
            "others (--key FILE keeps it)",
            err=True,
        )
        return new_key()
    path = Path(name)
    if folder is not None and path.resolve().is_relative_to(folder.resolve()):
        raise click.UsageError(f"--key {name} lies in {folder}, and would be handed on with the files; move it away")
    if not path.exists():
        check_writable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_key().hex() + "\n")
        click.echo(f"a new key is in {path}: keep it secret, and as long as such recordings come", err=True)
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise click.UsageError(
            f"--key {name}: {len(key)} bytes, which can be guessed; expected {SHORTEST_KEY} or more, at random "
            "(the name of a file that is not there makes one)"
        )
    return key


def _each(files: Sequence[Path], said: dict[str, Any]) -> "Iterator[tuple[Path, RecordingFile | EnECGError]]":
    """Every recording of every file, to be read, or why there is none."""
    from enecg.formats import recordings_of

    for file in files:
        try:
            found = recordings_of(file, **said)
        except EnECGError as error:
            yield file, error
            continue
        yield from ((file, one) for one in found)


def _written(
    recording: "Recording",
    file: "RecordingFile",
    places: "_Places",
    paths: Sequence[str],
    secret: bytes | None,
    keep_statements: bool,
) -> Path:
    """Where the recording was written, de-identified if there is a secret."""
    from enecg.deidentify import deidentify
    from enecg.formats import write

    if secret is None:
        above = (Path(path) for path in paths)
        folder = next((file.path.parent.relative_to(path) for path in above if path in file.path.parents), Path())
        path = places.of(folder, file.id)
    else:
        recording = deidentify(recording, secret, keep_statements=keep_statements)
        path = places.of(Path(), str(recording.id))
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(recording, path, places.format)


class _Places:
    """Names for new files: each of one recording only, and none of a file that is there, unless that is wanted."""

    def __init__(self, out: Path, one: bool, format_: str, force: bool) -> None:
        self.out, self.one, self.format, self.force = out, one, format_, force
        self._given: set[Path] = set()

    def of(self, folder: Path, name: str) -> Path:
        """For a recording of this name. Raises WriteError if the file is there."""
        from enecg.formats.writing import WRITERS, files_of

        odd = r"[^A-Za-z0-9_-]" if self.format == "wfdb" else r'[/\\:*?"<>|\x00-\x1f]|^\.+'
        ending = WRITERS[self.format].ENDING
        first = self.out if self.one else self.out / folder / f"{re.sub(odd, '_', name)}{ending}"
        path, number = first, 1
        while path in self._given:
            number += 1
            path = first.with_stem(f"{first.stem}-{number}")
        self._given.add(path)
        there = [one for one in files_of(path, self.format) if one.exists()]
        if there and not self.force:
            raise WriteError(f"{there[0]}: is there already; --force replaces it, or choose another --out")
        return path
