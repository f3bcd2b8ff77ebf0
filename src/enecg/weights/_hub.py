"""Download from the Hugging Face hub, by its own library: resumed where it was cut, tried again, its checksum met."""

import errno
import hashlib
from pathlib import Path
from typing import Any

from enecg.errors import WeightsError
from enecg.weights._origin import Origin

_CHUNK = 2**22


def download(origin: Origin, folder: Path, progress: bool = False) -> Path:
    """The publisher's file, put into `folder`; what an earlier try has left there is gone on with.

    Raises WeightsError where there is no network, no such file, or not the file that the hub says it is.
    The hub's own settings count: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{origin.repository}/{origin.file}"
    otherwise = f"Or get {origin.where} by other means and give it with --from FILE"
    try:
        path = Path(
            hf_hub_download(
                origin.repository,
                origin.file,
                revision=origin.revision,
                local_dir=folder,
                tqdm_class=_bar(progress),
            )
        )
        stated = get_hf_file_metadata(
            hf_hub_url(origin.repository, origin.file, revision=origin.revision), timeout=10
        ).etag
    except GatedRepoError as error:
        raise WeightsError(
            f"{where}: its publisher gives it to registered users only; log in with `hf auth login`. {otherwise}"
        ) from error
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{where}: the hub cannot be reached ({_first(error)}). {otherwise}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise WeightsError(f"{where}: the hub has no such file (revision {origin.revision}). {otherwise}") from error
    except HfHubHTTPError as error:
        raise WeightsError(f"{where}: the hub answers {_first(error)}. Try again later. {otherwise}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise WeightsError(f"{where}: the download failed ({_first(error)}). Try again. {otherwise}") from error
    # Of large files the hub's tag is their SHA-256.
    if stated is not None and len(stated) == 64 and sha256_of(path) != stated:
        path.unlink()
        raise WeightsError(f"{where}: what arrived is not what the hub says it holds; try again")
    return path


def sha256_of(path: Path) -> str:
    """Of a file, read in pieces."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            sha.update(piece)
    return sha.hexdigest()


def _first(error: BaseException) -> str:
    """The first line of what a library says, or of why."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _bar(shown: bool) -> Any:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"disable": not shown})

    return Bar
