"""How soon a slot is free after Stop, or after a client that just disconnects: the real program through its API.

    python -m benchmarks.cancel [--model FILE] [--rounds 8] [--slots 4] [--threads 0]

Replies are stopped while they are written and while a long prompt is read, alone and beside others; a client leaves
either by closing its connection or by breaking it off. Measured is the time from there until the program counts one
request less, asked every two milliseconds. Budget: 0.5 s while writing, 1 s while reading.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.serve import find_starter, free_port, ours, prose, served

N_CTX = 8192
LONG = 5000
"""Words of a prompt that takes far longer to read than any budget."""
WRITING, READING = 0.5, 1.0
POLL = 0.002
INTO_THE_PROMPT = 0.4
"""Seconds after which a long prompt is in the middle of being read."""

Way = Literal["stop", "close", "break off"]
Moment = Literal["writing", "reading"]
WAYS: tuple[Way, ...] = ("stop", "close", "break off")


@dataclass(frozen=True)
class Scene:
    """What goes on when one request is ended: what that one is at, and how many others are written beside it."""

    moment: Moment
    others: int

    @property
    def budget(self) -> float:
        return WRITING if self.moment == "writing" else READING

    @property
    def words(self) -> str:
        beside = f", {self.others} more are written" if self.others else ""
        return f"one reply is written{beside}" if self.moment == "writing" else f"a long prompt is read{beside}"


class Connection:
    """One request of the API over a socket of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    def send(self, method: str, path: str, body: object = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def answer(self) -> bytes:
        """The body of a whole answer; the connection can be used again."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return await self._reader.readexactly(length)

    async def tokens(self, count: int) -> None:
        """Until so many pieces of text have come."""
        while count:
            line = await self._reader.readline()
            if not line or b'"error"' in line:
                raise SystemExit(f"a reply ended too early: {line!r}")
            count -= line.startswith(b"data: {") and b'"text":""' not in line

    def leave(self, *, rudely: bool = False) -> None:
        connection: socket.socket = self._writer.get_extra_info("socket")
        if rudely:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort() if rudely else self._writer.close()


class Bench:
    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = 0

    async def begin(self, moment: Moment) -> Connection:
        """A reply that would go on for long, in the moment it is to be ended in."""
        self._asked += 1
        words = prose(LONG if moment == "reading" else 20, self._asked)
        connection = await Connection.open(self._port)
        fields = {"prompt": words, "max_tokens": 4000, "ignore_eos": True, "stream": True, "temperature": 1}
        connection.send("POST", "/v1/completions", fields)
        if moment == "writing":
            await connection.tokens(5)
        return connection

    async def once(self, scene: Scene, way: Way) -> float:
        """Seconds until the slot is free."""
        watcher = await Connection.open(self._port)
        others = [await self.begin("writing") for _ in range(scene.others)]
        one = await self.begin(scene.moment)
        if scene.moment == "reading":
            await self._until(watcher, scene.others + 1)
            await asyncio.sleep(INTO_THE_PROMPT)
        stopper = await Connection.open(self._port)
        began = time.perf_counter()
        if way == "stop":
            stopper.send("POST", "/v1/internal/stop-generation")
        else:
            one.leave(rudely=way == "break off")
        # Stop ends all that is generated; a client that leaves ends only its own.
        await self._until(watcher, 0 if way == "stop" else scene.others)
        took = time.perf_counter() - began
        for connection in (one, stopper, *others):
            with suppress(OSError):
                connection.leave()
        await self._until(watcher, 0)
        watcher.leave()
        return took

    async def _until(self, watcher: Connection, active: int) -> None:
        while True:
            watcher.send("GET", "/v1/internal/model/info")
            if json.loads(await watcher.answer())["active"] == active:
                return
            await asyncio.sleep(POLL)


async def measure(options: argparse.Namespace, port: int) -> bool:
    """Print the table; whether every median keeps its budget."""
    bench = Bench(port)
    scenes = [Scene(moment, others) for moment in ("writing", "reading") for others in (0, options.slots - 1)]
    good = True
    print(f"{'':44}{'':12}{'median':>10}{'longest':>10}{'budget':>10}")
    for scene in scenes:
        for way in WAYS:
            times = [await bench.once(scene, way) for _ in range(options.rounds)]
            middle = statistics.median(times)
            good &= middle <= scene.budget
            verdict = "" if middle <= scene.budget else "  too slow"
            figures = f"{middle * 1000:7.0f} ms{max(times) * 1000:7.0f} ms{scene.budget * 1000:7.0f} ms"
            print(f"{scene.words:44}{way:12}{figures}{verdict}", flush=True)
    return good


async def run(options: argparse.Namespace, folder: Path) -> bool:
    port = free_port()
    async with served(ours(options, port, folder), port, folder):
        return await measure(options, port)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="GGUF file (default: the starter model)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="0: physical cores")
    parser.set_defaults(n_ctx=N_CTX)
    options = parser.parse_args()
    options.model = os.path.abspath(options.model) if options.model else find_starter()
    print(f"{options.model}, {options.slots} slots of {N_CTX}, {options.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory() as name:
        return 0 if asyncio.run(run(options, Path(name))) else 1


if __name__ == "__main__":
    sys.exit(main())
