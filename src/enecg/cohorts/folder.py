"""A user's own folder: files of any known format, and a table beside them."""

import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, CohortRecording, require
from enecg.cohorts._tables import as_text, nearest, read_table
from enecg.errors import CohortError
from enecg.formats import find
from enecg.recording import legible
from enecg.tasks import TASKS

if TYPE_CHECKING:
    import polars

ABOUT = About(
    name="folder",
    title="your own recordings and a table of targets",
    layout="files of any known format; table=: columns path or id, subject, and one for each task",
)

_NAMES = ("path", "id", "subject")


def load(
    folder: str | Path | None, *, table: str | Path | None = None, unit: str | None = None, name: str = "folder"
) -> Cohort:
    """Recordings below `folder`, joined with the rows of a table.

    table : CSV, TSV or Parquet with a column `path` (relative to the folder, or absolute) or `id` (the file's name
        without ending), `subject`, and a column for each task; None: recordings without targets.
    unit : for files that do not say theirs.
    name : of the cohort and before the subjects, `name:subject`; needed where several folders are joined.
    Only recordings with a row are taken; rows without a file, files without a row and whatever else had to be decided
    are in `notes`. Raises CohortError for a table without those columns, for two rows of one file, two files of one
    id, and if nothing matches.
    """
    import polars

    root = require(folder, "folder")
    if not name or ":" in name:
        raise CohortError(f"cohort name {name!r}; expected one without ':', such as 'my_clinic'")
    files = find(root)
    if not files:
        raise CohortError(f"{root}: no recordings; expected files of a known format")
    if table is None:
        ids = _distinct(files, root)
        frame = polars.DataFrame({"id": ids}).with_columns(polars.lit(None, polars.String).alias("subject"))
        return _cohort(name, files, frame, unit, [f"{len(files)} recordings, no table"])
    path = Path(table)
    frame = read_table(path, text=_NAMES)
    by = _key(path, frame)
    taken, kept, notes = _match(path, frame, by, files, root)
    names = [legible(file.stem) for file in taken]
    if by == "path" and "id" in kept.columns:
        names = [as_text(value) or stem for value, stem in zip(kept["id"], names, strict=True)]
    if len(set(names)) < len(names):
        names = _distinct(taken, root)
    subjects, told = _subjects(path, kept, name)
    kept = kept.with_columns(
        polars.Series("id", names, dtype=polars.String), polars.Series("subject", subjects, dtype=polars.String)
    )
    return _cohort(name, taken, kept, unit, [*notes, *told, *_misspelt(kept)])


def _cohort(name: str, files: list[Path], targets: "polars.DataFrame", unit: str | None, notes: list[str]) -> Cohort:
    told = zip(files, targets["id"], targets["subject"], strict=True)
    recordings = [CohortRecording(path, id=own, subject=subject, unit=unit) for path, own, subject in told]
    return Cohort(name=name, recordings=recordings, targets=targets, notes=notes)


def _key(table: Path, frame: "polars.DataFrame") -> str:
    """The column that tells which file a row is of."""
    for name in ("path", "id"):
        if name in frame.columns:
            return name
    near = nearest("path", frame.columns) or nearest("id", frame.columns) or nearest("filename", frame.columns)
    hint = f"; rename {near!r}, if it is that" if near else ""
    raise CohortError(
        f"{table}: no column 'path' or 'id' that tells which file a row is of (found {', '.join(frame.columns)}){hint}"
    )


