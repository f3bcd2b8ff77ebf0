"""Weights that are here: a folder for each expert, with one safetensors file and the note of where it is from.

What can go wrong: a download that is cut, a wrong or altered file, a full disk, two processes that pull at once, a kill
at any point. One process at a time changes a folder, the others wait. The file of weights is written aside and renamed,
under a name with its own digest; the note is renamed into place last. So an expert's weights are here whole, or not at
all, or the ones that were here before; what a killed process left is removed by the next pull, or gone on with.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg._version import __version__
from enecg.errors import WeightsError
from enecg.files import sweep, write_whole, written_aside
from enecg.progress import progress_bar
from enecg.weights._hub import download, sha256_of
from enecg.weights._layout import Layout, fit_state, read_state
from enecg.weights._origin import Origin
from enecg.weights._writing import content_digest, write_safetensors

if TYPE_CHECKING:
    import torch

_NOTE = "weights.json"


@dataclass(frozen=True)
class Kept:
    """The note beside an expert's weights.

    file : the safetensors file beside the note;  sha256 : of it, checked whenever it is loaded.
    content : digest of the tensors' names, types, shapes and values: the same for the same weights however wrapped.
    source, source_sha256 : the file they were taken from.
    accepted : the terms that were accepted when they were pulled.
    pulled, by : day, and version of this package.
    """

    file: str
    sha256: str
    content: str
    source: str
    source_sha256: str
    accepted: str
    pulled: str
    by: str

    @classmethod
    def read(cls, path: Path) -> "Kept":
        """Raises OSError, or ValueError for what is no such note; what a later version has added is passed over."""
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no note of weights")
        named: dict[str, Any] = {field.name: found.get(field.name) for field in fields(cls)}
        odd = [f"{name} is {value!r}" for name, value in named.items() if not isinstance(value, str)]
        if odd:
            raise ValueError(odd[0])
        kept = cls(**named)
        if Path(kept.file).name != kept.file:
            raise ValueError(f"{kept.file!r} is no name of a file beside it")
        return kept

    def write(self, folder: Path) -> None:
        """Put it into the folder. Raises OSError."""
        write_whole(folder / _NOTE, (json.dumps(asdict(self), indent=1) + "\n").encode())


def weights_folder() -> Path:
    """Where weights are kept: `ENECG_WEIGHTS`, else `enecg/weights` in the user's cache folder. Raises WeightsError."""
    given = os.environ.get("ENECG_WEIGHTS")
    try:
        if given:
            return Path(given).expanduser()
        cache = os.environ.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else Path.home() / ".cache") / "enecg" / "weights"
    except RuntimeError as error:
        raise WeightsError(f"no folder for weights ({error}); set ENECG_WEIGHTS to one") from error


def find_kept(name: str) -> Kept | None:
    """The note of an expert's weights, None where there are none. Raises WeightsError for a damaged note."""
    path = _folder(name) / _NOTE
    try:
        kept = Kept.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be used ({error}); `enecg experts pull {name}` gets them again") from error
    return kept if (path.parent / kept.file).is_file() else None


def load_kept(name: str) -> "dict[str, torch.Tensor]":
    """An expert's tensors, mapped into memory. Raises WeightsError if they are not here or not what was pulled.

    All of the file is read to check it: 1.0 s for 1.4 GB, measured with a CPU that has SHA instructions.
    """
    from safetensors.torch import load_file

    kept = find_kept(name)
    if kept is None:
        raise WeightsError(f"{name}: its weights are not here; `enecg experts pull {name}` gets them")
    path = _folder(name) / kept.file
    try:
        whole = sha256_of(path) == kept.sha256
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not whole:
        raise WeightsError(f"{path}: altered since it was pulled; `enecg experts pull {name}` gets it again")
    return load_file(path)


