"""Fetches one file into a partial file beside its place, and only the bytes that are missing.

huggingface_hub starts a broken download again from zero, hence our own: ranged, with If-Range, hashed while it is
written, so that a kill -9 at any moment costs nothing but the bytes on the wire. The token goes to the hub only;
a redirect to another host is followed without it. Knows nothing of queues, and never renames: a finished partial file
is whole and checked, its owner puts it in place.

To call: `await fetch(client, source, part, progress=...)`; it returns when `part` is complete and right, raises a
HubFault otherwise, and can be cancelled at any await.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import httpx

from webui.hub.client import fault_of_status
from webui.hub.faults import (
    BadToken,
    Broken,
    Captive,
    Changed,
    DiskFull,
    Gated,
    HubFault,
    NoFile,
    NoRange,
    NotWritten,
    OtherSite,
    Pickle,
    RateLimited,
    Stalled,
    Unreachable,
    WrongChecksum,
)

BLOCK = 1 << 20
HELD = 256 << 10  # what a kill can cost beyond the bytes on the wire
FLUSH_SECONDS = 0.5
MOST_REDIRECTS = 8
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

Progress = Callable[[int], None]
"""Called with the bytes the partial file now has."""

Notice = Callable[[HubFault], None]
"""Told of trouble that does not end the transfer."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is and what it must be. `headers` go to `url`'s own host only."""

    url: str
    repo: str
    path: str
    size: int
    sha256: str = ""
    git_oid: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent server is waited for, and how often in a row without a new byte."""

    stall: float = 30.0
    connect: float = 10.0
    attempts: int = 4
    pause: float = 1.0
    tries: int = 6
    """How often in a row without a new byte a whole download is begun again by itself, when the trouble may pass."""
    rest: float = 20.0
    """Seconds before the first of these; each further one waits twice as long."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Who hears of a transfer."""

    progress: Progress
    notice: Notice


def new_client(patience: Patience | None = None) -> httpx.AsyncClient:
    """A client for transfers. Redirects are followed here, by hand, so that no header goes where it should not."""
    wait = patience or Patience()
    timeout = httpx.Timeout(wait.stall, connect=wait.connect)
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False)


async def fetch(
    client: httpx.AsyncClient,
    source: Source,
    part: Path,
    *,
    progress: Progress = lambda done: None,
    notice: Notice = lambda fault: None,
    patience: Patience | None = None,
) -> None:
    """Bring `part` up to the whole file and check it. What a fault leaves in `part` is continued by the next call."""
    wait = patience or Patience()
    try:
        with _Sink(source, part) as sink:
            await asyncio.to_thread(sink.take_in)
            progress(sink.size)
            await _complete(client, source, sink, _Told(progress, notice), wait)
            await asyncio.to_thread(sink.check)
    except OSError as error:
        raise _disk_fault(error, source, part) from error


async def _complete(client: httpx.AsyncClient, source: Source, sink: _Sink, told: _Told, wait: Patience) -> None:
    """Ask for what is missing until nothing is; give up after some attempts in a row that brought nothing."""
    failures = 0
    while sink.size < source.size or (source.size == 0 and not sink.asked):
        before = sink.size
        try:
            await _attempt(client, source, sink, told)
            problem: HubFault = Stalled(source.path, wait.stall)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            problem = Unreachable(httpx.URL(source.url).netloc.decode())
            problem.__cause__ = error
        except httpx.RequestError as error:
            problem = Stalled(source.path, wait.stall)
            problem.__cause__ = error
        except (Broken, RateLimited) as error:
            problem = error
        if sink.size >= source.size:
            return
        failures = 1 if sink.size > before else failures + 1
        if failures >= wait.attempts or isinstance(problem, RateLimited):
            raise sink.no_range if sink.no_range and isinstance(problem, Stalled) else problem
        await asyncio.sleep(min(wait.pause * 2 ** (failures - 1), 30.0))


async def _attempt(client: httpx.AsyncClient, source: Source, sink: _Sink, told: _Told) -> None:
    headers = dict(source.headers)
    headers["Accept-Encoding"] = "identity"
    sink.asked = True
    if sink.size:
        headers["Range"] = f"bytes={sink.size}-"
        if sink.etag:
            headers["If-Range"] = sink.etag
    response = await open_following(client, source.url, headers)
    try:
        if _begins_again(response, sink):
            sink.no_range = NoRange(response.url.netloc.decode(), source.path)
            told.notice(sink.no_range)
        if _answer(response, source, sink):
            sink.etag = _strong(response.headers.get("ETag", ""))
            await _receive(response, source, sink, told.progress)
    finally:
        await response.aclose()


