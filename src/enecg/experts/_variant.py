"""What a user has made of an expert: another expert, `<expert>+<name>`, in a folder of its own beside pulled weights.

The note is written last, so without it the variant is not there; what it says of the weights is checked at every load.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from enecg.errors import ExpertError, WeightsError
from enecg.experts._card import Card
from enecg.files import write_whole
from enecg.weights import weights_folder

NOTE = "variant.json"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Where a variant is from, and whom it has seen.

    base : digest of the weights that it began with;  file, sha256 : of its own.
    tasks, cohorts, n_recordings : what it learned, and from what;  refused : why other recordings were not used.
    subjects : digests of who it learned from;  chosen_by : of those who only chose among its weights;
    seen : whole cohorts that its teacher's experts have learned from.
    anonymous : whether recordings without a subject were among them.
    before, after : loss on validation subjects without and with what was learned.
    settings : how it was trained.
    """

    base: str
    file: str
    sha256: str
    tasks: tuple[str, ...]
    cohorts: tuple[str, ...]
    n_recordings: int
    refused: tuple[str, ...]
    subjects: tuple[str, ...]
    anonymous: bool
    before: float
    after: float
    settings: Mapping[str, Any]
    seen: tuple[str, ...] = ()
    chosen_by: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str) -> "Note":
        """Raises WeightsError where there is no such variant, or its note is damaged."""
        path = variant_folder(name) / NOTE
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            lists = {key: tuple(part) for key, part in found.items() if isinstance(part, list)}
            return cls(**found | lists)
        except FileNotFoundError as error:
            raise WeightsError(
                f"{name}: no such expert ({path} is not there); `enecg experts adapt` and `enecg pretrain` make such"
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"{path}: cannot be used ({error}); make the expert again") from error


def variant_folder(name: str) -> Path:
    """Of the variant with this full name."""
    return weights_folder() / name


def variant_names() -> tuple[str, ...]:
    """The variants that are here, sorted."""
    return tuple(sorted(path.parent.name for path in weights_folder().glob(f"*+*/{NOTE}")))


def check_free(name: str) -> None:
    """Raises ExpertError unless a variant of this full name may be made."""
    own = name.partition("+")[2]
    if not own.replace("-", "").replace("_", "").isalnum():
        raise ExpertError(f"name {own!r}; expected letters, digits, - and _")
    if (variant_folder(name) / NOTE).exists():
        raise ExpertError(f"{name} is there already ({variant_folder(name)}); choose another name, or remove it")


def keep_variant(name: str, files: Mapping[str, bytes], note: Mapping[str, Any]) -> Note:
    """Keep a variant. files : by name, the weights' first;  note : the rest of its note. Raises ExpertError."""
    check_free(name)
    folder = variant_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    file = next(iter(files))
    made = Note(file=file, sha256=hashlib.sha256(files[file]).hexdigest(), **note)
    for other, data in files.items():
        write_whole(folder / other, data)
    write_whole(folder / NOTE, (json.dumps(asdict(made), indent=1) + "\n").encode())
    return made


def variant_card(card: Card, name: str, note: Note, how: str) -> Card:
    """The card of a variant: it has seen what its base has, and whom it learned from. how : in a word or two."""
    chose = frozenset(note.chosen_by)
    taught = (card.seen_subjects - card.chosen_by) | (frozenset(note.subjects) - chose)
    return replace(
        card,
        name=name,
        summary=f"{card.summary}; {how} on {', '.join(note.cohorts) or 'recordings'}",
        seen=(*dict.fromkeys((*card.seen, *note.seen)), *(("unknown",) if note.anonymous else ())),
        seen_subjects=card.seen_subjects | frozenset(note.subjects),
        # Who has taught the base or this one has taught this one, whatever else they did.
        chosen_by=(card.chosen_by | chose) - taught,
    )


def read_weights(name: str, note: Note) -> bytes:
    """The variant's own weights. Raises WeightsError if they are not there or altered."""
    path = variant_folder(name) / note.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error}); make the expert again") from error
    if hashlib.sha256(data).hexdigest() != note.sha256:
        raise WeightsError(f"{path}: altered since it was written; make the expert again")
    return data
