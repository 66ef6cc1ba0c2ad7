"""A worker process as a test drives it: real subprocess, real socket, real frames, blocking calls with a time limit."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from webui.worker.wire import Unpacker, pack

GREEDY = [{"sampler": "top_k", "values": {"top_k": 1}}]
Header = dict[str, Any]
PATIENCE = 120.0
"""Seconds; a busy machine may take long."""


class WorkerProcess:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "webui.worker", "--fd", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
            )
        self.socket = ours
        self._unpacker = Unpacker()
        self._frames: deque[tuple[Header, bytes]] = deque()
        self.kept: list[Header] = []
        """Frames that were read while another was waited for."""

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.sendall(pack({"type": kind, **fields}))

    def frame(self, *, seconds: float = PATIENCE, heartbeats: bool = False) -> tuple[Header, bytes]:
        end = time.monotonic() + seconds
        while True:
            while self._frames:
                found = self._frames.popleft()
                if heartbeats or found[0]["type"] != "heartbeat":
                    return found
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError("the worker closed its socket: " + self.last_words())
            self._frames.extend(self._unpacker.feed(data))

    def wait_for(self, kind: str, *, seconds: float = PATIENCE, **fields: Any) -> tuple[Header, bytes]:
        while True:
            header, blob = self.frame(seconds=seconds, heartbeats=kind == "heartbeat")
            if header["type"] == kind and all(header.get(name) == value for name, value in fields.items()):
                return header, blob
            self.kept.append(header)

    def load(self, *, path: str = "script", engine: str = "fake", options: Any = None, **spec: Any) -> Header:
        self.send("load", spec={"path": path, "engine": engine, "options": options or {}, **spec})
        header, _ = self.wait_for("ready")
        info: Header = header["info"]
        return info

    def ask(self, kind: str, id: Any = "ask", **fields: Any) -> tuple[Header, bytes]:
        self.send(kind, id=id, **fields)
        return self.wait_for("reply", id=id)

    def events(self, ids: set[Any], *, seconds: float = PATIENCE) -> dict[Any, list[Header]]:
        """All events of some requests, once each of them failed or has finished all its choices."""
        told: dict[Any, list[Header]] = {id: [] for id in ids}
        open_choices = {id: self._choices[id] for id in ids}
        while any(left > 0 for left in open_choices.values()):
            header, _ = self.frame(seconds=seconds)
            if header["type"] != "events":
                self.kept.append(header)
                continue
            for id, event in header["items"]:
                told[id].append(event)
                if event["kind"] == "finished":
                    open_choices[id] -= 1
                elif event["kind"] == "failed":
                    open_choices[id] = 0
        return told

    _choices: dict[Any, int]

    def start(self, id: Any, prompt: Any, **fields: Any) -> None:
        self._choices = {**getattr(self, "_choices", {}), id: fields.get("n", 1)}
        self.send("generate", id=id, request={"chain": GREEDY, "prompt": prompt, **fields})

    def generate(self, prompt: Any, *, id: Any = "one", seconds: float = PATIENCE, **fields: Any) -> list[Header]:
        self.start(id, prompt, **fields)
        return self.events({id}, seconds=seconds)[id]

    def last_words(self) -> str:
        """What a worker that ended printed."""
        self.popen.wait(10)
        assert self.popen.stdout is not None
        return self.popen.stdout.read().decode(errors="replace")

    def close(self) -> int:
        self.socket.close()
        code = self.popen.wait(10)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code


@contextmanager
def worker() -> Iterator[WorkerProcess]:
    process = WorkerProcess()
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.close()


def text_of(events: list[Header], choice: int = 0) -> str:
    return "".join(e["text"] for e in events if e["kind"] in ("token", "finished") and e["choice"] == choice)


def last(events: list[Header]) -> Header:
    return events[-1]