def _match(
    table: Path, frame: "polars.DataFrame", by: str, files: list[Path], root: Path
) -> "tuple[list[Path], polars.DataFrame, list[str]]":
    """The file of each row that has one, those rows, and what is to be said of the others."""
    import polars

    lookup = _by_path(files, root) if by == "path" else _by_id(files, root)
    numbered = _by_number(files) if by == "id" else {}
    found: list[Path | None] = []
    first: dict[Path, int] = {}
    repeated = nameless = shortened = 0
    for row, written in enumerate(frame[by]):
        text = as_text(written)
        nameless += text is None
        file = None if text is None else lookup.get(_letters(_plain(text, root) if by == "path" else text))
        if file is None and text is not None and text in numbered:
            file, shortened = numbered[text], shortened + 1
        if file is not None and file in first:
            if frame.row(row) != frame.row(first[file]):
                raise CohortError(
                    f"{table}: rows {first[file] + 1} and {row + 1} are both of {by} {text!r} and differ; "
                    "expected one row for each file"
                )
            file, repeated = None, repeated + 1
        elif file is not None:
            first[file] = row
        found.append(file)
    taken = [file for file in found if file is not None]
    if not taken:
        raise CohortError(
            f"{table}: none of its {len(found)} rows has a file below {root}; compare {by} {frame[by][0]!r} with "
            f"{files[0].relative_to(root).as_posix() if by == 'path' else files[0].stem!r}"
        )
    notes = [f"{len(taken)} recordings with a row"]
    absent = len(found) - len(taken) - repeated - nameless
    for count, what in (
        (absent, "rows of the table have no file"),
        (nameless, f"rows of the table have no {by}"),
        (repeated, "rows of the table repeat another and were left out"),
        (shortened, "ids had lost their leading zeros (12 for 0012); they were matched by number"),
        (len(files) - len(taken), "files have no row"),
    ):
        if count:
            notes.append(f"{count} {what}")
    return taken, frame.filter(polars.Series([file is not None for file in found])), notes


def _by_path(files: list[Path], root: Path) -> dict[str, Path]:
    """Files by how a table may call them: relative to the folder, with or without an ending, that of the signal too."""
    found: dict[str, Path] = {}
    for file in files:
        whole = file.relative_to(root).as_posix()
        bare = whole.removesuffix(file.suffix)
        for name in (whole, bare, f"{bare}.dat", f"{bare}.mat"):
            found.setdefault(_letters(name), file)
    return found


def _plain(text: str, root: Path) -> str:
    """A path of the table relative to the folder, with slashes."""
    path = PurePosixPath(text.replace("\\", "/"))
    for base in (root, root.absolute(), root.resolve()):
        if path.is_absolute() and path.is_relative_to(base.as_posix()):
            return path.relative_to(base.as_posix()).as_posix()
    return path.as_posix()


def _by_id(files: list[Path], root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        name = _letters(legible(file.stem))
        if name in found:
            raise CohortError(f"{root}: two files are called {name} ({found[name]}, {file}); use a column 'path'")
        found[name] = file
    return found


def _letters(name: str) -> str:
    """A name in which ä is one letter, and not an a with dots, as some file systems write it."""
    return unicodedata.normalize("NFC", name)


def _by_number(files: list[Path]) -> dict[str, Path]:
    """Files whose name is a number with leading zeros, by that number, where no other file has it."""
    numbers: dict[str, list[Path]] = {}
    for file in files:
        if file.stem.isascii() and file.stem.isdigit():
            numbers.setdefault(file.stem.lstrip("0") or "0", []).append(file)
    return {number: own[0] for number, own in numbers.items() if len(own) == 1}


def _distinct(files: list[Path], root: Path) -> list[str]:
    """A name for each file: its own where no other has it, else with its folders."""
    names = [legible(file.stem) for file in files]
    count = Counter(names)
    whole = [legible(file.relative_to(root).with_name(file.stem).as_posix()) for file in files]
    return [name if count[name] == 1 else own for name, own in zip(names, whole, strict=True)]


def _subjects(table: Path, frame: "polars.DataFrame", cohort: str) -> tuple[list[str | None], list[str]]:
    """`cohort:subject` of each row, and what is to be said where it is not known."""
    if "subject" not in frame.columns:
        near = nearest("subject", frame.columns) or nearest("patient_id", frame.columns)
        hint = f"; rename {near!r}, if it is that" if near else ""
        return [None] * len(frame), [f"no column 'subject': every recording counts as a person of its own{hint}"]
    texts = [as_text(value) for value in frame["subject"]]
    unknown = texts.count(None)
    told = [f"{unknown} rows have no subject: each counts as a person of its own"] if unknown else []
    # What was simulated keeps saying so, in whatever folder it stands.
    whose = [None if text is None else text if text.startswith("simulated:") else f"{cohort}:{text}" for text in texts]
    return whose, told


def _misspelt(frame: "polars.DataFrame") -> list[str]:
    """Columns that are almost a task's."""
    found: list[Any] = [(name, nearest(name, TASKS)) for name in frame.columns if name not in (*TASKS, *_NAMES)]
    return [
        f"column {name!r} is no task; rename it, if {task!r} is meant"
        for name, task in found
        if task is not None and task not in frame.columns
    ]