def pull_weights(
    name: str,
    origin: Origin,
    layout: Layout,
    unused: Sequence[str] = (),
    *,
    file: str | Path | None = None,
    accept_licence: bool = False,
    again: bool = False,
    progress: bool = False,
) -> Kept:
    """Get an expert's weights from the hub, or from a `file` at hand, and keep them; what is here and whole stays.

    layout, unused : as in `fit_state`;  file, again : in the place of those that are here.
    Raises WeightsError for a file that is not the right one, or cannot be had, a disk that refuses, or terms that were
    not accepted. What was here before is here then, and nothing else but the part of a download that was cut.
    """
    folder = _folder(name)
    anew = again or file is not None
    kept = None if anew else _whole(name)
    if origin.terms and not accept_licence and _accepted(name) != origin.terms:
        raise WeightsError(f"{name}: {origin.terms}. Read the licence; if you accept it, say so with --accept-licence")
    if kept and kept.accepted == origin.terms:
        return kept
    if not kept and file is None and not origin.repository:
        raise WeightsError(
            f"{name}: no program can pull it. Open {origin.page}, save {origin.file}, then "
            f"`enecg experts pull {name} --from FILE`"
        )
    if file is not None and not Path(file).is_file():
        raise WeightsError(f"{file}: no such file; give the file that {origin.where} has")
    with _one_at_a_time(folder, name, progress):
        # Another process may have pulled them meanwhile.
        kept = None if anew else _whole(name)
        if kept:
            kept = replace(kept, accepted=origin.terms)
            kept.write(folder)
            return kept
        if file is not None:
            return _keep(Path(file), str(Path(file).resolve()), folder, origin, layout, unused)
        fetched = download(origin, folder, progress)
        try:
            source = f"{origin.repository}/{origin.file}@{fetched.commit}"
            return _keep(fetched.path, source, folder, origin, layout, unused)
        except Exception:
            # Interrupted, the file is used the next time; a wrong one, or one that fills the disk, does not stay.
            fetched.path.unlink(missing_ok=True)
            raise


def _folder(name: str) -> Path:
    if not re.fullmatch(r"\w[\w.+-]*", name, re.ASCII):
        raise WeightsError(f"{name!r}: an expert's weights are kept under its name; expected letters, digits, - _ . +")
    return weights_folder() / name


def _whole(name: str) -> Kept | None:
    """The note of weights that are here and as they were pulled."""
    try:
        kept = find_kept(name)
        return kept if kept and sha256_of(_folder(name) / kept.file) == kept.sha256 else None
    except (WeightsError, OSError):
        return None


def _accepted(name: str) -> str:
    """The terms that were accepted the last time."""
    try:
        kept = find_kept(name)
    except WeightsError:
        return ""
    return kept.accepted if kept else ""


@contextmanager
def _one_at_a_time(folder: Path, name: str, progress: bool) -> Iterator[None]:
    """An expert's folder for this process alone. Raises WeightsError where the disk refuses, then and within."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with progress_bar(progress, f"{name}: another process is pulling it", 1):
                lock.acquire()
        try:
            # Nobody else writes here now: a killed process has left it.
            sweep(folder, older=0)
            yield
        finally:
            lock.release()
    except OSError as error:
        raise WeightsError(
            f"{error.filename or folder}: {error.strerror or error}; nothing was changed. Weights are kept in a folder "
            "with enough space that you may write to: free some, or set ENECG_WEIGHTS to another"
        ) from error


def _keep(path: Path, source: str, folder: Path, origin: Origin, layout: Layout, unused: Sequence[str]) -> Kept:
    try:
        source_sha256 = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    state = read_state(path, origin.inside, origin.prefix, origin.beside, layout)
    state = fit_state(state, layout, unused, source)
    content = content_digest(state)
    target = folder / f"weights-{content[:16]}.safetensors"
    new = not target.exists()
    with written_aside(target) as aside:
        write_safetensors(state, aside)
        sha256 = sha256_of(aside)
    kept = Kept(
        file=target.name,
        sha256=sha256,
        content=content,
        source=source,
        source_sha256=source_sha256,
        accepted=origin.terms,
        pulled=time.strftime("%Y-%m-%d"),
        by=__version__,
    )
    try:
        kept.write(folder)
    except OSError:
        if new:
            target.unlink(missing_ok=True)
        raise
    for other in (*folder.glob("weights-*.safetensors"), *folder.glob(".download-*")):
        if other.name != kept.file:
            with suppress(OSError):  # On some systems it stays while somebody reads it.
                other.unlink()
    return kept
