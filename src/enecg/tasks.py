"""The questions asked of a recording, their classes and codes, and what a column of labels means.

A column becomes an array that losses and metrics share (`Task.encode`), so that a label's meaning is decided once.
Imports errors only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from enecg.errors import TaskError

Kind = Literal["regression", "binary", "multiclass", "multilabel"]
KINDS = ("regression", "binary", "multiclass", "multilabel")


@dataclass(frozen=True)
class Task:
    """One question.

    name : column of the targets' table and of the predictions.
    kind : "regression" (a number), "binary" (one of two), "multiclass" (one of several), "multilabel" (any of several).
    classes : names; two for binary (the second is the one whose probability is given), none for regression.
    unit : of a regression.
    log : whether a regression is positive and skewed, and so learned on a log scale.
    codes : SNOMED CT code of each class that has one.
    merged : name of a group -> the classes it stands for. A label may name a group where no more is known (potassium
        `abnormal` is low or high), and predictions give the group's probability as well.
    cuts : for multiclass tasks whose labels may be numbers: the limits between the classes, in `unit`; a value equal
        to a limit belongs to the class above it.
    simulated_only : whether no real recording has taught it yet; answers are marked so.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...] = ()
    unit: str | None = None
    log: bool = False
    codes: Mapping[str, int] = field(default_factory=dict)
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cuts: tuple[float, ...] = ()
    simulated_only: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise TaskError(
                f"task name {self.name!r}: expected letters, digits and underscores, such as 'lvef_below_40'"
            )
        if self.kind not in KINDS:
            raise TaskError(f"task {self.name}: kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        if self.kind == "binary" and not self.classes:
            object.__setattr__(self, "classes", ("no", "yes"))
        object.__setattr__(self, "classes", tuple(self.classes))
        n = len(self.classes)
        fits = {"regression": n == 0, "binary": n == 2, "multiclass": n >= 2, "multilabel": n >= 1}
        if not fits[self.kind] or len(set(self.classes)) != n:
            raise TaskError(f"task {self.name}: classes {self.classes} do not fit kind {self.kind!r}")
        if self.cuts and len(self.cuts) != n - 1:
            raise TaskError(f"task {self.name}: {len(self.cuts)} cuts between {n} classes; expected {n - 1}")

    @property
    def n_outputs(self) -> int:
        """How many numbers answer it: 1, or one for each class of a multiclass or multilabel task."""
        return len(self.classes) if self.kind in ("multiclass", "multilabel") else 1

    def encode(self, column: Iterable[Any]) -> npt.NDArray[np.float32]:
        """Labels as numbers: float32 [recording, n_outputs], a row of NaN where the label is missing.

        Missing is None, NaN or an empty text. Otherwise

        - regression: the value in `unit`;
        - binary: 1 for the second class or True, 0 for the first or False;
        - multiclass: 1 for each class that the label allows, 0 elsewhere: one class, or all of a group of `merged`;
          with `cuts`, a number means the class it falls in;
        - multilabel: 1 for each class named, 0 elsewhere; a list, or text with ";" between names; "-" is none of them.

        Raises TaskError with the row and what was expected.
        """
        rows = [self._encode_one(value, row) for row, value in enumerate(column)]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.n_outputs)

    def _encode_one(self, value: Any, row: int) -> Sequence[float]:
        if is_missing(value):
            return [np.nan] * self.n_outputs
        if self.kind == "regression":
            return [self._number(value, row)]
        if self.kind == "binary":
            return [self._binary(value, row)]
        if self.kind == "multiclass":
            allowed = self._allowed(value, row)
            return [float(name in allowed) for name in self.classes]
        names = _names(value)
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise self._wrong(unknown[0], row, f"labels among {', '.join(self.classes)}")
        return [float(name in names) for name in self.classes]

    def _number(self, value: Any, row: int) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._wrong(value, row, f"a number in {self.unit or 'its unit'}") from None
        if not np.isfinite(number) or (self.log and number <= 0):
            raise self._wrong(value, row, "a positive number" if self.log else "a finite number")
        return number

    def _binary(self, value: Any, row: int) -> float:
        text = str(value).strip().lower()
        classes = [name.lower() for name in self.classes]
        if isinstance(value, str) and text in classes:
            return float(classes.index(text))
        if text in ("1", "1.0", "true"):
            return 1.0
        if text in ("0", "0.0", "false"):
            return 0.0
        raise self._wrong(value, row, f"{self.classes[0]} or {self.classes[1]}, 0 or 1")

    def _allowed(self, value: Any, row: int) -> tuple[str, ...]:
        if isinstance(value, str) and value.strip() in self.classes:
            return (value.strip(),)
        if isinstance(value, str) and value.strip() in self.merged:
            return self.merged[value.strip()]
        expected = f"one of {', '.join((*self.classes, *self.merged))}"
        if not self.cuts:
            raise self._wrong(value, row, expected)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._wrong(value, row, f"{expected}, or a number in {self.unit}") from None
        return (self.classes[int(np.searchsorted(self.cuts, number, side="right"))],)

    def _wrong(self, value: Any, row: int, expected: str) -> TaskError:
        return TaskError(f"column {self.name}, row {row}: {value!r}; expected {expected}")


