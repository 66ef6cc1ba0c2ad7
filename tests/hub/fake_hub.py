"""A model hub on loopback: the hub's real API as huggingface_hub asks it, its storage on another origin, and faults.

`FakeHub` serves two addresses: the hub itself and its storage ("cdn"), to which large files are redirected as on the
real hub. Faults are attributes that a test switches on. Every request is kept in `requests` with the bytes it got.
Run it by hand to look at the page: `python -m tests.hub.fake_hub --port 8350`.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = 16 << 10
LARGE = 10_000


@dataclass
class Faults:
    """What goes wrong. Counters (`*_times`) run down, so that a fault can pass."""

    gated: bool = False
    private: bool = False
    rate_limited: int = 0
    broken_times: int = 0
    broken_status: int = 503
    captive: bool = False
    ignore_range: bool = False
    always_416: bool = False
    etag: str = ""
    wrong_byte_at: int = -1
    cut_after: int = 0
    cut_times: int = 0
    stall_after: int = -1
    stall_times: int = 1_000_000
    seconds_a_block: float = 0.0
    hold_above: int = -1
    longer_by: int = 0
    claims_length: int = 0
    redirect_to: str = ""
    bad_token: bool = False
    weak_etag: bool = False


@dataclass
class Request:
    server: str
    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0


@dataclass
class Repo:
    name: str
    files: dict[str, bytes]
    branches: dict[str, dict[str, bytes]] = field(default_factory=dict)
    likes: int = 1
    downloads: int = 10
    gated: str | bool = False
    gguf: dict[str, Any] | None = None
    licence: str = "apache-2.0"
    tags: tuple[str, ...] = ("gguf",)

    def commit(self, revision: str) -> str:
        return hashlib.sha1(f"{self.name}@{revision}".encode(), usedforsecurity=False).hexdigest()

    def tree(self, revision: str) -> dict[str, bytes] | None:
        for name, files in (("main", self.files), *self.branches.items()):
            if revision in (name, self.commit(name)):
                return files
        return None

    def branch_of(self, revision: str) -> str:
        return next(name for name in ("main", *self.branches) if revision in (name, self.commit(name)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is what many tests are about."""


