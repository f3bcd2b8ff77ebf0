"""Download from the Hugging Face hub: gone on with where it was cut, tried again, its checksum met.

By the hub's plain HTTP, since its own library (seen in version 2.4) begins a file anew that an earlier call has left
half done. That library only says who asks: it knows who is logged in. The hub's settings count as they are at the time:
`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`; so do the proxies and certificates of the
environment (`HTTPS_PROXY`, `SSL_CERT_FILE`).
"""

import errno
import hashlib
import os
import re
import shutil
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from enecg._version import __version__
from enecg.errors import WeightsError
from enecg.progress import Bar, progress_bar
from enecg.weights._origin import Origin

_CHUNK = 2**20
_WAITS = (1.0, 2.0, 4.0)
"""Seconds before a file is asked for again, as often as nothing new has come."""


@dataclass(frozen=True)
class Fetched:
    """A file that is whole: where it lies, its SHA-256, and the commit that it is of."""

    path: Path
    sha256: str
    commit: str


@dataclass(frozen=True)
class _Stated:
    """What the hub says of a file.

    digest : SHA-256, or for a small file git's own.
    """

    commit: str
    digest: str
    size: int


class _CutError(Exception):
    """What may go better the next time."""


def download(origin: Origin, folder: Path, progress: bool = False) -> Fetched:
    """The publisher's file, put into `folder`.

    Raises WeightsError where there is no network, no such file, or not the file that the hub says it is; OSError where
    the disk refuses. Nothing stays in the folder then, except the part of a file that was cut: it is gone on with.
    """
    where = f"{origin.repository}/{origin.file}"
    otherwise = f"Or get {origin.where} by other means and give it with --from FILE"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise WeightsError(f"{where}: not asked for, since HF_HUB_OFFLINE is set. {otherwise}")
    waits = iter(_WAITS)
    while True:
        there = _there(folder)
        try:
            return _attempt(origin, folder, progress)
        except _CutError as error:
            if _there(folder) > there:
                waits = iter(_WAITS)
            wait = next(waits, None)
            if wait is None:
                raise WeightsError(f"{where}: the hub {error}. Try again later. {otherwise}") from error
            time.sleep(wait)
        except WeightsError as error:
            raise WeightsError(f"{where}: {error}. {otherwise}") from error


def sha256_of(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _there(folder: Path) -> int:
    """Bytes of parts."""
    return sum(part.stat().st_size for part in folder.glob(".download-*"))


def _attempt(origin: Origin, folder: Path, progress: bool) -> Fetched:
    stated = _ask(origin)
    _expect(origin, stated.digest if len(stated.digest) == 64 else "")
    # A part is only gone on with if it is of the same file.
    part = folder / f".download-{stated.digest[:16]}"
    for other in folder.glob(".download-*"):
        if other != part or other.stat().st_size > stated.size:
            other.unlink()
    try:
        _room(folder, stated.size - _there(folder))
        with progress_bar(progress, origin.file, stated.size) as bar:
            _go_on(_url(origin, stated.commit), part, stated.size, bar)
        sha256 = sha256_of(part)
        if stated.digest != (sha256 if len(stated.digest) == 64 else _git_digest(part)):
            raise WeightsError("what arrived is not what the hub says it holds; try again")
        _expect(origin, sha256)
    except (OSError, WeightsError):
        part.unlink(missing_ok=True)
        raise
    return Fetched(part, sha256, stated.commit)


def _ask(origin: Origin) -> _Stated:
    """Raises WeightsError if there is no such file for who asks, or the hub does not say how to check it."""
    with closing(_open("HEAD", _url(origin, origin.revision))) as answer:
        said = answer.headers
    digest = (said["X-Linked-Etag"] or said["ETag"] or "").removeprefix("W/").strip('"')
    commit, size = said["X-Repo-Commit"] or "", said["X-Linked-Size"] or said["Content-Length"] or ""
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest) or not commit or not size.isdecimal():
        raise WeightsError(f"{_endpoint()} does not say what the file's checksum is: not a hub, or not a whole one")
    return _Stated(commit, digest, int(size))