async def open_following(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> httpx.Response:
    """Follow redirects. The token stays with the host it is for, and https is not left for http."""
    target, sent = httpx.URL(url), dict(headers)
    for _ in range(MOST_REDIRECTS):
        response = await client.send(client.build_request("GET", target, headers=sent), stream=True)
        if not response.has_redirect_location:
            return response
        await response.aclose()
        following = target.join(response.headers["Location"])
        if following.scheme not in ("http", "https") or (target.scheme, following.scheme) == ("https", "http"):
            raise OtherSite(str(following)[:80])
        if (following.scheme, following.host, following.port) != (target.scheme, target.host, target.port):
            sent.pop("Authorization", None)
        target = following
    raise Broken(httpx.URL(url).netloc.decode(), 310)


def _begins_again(response: httpx.Response, sink: _Sink) -> bool:
    """Whether the server sends what we have once more, although its file is still the same."""
    same = _strong(response.headers.get("ETag", "")) in ("", sink.etag)
    return response.status_code == 200 and sink.size > 0 and same


def _answer(response: httpx.Response, source: Source, sink: _Sink) -> bool:
    """Whether the body is to be taken; sets the sink to where the body begins."""
    status, host = response.status_code, response.url.netloc.decode()
    if status == 416:
        # The server's file is shorter than ours: nothing of it can be trusted.
        sink.restart()
        return False
    _refuse(response, source)
    if status not in (200, 206):
        raise Broken(host, status)
    if "text/html" in response.headers.get("Content-Type", "") and not source.path.endswith((".html", ".htm")):
        raise Captive(host)
    if status == 206:
        start, total = _content_range(response.headers.get("Content-Range", ""))
        if total is not None and total != source.size:
            raise Changed(source.path, source.size, total)
        if start != sink.size:
            sink.restart()
            return start == 0
        return True
    sink.restart()
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    if length.isdigit() and not encoded and int(length) != source.size:
        raise Changed(source.path, source.size, int(length))
    return True


def _refuse(response: httpx.Response, source: Source) -> None:
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    host = response.url.netloc.decode()
    fault = fault_of_status(status, response.headers, host)
    if fault is not None:
        raise fault
    if code == "GatedRepo" or status == 403:
        raise Gated(source.repo)
    if status == 401:
        raise BadToken() if "Authorization" in response.request.headers else Gated(source.repo)
    if status in (404, 410):
        raise NoFile(source.repo, source.path)


async def _receive(response: httpx.Response, source: Source, sink: _Sink, progress: Progress) -> None:
    """Write in blocks, at least twice a second, in a thread; what has arrived, even when the connection breaks."""
    held: list[bytes] = []
    count, last = 0, time.monotonic()
    try:
        async for piece in response.aiter_bytes():
            held.append(piece)
            count += len(piece)
            if count >= HELD or time.monotonic() - last > FLUSH_SECONDS:
                block, held, count, last = b"".join(held), [], 0, time.monotonic()
                await asyncio.to_thread(sink.write, block)
                progress(sink.size)
    finally:
        if held:
            # Not awaited: a cancelled task must not lose what it already has.
            sink.write(b"".join(held))
            progress(sink.size)


def _content_range(text: str) -> tuple[int, int | None]:
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit.lower() != "bytes" or not start.isdigit():
        return -1, None
    return int(start), int(total) if total.isdigit() else None


def _strong(etag: str) -> str:
    """If-Range takes strong tags only."""
    return etag if etag.startswith('"') and etag.endswith('"') else ""


class _Sink:
    """The partial file, with the hashes of what is in it. The tag of the server's file is kept in a file beside it."""

    def __init__(self, source: Source, part: Path) -> None:
        self._source = source
        self.part = part
        # A cancelled transfer may still have a block on its way in a thread.
        self._lock = threading.Lock()
        self._tag_file = part.with_name(part.name + ".etag")
        part.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = part.open("r+b" if part.exists() else "w+b")
        self.asked = False
        self.no_range: NoRange | None = None
        self._etag = self._read_tag()
        self._begin()

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def _begin(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(f"blob {self._source.size}\0".encode(), usedforsecurity=False)

    def take_in(self) -> None:
        """Hash what an earlier attempt left; more than the file should have is nothing to build on."""
        left = os.fstat(self._file.fileno()).st_size
        if left > self._source.size:
            self.restart()
            return
        while left > 0:
            with self._lock:
                block = b"" if self._file.closed else self._file.read(min(BLOCK, left))
            if not block:
                return
            self._count(block)
            left -= len(block)

    def _count(self, block: bytes) -> None:
        self._sha256.update(block)
        if self._source.git_oid:
            self._git.update(block)
        self.size += len(block)

    @property
    def etag(self) -> str:
        return self._etag

    @etag.setter
    def etag(self, value: str) -> None:
        if value != self._etag:
            self._etag = value
            self._tag_file.write_text(value)

    def _read_tag(self) -> str:
        try:
            return _strong(self._tag_file.read_text().strip()) if self._tag_file.exists() else ""
        except ValueError:
            return ""

    def write(self, block: bytes) -> None:
        with self._lock:
            if self._file.closed:
                return
            if self.size + len(block) > self._source.size:
                raise Changed(self._source.path, self._source.size, self.size + len(block))
            if self.size == 0 and block.startswith(_PICKLE_STARTS):
                raise Pickle(self._source.path)
            self._file.write(block)
            self._file.flush()
            self._count(block)

    def restart(self) -> None:
        """Begin again; what was there is gone."""
        if os.fstat(self._file.fileno()).st_size == self.size == 0:
            return
        self._file.seek(0)
        self._file.truncate()
        self._begin()

    def check(self) -> None:
        """Flush to the disk and compare with what the hub promised; a damaged file does not stay."""
        os.fsync(self._file.fileno())
        source = self._source
        right = self._sha256.hexdigest() == source.sha256.lower() if source.sha256 else True
        if source.git_oid and not source.sha256:
            right = self._git.hexdigest() == source.git_oid.lower()
        if not right:
            self.restart()
            self._file.close()
            self.part.unlink(missing_ok=True)
            self._tag_file.unlink(missing_ok=True)
            raise WrongChecksum(source.path)
        self._tag_file.unlink(missing_ok=True)


def _disk_fault(error: OSError, source: Source, part: Path) -> HubFault:
    folder = str(part.parent)
    if error.errno in _FULL:
        have = part.stat().st_size if part.exists() else 0
        return DiskFull(folder, max(0, source.size - have), shutil.disk_usage(part.parent).free)
    return NotWritten(folder, error.strerror or str(error))
