"""Weights that are here: a folder for each expert, with one safetensors file and the note of where it is from.

What can go wrong: a download that is cut, a wrong or altered file, a full disk, two processes that pull at once, a kill
at any point. The file of weights is written aside and renamed, under a name with its own digest; the note is renamed
into place last. So an expert's weights are here whole, or not at all, or the ones that were here before.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enecg._version import __version__
from enecg.errors import WeightsError
from enecg.files import sweep, write_whole, written_aside
from enecg.weights._hub import download, sha256_of
from enecg.weights._layout import Layout, fit_state, read_state
from enecg.weights._origin import Origin

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


def weights_folder() -> Path:
    """Where weights are kept: `ENECG_WEIGHTS`, else `enecg/weights` in the user's cache folder."""
    given = os.environ.get("ENECG_WEIGHTS")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "enecg" / "weights"


def find_kept(name: str) -> Kept | None:
    """The note of an expert's weights, None where there are none. Raises WeightsError for a damaged note."""
    path = weights_folder() / name / _NOTE
    try:
        kept = Kept(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: cannot be used ({error}); pull {name} again, with --again") from error
    return kept if (path.parent / kept.file).is_file() else None


def load_kept(name: str) -> "dict[str, torch.Tensor]":
    """An expert's tensors, mapped into memory. Raises WeightsError if they are not here or not what was pulled."""
    from safetensors.torch import load_file

    kept = find_kept(name)
    if kept is None:
        raise WeightsError(f"{name}: its weights are not here; `enecg experts pull {name}` gets them")
    path = weights_folder() / name / kept.file
    if sha256_of(path) != kept.sha256:
        raise WeightsError(f"{path}: altered since it was pulled; `enecg experts pull {name} --again` gets it again")
    return load_file(path)


def pull_weights(
    name: str,
    origin: Origin,
    layout: Layout,
    unused: Sequence[str] = (),
    *,
    file: Path | None = None,
    accept_licence: bool = False,
    again: bool = False,
    progress: bool = False,
) -> Kept:
    """Get an expert's weights from the hub, or from a `file` at hand, and keep them; what is here already stays.

    layout, unused : as in `fit_state`;  again : in the place of those that are here.
    Raises WeightsError for a file that is not the right one, or cannot be had, or terms that were not accepted.
    """
    if origin.terms and not accept_licence:
        raise WeightsError(f"{name}: {origin.terms}. Read the licence; if you accept it, say so with --accept-licence")
    if not again and file is None:
        kept = find_kept(name)
        if kept is not None:
            return kept
    if file is None and not origin.repository:
        raise WeightsError(
            f"{name}: no program can pull it. Open {origin.page}, save {origin.file}, then "
            f"`enecg experts pull {name} --from FILE`"
        )
    folder = weights_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    incoming = folder / ".download"
    try:
        path = download(origin, incoming, progress) if file is None else Path(file)
        return _keep(name, folder, origin, layout, unused, path, file is not None)
    except BaseException as error:
        # A download that was cut goes on the next time; what is wrong, or fills the disk, does not stay.
        if not isinstance(error, KeyboardInterrupt) and not (isinstance(error, WeightsError) and _cut(incoming)):
            shutil.rmtree(incoming, ignore_errors=True)
        raise


def _keep(
    name: str, folder: Path, origin: Origin, layout: Layout, unused: Sequence[str], path: Path, given: bool
) -> Kept:
    from safetensors.torch import save_file

    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the file that {origin.where} has")
    source_sha256 = sha256_of(path)
    state = read_state(path, origin.inside, origin.prefix, origin.beside)
    state = fit_state(state, layout, unused, str(path) if given else f"{origin.repository}/{origin.file}")
    if origin.sha256 and not given and source_sha256 != origin.sha256:
        raise WeightsError(
            f"{origin.repository}/{origin.file}: SHA-256 {source_sha256[:12]}..., expected {origin.sha256[:12]}...: "
            "the publisher has changed it, or it was altered on the way; if you trust it, give it with --from FILE"
        )
    content = _content(state)
    target = folder / f"weights-{content[:16]}.safetensors"
    # One storage each: safetensors refuses tensors that share theirs.
    with written_aside(target) as aside:
        save_file({key: part.clone() for key, part in state.items()}, aside)
    kept = Kept(
        file=target.name,
        sha256=sha256_of(target),
        content=content,
        source=str(path.resolve()) if given else f"{origin.repository}/{origin.file}@{origin.revision}",
        source_sha256=source_sha256,
        accepted=origin.terms,
        pulled=time.strftime("%Y-%m-%d"),
        by=__version__,
    )
    write_whole(folder / _NOTE, (json.dumps(asdict(kept), indent=1) + "\n").encode())
    for other in folder.glob("weights-*.safetensors"):
        if other.name != kept.file:
            other.unlink(missing_ok=True)
    shutil.rmtree(folder / ".download", ignore_errors=True)
    return kept


def _content(state: "Mapping[str, torch.Tensor]") -> str:
    sha = hashlib.sha256()
    for name in sorted(state):
        part = state[name]
        sha.update(f"{name} {part.dtype} {list(part.shape)}\n".encode())
        sha.update(part.detach().contiguous().numpy().data)
    return sha.hexdigest()


def _cut(incoming: Path) -> bool:
    """Whether a part of a download waits to be gone on with."""
    return any(incoming.rglob("*.incomplete"))
