"""A hub on this machine: what the real one answers to HEAD and GET of a file, and what goes wrong on the way."""

import contextlib
import hashlib
import re
import socket
import struct
import threading
import time
import warnings
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from enecg.cli import main
from enecg.weights import _hub

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """Files by `owner/name/file`; `faults` are taken one for each request of their method, "" for none.

    A fault: a status (503), ("cut", n) to close after n bytes, ("reset", n) the same rudely, ("slow", seconds) before
    the answer, ("trickle", seconds) before each of four pieces, "whole" to pass over what range was asked for.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    small: set[str] = field(default_factory=set)
    """Kept in git, so that the hub sends them itself."""
    said: dict[str, str] = field(default_factory=dict)
    """Headers in the place of the true ones; empty: left out."""
    faults: dict[str, deque] = field(default_factory=lambda: {"HEAD": deque(), "GET": deque()})
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """(method, path, headers) of all requests."""
    sent: dict[str, bytes] = field(default_factory=dict)
    """By what a file is replaced on the way."""
    address: str = ""
    elsewhere: str = ""

    def fail(self, method, *faults):
        self.faults[method].extend(faults)

    def ranges(self):
        """What was asked for of files' contents."""
        place = "/lfs/" if not self.small else "/resolve/"
        return [
            headers.get("range", "all") for method, path, headers in self.asked if method == "GET" and place in path
        ]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        hub = self.hub
        hub.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path.startswith("/lfs/"):
            self._send(self.path.removeprefix("/lfs/"), {})
            return
        fault = hub.faults["HEAD"].popleft() if self.command == "HEAD" and hub.faults["HEAD"] else ""
        if isinstance(fault, tuple):
            time.sleep(fault[1])
        elif fault:
            self._refuse(fault)
            return
        repository, _, rest = self.path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        name, commit = f"{repository}/{file}", COMMIT if revision == "main" else revision
        if not any(key.startswith(f"{repository}/") for key in hub.files):
            self._refuse(401, "RepoNotFound")
        elif revision != "main" and not re.fullmatch("[0-9a-f]{40}", revision):
            self._refuse(404, "RevisionNotFound")
        elif name not in hub.files:
            self._refuse(404, "EntryNotFound")
        elif repository in hub.gated and self.headers["Authorization"] != "Bearer right":
            self._refuse(401, "GatedRepo")
        elif name in hub.small:
            git = hashlib.sha1(b"blob %d\0" % len(hub.files[name]) + hub.files[name]).hexdigest()
            self._send(name, {"X-Repo-Commit": commit, "ETag": f'"{git}"'} | hub.said)
        else:
            stated = {
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{hashlib.sha256(hub.files[name]).hexdigest()}"',
                "X-Linked-Size": str(len(hub.files[name])),
                "ETag": '"of the redirect"',
                "Location": f"{hub.elsewhere}/lfs/{name}",
                "Content-Length": "0",
            }
            self._head(302, stated | hub.said)

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status, code=""):
        self._head(status, {"X-Error-Code": code, "Content-Length": "0"})

    def _send(self, name, headers):
        hub = self.hub
        data = hub.sent.get(name, hub.files[name])
        fault = hub.faults["GET"].popleft() if self.command == "GET" and hub.faults["GET"] else ""
        if isinstance(fault, int):
            self._refuse(fault)
            return
        kind, much = fault if isinstance(fault, tuple) else (fault, 0)
        if kind == "slow":
            time.sleep(much)
        start, status = 0, 200
        if self.headers["Range"] and kind != "whole":
            start, status = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")), 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        self._head(status, headers | {"Content-Length": str(len(body)), "Accept-Ranges": "bytes"})
        if self.command == "HEAD":
            return
        with contextlib.suppress(OSError):  # Who asked has left.
            if kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind in ("cut", "reset"):
                self.wfile.write(body[:much])
                self.connection.close() if kind == "reset" else None
            elif kind == "trickle":
                quarter = -(-len(body) // 4)
                for at in range(0, len(body), quarter):
                    self.wfile.write(body[at : at + quarter])
                    self.wfile.flush()
                    time.sleep(much)
            else:
                self.wfile.write(body)


@contextlib.contextmanager
def serving(hub):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(monkeypatch):
    """The hub that is asked here, with its large files on another server, as the real one has them."""
    made = Hub()
    monkeypatch.setattr(_hub, "_WAITS", (0.0, 0.0, 0.0))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(made) as made.address, serving(made) as made.elsewhere:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """An empty folder of weights."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("ENECG_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def enecg(capfd, monkeypatch):
    """Run a command as the shell does: enecg("experts", "pull", name) -> (exit code, standard output and error)."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run
