"""A user's own folder: files of any known format, and a table beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.cohorts._cohort import Cohort, CohortRecording, require
from enecg.errors import CohortError
from enecg.formats import find

if TYPE_CHECKING:
    import polars


def load(folder: str | Path | None, *, table: str | Path | None = None, unit: str | None = None) -> Cohort:
    """Recordings below `folder`, joined with the rows of a table.

    table : CSV, TSV or Parquet with a column `path` (relative to the folder, or absolute) or `id` (the file's name
        without ending), `subject`, and a column for each task; None: recordings without targets.
    unit : for files that do not say theirs.
    Only recordings with a row are taken; rows without a file and files without a row are counted in `notes`.
    Raises CohortError for a table without those columns, for an id that is there twice, and if nothing matches.
    """
    import polars

    root = require(folder, "folder")
    files = find(root)
    if table is None:
        targets = polars.DataFrame(
            {"id": [path.stem for path in files], "subject": [None] * len(files)},
            schema={"id": polars.String, "subject": polars.String},
        )
        return _cohort(files, targets, unit, [f"{len(files)} recordings, no table"])
    listed = read_table(Path(table))
    by = "path" if "path" in listed.columns else "id"
    if by not in listed.columns:
        raise CohortError(f"{table}: no column 'path' or 'id' that tells which file a row is of")
    found: dict[str, Path] = {}
    for path in files:
        for name in (path.stem,) if by == "id" else _spellings(path, root):
            if by == "id" and name in found:
                raise CohortError(f"{root}: two files are called {name} ({found[name]}, {path}); use a column 'path'")
            found[name] = path
    names = [str(name) for name in listed[by]]
    doubled = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if doubled:
        raise CohortError(f"{table}: {by} {sorted(doubled)[0]} is there more than once; expected one row for each file")
    there = [name in found for name in names]
    taken = [found[name] for name, here in zip(names, there, strict=True) if here]
    if not taken:
        raise CohortError(f"{table}: none of its {len(names)} rows has a file below {root}; compare column {by!r}")
    kept = listed.filter(polars.Series(there))
    if "id" not in kept.columns:
        kept = kept.with_columns(polars.Series("id", [path.stem for path in taken], dtype=polars.String))
    if "subject" not in kept.columns:
        kept = kept.with_columns(polars.lit(None, polars.String).alias("subject"))
    notes = [f"{len(taken)} recordings with a row"]
    if len(taken) < len(names):
        notes.append(f"{len(names) - len(taken)} rows of the table have no file")
    if len(taken) < len(files):
        notes.append(f"{len(files) - len(taken)} files have no row")
    return _cohort(taken, kept.with_columns(polars.col("id", "subject").cast(polars.String)), unit, notes)


def read_table(path: Path) -> "polars.DataFrame":
    """A table by its ending: .csv, .tsv or .parquet. Raises CohortError if it cannot be read."""
    import polars

    readers: dict[str, Any] = {
        ".csv": lambda: polars.read_csv(path, infer_schema_length=None),
        ".tsv": lambda: polars.read_csv(path, separator="\t", infer_schema_length=None),
        ".parquet": lambda: polars.read_parquet(path),
    }
    if path.suffix.lower() not in readers:
        raise CohortError(f"{path}: tables are read from {', '.join(readers)}")
    try:
        frame: polars.DataFrame = readers[path.suffix.lower()]()
    except (OSError, polars.exceptions.PolarsError) as error:
        raise CohortError(f"{path}: the table cannot be read ({error})") from error
    return frame


def _cohort(files: list[Path], targets: "polars.DataFrame", unit: str | None, notes: list[str]) -> Cohort:
    subjects = [None if subject is None else f"folder:{subject}" for subject in targets["subject"]]
    import polars

    targets = targets.with_columns(polars.Series("subject", subjects, dtype=polars.String))
    recordings = [
        CohortRecording(path, id=name, subject=subject, unit=unit)
        for path, name, subject in zip(files, targets["id"], subjects, strict=True)
    ]
    return Cohort(name="folder", recordings=recordings, targets=targets, notes=notes)


def _spellings(path: Path, root: Path) -> tuple[str, ...]:
    """How a table may call a file: relative or whole, with or without its ending."""
    relative = path.relative_to(root)
    bare = relative.with_suffix("")
    signals = [str(bare) + ending for ending in (".dat", ".mat")]
    return str(path), str(path.with_suffix("")), str(relative), relative.as_posix(), bare.as_posix(), *signals