class FakeHub:
    def __init__(self, *, port: int = 0) -> None:
        self.faults = Faults()
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._servers = [self._serve("hub", "127.0.0.1", port), self._serve("cdn", "127.0.0.1", 0)]
        self.url, cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)
        # Another host name for the same machine, so that the redirect really leaves the hub's origin.
        self.cdn_url = cdn.replace("127.0.0.1", "localhost")

    def _serve(self, name: str, host: str, port: int) -> ThreadingHTTPServer:
        hub = self

        class Handler(_Handler):
            fake = hub
            server_name = name

        server = _Server((host, port), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def close(self) -> None:
        self._stopping.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, repo: Repo) -> Repo:
        self.repos[repo.name] = repo
        return repo

    def sent(self, path_part: str = "") -> int:
        """Bytes of files that went out."""
        with self._lock:
            return sum(r.sent for r in self.requests if r.status in (200, 206) and path_part in r.path and _is_file(r))

    def file_requests(self) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if _is_file(request)]

    def keep(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the hub lives."""
        self._stopping.wait(seconds)

    def stopping(self) -> bool:
        return self._stopping.is_set()


def _is_file(request: Request) -> bool:
    return request.server == "cdn" or "/resolve/" in request.path


@contextmanager
def running(port: int = 0) -> Iterator[FakeHub]:
    hub = FakeHub(port=port)
    try:
        yield hub
    finally:
        hub.close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    server_name: str
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        # Small buffers: what counts as sent has nearly arrived, also when the reader is killed.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.note = Request(self.server_name, self.command, self.path, headers)
        self.fake.keep(self.note)
        try:
            if self.server_name == "cdn":
                self._storage()
            elif not self._refused():
                self._hub()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # The hub ------------------------------------------------------------------------------------------------------

    def _refused(self) -> bool:
        faults = self.fake.faults
        if faults.captive:
            page = b"<!doctype html><html><title>Free WiFi</title></html>"
            self._answer(200, page, {"Content-Type": "text/html; charset=utf-8"})
        elif faults.rate_limited:
            self._answer(429, b"Too Many Requests", {"Retry-After": str(faults.rate_limited)})
        elif faults.broken_times:
            faults.broken_times -= 1
            self._answer(faults.broken_status, b"Internal Error")
        elif faults.bad_token and "Authorization" in self.headers:
            message = "Invalid credentials in Authorization header"
            self._answer(401, b'{"error":"Invalid credentials"}', {"X-Error-Message": message})
        else:
            return False
        return True

    def _hub(self) -> None:
        parts = urlsplit(self.path)
        segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
        query = parse_qs(parts.query)
        if segments[:2] == ["api", "models"] and len(segments) == 2:
            self._search(query)
        elif segments[:2] == ["api", "models"] and len(segments) >= 4:
            self._about("/".join(segments[2:4]), segments[4:], query)
        elif len(segments) >= 5 and segments[2] == "resolve":
            self._resolve("/".join(segments[:2]), segments[3], "/".join(segments[4:]))
        else:
            self._answer(404, b"Not Found")

    def _repo(self, name: str) -> Repo | None:
        repo = self.fake.repos.get(name)
        if repo is None or (self.fake.faults.private and "Authorization" not in self.headers):
            # As the hub does: who is not logged in learns nothing of what exists.
            self._answer(401, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    def _search(self, query: dict[str, list[str]]) -> None:
        wanted, tags = query.get("search", [""])[0].lower(), query.get("filter", [])
        sort, limit = query.get("sort", ["downloads"])[0], int(query.get("limit", ["30"])[0])
        found = [
            repo
            for repo in self.fake.repos.values()
            if wanted in repo.name.lower() and all(tag in repo.tags for tag in tags)
        ]
        found.sort(key=lambda repo: -(repo.likes if sort == "likes" else repo.downloads))
        self._json([self._card(repo) for repo in found[:limit]])

    def _card(self, repo: Repo) -> dict[str, Any]:
        return {
            "_id": "1",
            "id": repo.name,
            "likes": repo.likes,
            "downloads": repo.downloads,
            "gated": repo.gated,
            "lastModified": "2026-11-01T12:00:00.000Z",
            "tags": list(repo.tags),
            **({"gguf": repo.gguf} if repo.gguf else {}),
        }

    def _about(self, name: str, rest: list[str], query: dict[str, list[str]]) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if rest == ["refs"]:
            branches = [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": repo.commit(branch)}
                for branch in ("main", *repo.branches)
            ]
            self._json({"branches": branches, "tags": [], "converts": []})
            return
        revision = rest[1] if len(rest) > 1 else "main"
        tree = repo.tree(revision)
        if tree is None:
            self._answer(404, b'{"error":"Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
            return
        if rest[:1] == ["tree"]:
            self._json([self._entry(path, data) for path, data in sorted(tree.items())])
            return
        siblings = [{"rfilename": path} for path in sorted(tree)]
        card = {**self._card(repo), "sha": repo.commit(repo.branch_of(revision)), "siblings": siblings}
        self._json({**card, "cardData": {"license": repo.licence}, "private": False})

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        size, digest = len(data), hashlib.sha256(data).hexdigest()
        entry: dict[str, Any] = {"type": "file", "oid": _git_oid(data), "size": size, "path": path}
        if size > LARGE:
            entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
        return entry

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if self.fake.faults.gated and "Authorization" not in self.headers:
            self._answer(401, b"Access to this model is restricted", {"X-Error-Code": "GatedRepo"})
            return
        tree = repo.tree(revision)
        data = None if tree is None else tree.get(path)
        if data is None:
            self._answer(404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        elif len(data) > LARGE:
            digest = hashlib.sha256(data).hexdigest()
            target = self.fake.faults.redirect_to or f"{self.fake.cdn_url}/{name}/{revision}/{path}?sig=abc"
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{digest}"', "Location": target}
            self._answer(302, b"Found", {**linked, "X-Repo-Commit": repo.commit(repo.branch_of(revision))})
        else:
            self._answer(200, data, {"ETag": f'"{_git_oid(data)}"'}, count=True)

    # Its storage --------------------------------------------------------------------------------------------------

    def _storage(self) -> None:
        segments = [unquote(segment) for segment in urlsplit(self.path).path.strip("/").split("/")]
        repo = self.fake.repos["/".join(segments[:2])]
        tree = repo.tree(segments[2])
        data = (tree or {})["/".join(segments[3:])]
        self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        faults = self.fake.faults
        etag = faults.etag or f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        etag = f"W/{etag}" if faults.weak_etag else etag
        if faults.always_416 and "Range" in self.headers:
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        if 0 <= faults.wrong_byte_at < len(data):
            data = data[: faults.wrong_byte_at] + b"?" + data[faults.wrong_byte_at + 1 :]
        data += b"x" * faults.longer_by
        (start, end), status = self._span(data, etag), 200
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
        if start >= 0:
            status, body = 206, data[start:end]
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        else:
            body = data
        self.note.status = status
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(faults.claims_length or len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self._send_slowly(body)

    def _span(self, data: bytes, etag: str) -> tuple[int, int]:
        """Where a ranged answer begins and ends; -1 for the whole file."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or self.fake.faults.ignore_range:
            return -1, len(data)
        if self.headers.get("If-Range") not in (None, etag):
            return -1, len(data)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        return int(first), min(len(data), int(last) + 1) if last else len(data)

    def _send_slowly(self, body: bytes) -> None:
        faults = self.fake.faults
        for at in range(0, len(body), BLOCK):
            if faults.cut_times and at >= faults.cut_after:
                faults.cut_times -= 1
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if faults.stall_times and 0 <= faults.stall_after <= at:
                faults.stall_times -= 1
                self.fake.pause(60)
                self.close_connection = True
                return
            if faults.seconds_a_block:
                self.fake.pause(faults.seconds_a_block)
            while 0 <= faults.hold_above <= self.fake.sent() and not self.fake.stopping():
                self.fake.pause(0.01)
            piece = body[at : at + BLOCK]
            self.wfile.write(piece)
            self.wfile.flush()
            self.note.sent += len(piece)

    # Answers ------------------------------------------------------------------------------------------------------

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, count: bool = False) -> None:
        self.note.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.note.sent += len(body) if count else 0


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def main() -> None:
    import argparse

    from tests.hub.shelves import stock

    parser = argparse.ArgumentParser(description="A model hub on loopback, to look at the page with HF_ENDPOINT.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0.01, help="seconds for every 16 KB")
    arguments = parser.parse_args()
    with running(arguments.port) as hub:
        stock(hub)
        hub.faults.seconds_a_block = arguments.slow
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
