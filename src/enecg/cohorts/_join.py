"""Several cohorts as one, so that an ensemble learns from all: what one does not know is missing there."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from enecg.cohorts._cohort import Cohort
from enecg.errors import CohortError
from enecg.recording import LazyRecording, Recording

if TYPE_CHECKING:
    import polars


class RenamedRecording(LazyRecording):
    """A recording of a cohort under another name."""

    def __init__(self, recording: LazyRecording, id: str) -> None:  # noqa: A002  the name that recordings give it
        self.id, self.subject = id, recording.subject
        self._recording = recording

    @property
    def key(self) -> str:
        """Of the recording, and its new name."""
        return f"{self._recording.key}\nid={self.id}"

    def read(self) -> Recording:
        """Read it."""
        return replace(self._recording.read(), id=self.id)


@dataclass(frozen=True)
class _Part:
    """A cohort and the names of the cohorts that its rows are of."""

    cohort: Cohort
    of: list[str]

    @classmethod
    def all_of(cls, cohort: Cohort) -> "_Part":
        columns = cohort.targets.columns
        return cls(cohort, cohort.targets["cohort"].to_list() if "cohort" in columns else [cohort.name] * len(cohort))


def join_cohorts(cohorts: Sequence[Cohort]) -> Cohort:
    """One cohort of several, in their order, with a column `cohort` that names each row's.

    A column that a cohort lacks is null in its rows; subjects stay `cohort:patient`, so that a person in two data sets
    is one subject where both name it so (`challenge2021` with `ptbxl=`). An id that several have gets its cohort's name
    before it. The result is simulated only if all are. Raises CohortError for cohorts of the same name, whose patients
    could not be told apart, and for columns that do not go together.
    """
    parts = [_Part.all_of(cohort) for cohort in cohorts]
    if not parts:
        raise CohortError("no cohorts to join; expected one at least")
    names = Counter(name for part in parts for name in set(part.of))
    doubled = [name for name, count in names.items() if count > 1]
    if doubled:
        raise CohortError(
            f"two cohorts are called {doubled[0]!r}, and their subjects would be mixed up; give a folder of your own "
            "another name: load_cohort('folder', FOLDER, name='my_clinic')"
        )
    if len(parts) == 1:
        return cohorts[0]
    ids, renamed = _ids(parts)
    told = zip((recording for part in parts for recording in part.cohort), ids, strict=True)
    recordings = [one if one.id == name else RenamedRecording(one, name) for one, name in told]
    notes = [f"{part.cohort.name}: {note}" for part in parts for note in part.cohort.notes]
    if renamed:
        notes.append(f"{renamed} ids are in several cohorts and got their cohort's name before them")
    if shared := _shared(cohorts):
        notes.append(f"{shared} subjects are in several cohorts and count once")
    simulated = [cohort.name for cohort in cohorts if cohort.simulated]
    if simulated and len(simulated) < len(cohorts):
        notes.append(f"the recordings of {', '.join(simulated)} are simulated, the others are not")
    return Cohort(
        name="+".join(cohort.name for cohort in cohorts),
        recordings=recordings,
        targets=_targets(parts, ids),
        licence="; ".join(_named(part, part.cohort.licence) for part in parts),
        citation="; ".join(_named(part, part.cohort.citation) for part in parts if part.cohort.citation),
        simulated=all(cohort.simulated for cohort in cohorts),
        notes=notes,
    )


def _named(part: _Part, text: str) -> str:
    """A licence or citation with the cohort's name, which those of joined cohorts have already."""
    return text if "cohort" in part.cohort.targets.columns else f"{part.cohort.name}: {text}"


def _ids(parts: Sequence[_Part]) -> tuple[list[str], int]:
    """An id for each recording, all different, and how many had to be changed."""
    ids = [name for part in parts for name in part.cohort.targets["id"]]
    count = Counter(ids)
    of = [name for part in parts for name in part.of]
    new = [f"{cohort}:{name}" if count[name] > 1 else name for cohort, name in zip(of, ids, strict=True)]
    doubled = [name for name, times in Counter(new).items() if times > 1]
    if doubled:
        raise CohortError(f"id {doubled[0]} is there more than once; expected one for each recording of a cohort")
    return new, sum(times > 1 for times in count.values())


def _shared(cohorts: Sequence[Cohort]) -> int:
    """How many subjects are in more than one."""
    times = Counter(subject for cohort in cohorts for subject in set(cohort.subjects) - {None})
    return sum(count > 1 for count in times.values())


def _targets(parts: Sequence[_Part], ids: Sequence[str]) -> "polars.DataFrame":
    import polars

    frames = [part.cohort.targets.with_columns(polars.Series("cohort", part.of, polars.String)) for part in parts]
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns if name != "cohort"))
    types = {name: _common(name, [frame.schema[name] for frame in frames if name in frame.columns]) for name in columns}
    joined = polars.concat(
        [frame.select(*(_as(frame, name, kind) for name, kind in types.items()), "cohort") for frame in frames]
    )
    return joined.with_columns(polars.Series("id", ids, dtype=polars.String))


def _common(name: str, types: Sequence[Any]) -> Any:
    """The type that holds a column's values of all cohorts: lists stay lists, and numbers beside names become text."""
    import polars

    different = [kind for kind in dict.fromkeys(types) if kind != polars.Null]
    if len(different) < 2:
        return different[0] if different else polars.String
    if any(kind == polars.List for kind in different):
        if set(different) == {polars.List(polars.String), polars.String()}:
            return polars.List(polars.String)
        raise CohortError(
            f"column {name!r} is {' and '.join(map(str, different))} in the cohorts to join; rename one of them"
        )
    if all(kind.is_numeric() or kind == polars.Boolean for kind in different):
        return polars.Float64 if any(kind.is_float() for kind in different) else polars.Int64
    return polars.String


def _as(frame: "polars.DataFrame", name: str, kind: Any) -> "polars.Series":
    """A column as this type; text of several labels (`MI;CD`, `-` for none) as a list of them."""
    import polars

    if name not in frame.columns:
        return polars.Series(name, [None] * len(frame), dtype=kind)
    column = frame[name]
    if column.dtype == polars.String and kind == polars.List(polars.String):
        labels = [None if text is None else _labels(text) for text in column]
        return polars.Series(name, labels, dtype=kind)
    return column.cast(kind)


def _labels(text: str) -> list[str]:
    return [] if text.strip() == "-" else [label.strip() for label in text.split(";")]