def _go_on(url: str, part: Path, size: int, bar: Bar) -> None:
    """Add to a part what it lacks. Raises _CutError if the rest does not come."""
    with part.open("ab") as file:
        there = file.tell()
        bar.advance(there)
        if there == size:
            return
        with closing(_open("GET", url, {"Range": f"bytes={there}-"} if there else {})) as answer:
            sent = answer.headers["Content-Range"] or "" if answer.status == 206 else ""
            if there and not sent.startswith(f"bytes {there}-"):
                # It sends all of it, whatever it was asked for.
                file.truncate(0)
                bar.advance(-there)
                there = 0
            while there < size:
                try:
                    piece = answer.read1(min(_CHUNK, size - there))
                except (OSError, HTTPException) as error:
                    raise _CutError(f"has broken off ({_reason(error)})") from error
                if not piece:
                    raise _CutError(f"has broken off after {there} of {size} bytes")
                file.write(piece)
                there += len(piece)
                bar.advance(len(piece))


def _open(method: str, url: str, headers: Mapping[str, str] | None = None) -> Any:
    """An answer, of which only what the hub itself says is known for HEAD, not what the place says it refers to."""
    from huggingface_hub import get_token

    token = get_token()
    # Compressed, its length would not be the file's.
    asked = {"User-Agent": f"enecg/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
    if token:
        asked["Authorization"] = f"Bearer {token}"
    try:
        opener = build_opener(_Redirects, HTTPSHandler(context=_certificates()))
        return opener.open(Request(url, headers=asked, method=method), timeout=_timeout())
    except HTTPError as error:
        if method == "HEAD" and 300 <= error.code < 400:
            return error
        with closing(error):
            if error.code in (408, 425, 429) or error.code >= 500:
                raise _CutError(f"answers {error.code} {error.reason}") from error
            raise _refusal(error) from error
    except (OSError, HTTPException) as error:
        raise _CutError(f"cannot be reached at {_endpoint()} ({_reason(error)})") from error


class _Redirects(HTTPRedirectHandler):
    """Large files lie elsewhere: what the hub says of them is in its own answer, and its token is not for others."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        away = urlsplit(newurl).netloc != urlsplit(req.full_url).netloc
        if away and req.get_method() == "HEAD":
            return None
        kept = {name: value for name, value in req.headers.items() if not (away and name.lower() == "authorization")}
        return Request(newurl, headers=kept, method=req.get_method())


@cache
def _certificates() -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context()
    # Python for macOS comes without any.
    context.load_verify_locations(certifi.where())
    return context


def _refusal(error: HTTPError) -> WeightsError:
    code = error.headers["X-Error-Code"] or ""
    if code == "GatedRepo":
        return WeightsError(
            "its publisher gives it to registered users only; ask there, and log in with `hf auth login`"
        )
    if code in ("RepoNotFound", "RevisionNotFound", "EntryNotFound") or error.code == 404:
        missing = {"RepoNotFound": "repository", "RevisionNotFound": "revision"}.get(code, "file")
        return WeightsError(f"the hub has no such {missing}, or not for you (`hf auth login`)")
    return WeightsError(f"the hub answers {error.code} {error.reason}")


def _expect(origin: Origin, sha256: str) -> None:
    if origin.sha256 and sha256 and sha256 != origin.sha256:
        raise WeightsError(
            f"its SHA-256 is {sha256[:12]}..., expected {origin.sha256[:12]}...: the publisher has changed it, or it "
            "is another's"
        )


def _git_digest(path: Path) -> str:
    """What git calls a file."""
    with path.open("rb") as file:
        sha = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        return hashlib.file_digest(file, lambda: sha).hexdigest()


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise OSError(errno.ENOSPC, f"{wanted / 1e6:,.0f} MB are wanted, {free / 1e6:,.0f} MB are free", str(folder))


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _url(origin: Origin, revision: str) -> str:
    endpoint = _endpoint()
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise WeightsError(f"HF_ENDPOINT is {endpoint}, expected an address that begins with https://")
    return f"{endpoint}/{origin.repository}/resolve/{quote(revision, safe='')}/{quote(origin.file)}"


def _timeout() -> float:
    said = os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or "10"
    if not said.isdecimal() or int(said) < 1:
        raise WeightsError(f"HF_HUB_DOWNLOAD_TIMEOUT is {said!r}, expected whole seconds")
    return float(said)


def _reason(error: BaseException) -> str:
    """In a few words."""
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