def is_missing(value: Any) -> bool:
    """Whether a cell of a table says nothing: None, NaN, pandas' NA, an empty text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [] if value.strip() == "-" else value.split(";")
    return [str(name).strip() for name in value]


RHYTHMS: Mapping[str, int] = {
    "paced rhythm": 10370003,
    "ventricular tachycardia": 164895002,
    "AV block of 2nd or 3rd degree": 233917008,
    "atrial flutter": 164890007,
    "atrial fibrillation": 164889003,
    "supraventricular tachycardia": 426761007,
    "junctional rhythm": 29320008,
    "ectopic atrial rhythm": 106068003,
    "sinus with ventricular premature beats": 427172004,
    "sinus with atrial premature beats": 284470004,
    "1st degree AV block": 270492004,
    "sinus arrhythmia": 427393009,
    "sinus bradycardia": 426177001,
    "sinus tachycardia": 427084000,
    "sinus rhythm": 426783006,
}
"""The 15 exclusive rhythm classes and their SNOMED CT codes; where several apply, the first counts."""

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")

STATEMENTS = tuple(
    "NDT NST_ DIG LNGQT NORM IMI ASMI LVH LAFB ISC_ IRBBB 1AVB IVCD ISCAL CRBBB CLBBB ILMI LAO/LAE AMI ALMI ISCIN "
    "INJAS LMI ISCIL LPFB ISCAS INJAL ISCLA RVH ANEUR RAO/RAE EL WPW ILBBB IPLMI ISCAN IPMI SEHYP INJIN INJLA PMI "
    "3AVB INJIL 2AVB ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S) "
    "SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU".split()
)
"""The 71 SCP-ECG statements of PTB-XL, in the order of the publisher's scp_statements.csv."""

RHYTHM_STATEMENTS = STATEMENTS[-12:]
"""The 12 of them that PTB-XL calls rhythm."""

DIAGNOSTIC_STATEMENTS = STATEMENTS[:44]
"""The 44 of them that PTB-XL calls diagnostic."""

FORM_STATEMENTS = (*STATEMENTS[:4], *STATEMENTS[44:-12])
"""The 19 of them that PTB-XL calls form; the first four are diagnostic as well."""

SUBCLASSES = tuple(
    "STTC NST_ NORM IMI AMI LVH LAFB/LPFB ISC_ IRBBB _AVB IVCD ISCA CRBBB CLBBB LAO/LAE ISCI LMI RVH RAO/RAE WPW ILBBB "
    "SEHYP PMI".split()
)
"""PTB-XL's 23 diagnostic subclasses, in the order in which scp_statements.csv names them first."""

SCORED_DIAGNOSES: Mapping[str, tuple[int, ...]] = {
    "AF": (164889003,),
    "AFL": (164890007,),
    "BBB": (6374002,),
    "Brady": (426627000,),
    "LBBB": (733534002, 164909002),
    "RBBB": (713427006, 59118001),
    "IAVB": (270492004,),
    "IRBBB": (713426002,),
    "LAD": (39732003,),
    "LAnFB": (445118002,),
    "LPR": (164947007,),
    "LQRSV": (251146004,),
    "LQT": (111975006,),
    "NSIVCB": (698252002,),
    "NSR": (426783006,),
    "PAC": (284470004, 63593006),
    "PR": (10370003,),
    "PRWP": (365413008,),
    "PVC": (427172004, 17338001),
    "QAb": (164917005,),
    "RAD": (47665007,),
    "SA": (427393009,),
    "SB": (426177001,),
    "STach": (427084000,),
    "TAb": (164934002,),
    "TInv": (59931005,),
}
"""The 26 diagnoses that the PhysioNet/CinC Challenge 2021 scores, by its abbreviations, and their SNOMED CT codes:
four pairs of codes count as one diagnosis. The order is that of its weights.csv."""

_BUILT_IN = (
    Task("rr_interval", "regression", unit="ms", log=True, description="mean time between beats"),
    Task("age", "regression", unit="years", description="age at recording; over 89 counts as 90"),
    Task("sex", "binary", ("male", "female"), description="sex as registered"),
    Task(
        "potassium",
        "multiclass",
        ("low", "normal", "high"),
        unit="mmol/L",
        merged={"abnormal": ("low", "high")},
        cuts=(3.5, 5.5),
        simulated_only=True,
        description="serum potassium: low < 3.5, high >= 5.5 mmol/L",
    ),
    Task("rhythm", "multiclass", tuple(RHYTHMS), codes=RHYTHMS, description="one of 15 exclusive rhythms"),
    Task("superclass", "multilabel", SUPERCLASSES, description="PTB-XL's five diagnostic superclasses"),
    Task("statements", "multilabel", STATEMENTS, description="PTB-XL's 71 SCP-ECG statements"),
    Task("rhythm_statements", "multilabel", RHYTHM_STATEMENTS, description="PTB-XL's 12 rhythm statements"),
    Task("diagnostic_statements", "multilabel", DIAGNOSTIC_STATEMENTS, description="PTB-XL's 44 diagnostic statements"),
    Task("form_statements", "multilabel", FORM_STATEMENTS, description="PTB-XL's 19 form statements"),
    Task("subclass", "multilabel", SUBCLASSES, description="PTB-XL's 23 diagnostic subclasses"),
    Task(
        "cinc2021",
        "multilabel",
        tuple(SCORED_DIAGNOSES),
        codes={name: codes[0] for name, codes in SCORED_DIAGNOSES.items()},
        description="the 26 scored diagnoses of the PhysioNet/CinC Challenge 2021",
    ),
)

TASKS: Mapping[str, Task] = {task.name: task for task in _BUILT_IN}
"""Built-in tasks by name."""

FIVE_TASKS = ("rr_interval", "age", "sex", "potassium", "rhythm")
"""The five tasks of the EnECG paper."""


def get_task(task: str | Task) -> Task:
    """A built-in task by its name; a Task is returned as it is. Raises TaskError for an unknown name."""
    if isinstance(task, Task):
        return task
    if task not in TASKS:
        raise TaskError(
            f"unknown task {task!r}. Built in: {', '.join(TASKS)}; or define it: Task({task!r}, kind='binary')"
        )
    return TASKS[task]
