"""One worker process from its start to its end: frames, heartbeat, how it died, and whether to start it again.

Knows nothing of what the frames mean, except `heartbeat`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from webui.runtime.process import COMMAND, Ending, Process, explain, start
from webui.worker.wire import BadFrame, Frame, Unpacker, pack

HEARTBEAT_LIMIT = 10.0
START_LIMIT = 60.0
CANCEL_LIMIT = 10.0
BUSY_LIMIT = 600.0
QUIT_SECONDS = 2.0

OnFrame = Callable[[dict[str, Any], bytes], None]
OnEnd = Callable[[Ending], None]


class Worker(asyncio.Protocol):
    """A running worker. `on_end` is called exactly once, however it ended; `wanted` tells whether we asked for it.

    `loaded` is set by the owner: from then on an engine call that never ends is a fault, before it may be a slow disk.
    """

    def __init__(
        self, on_frame: OnFrame, on_end: OnEnd, *, command: tuple[str, ...] = COMMAND, echo: bool = False
    ) -> None:
        self._on_frame = on_frame
        self._on_end = on_end
        self._command = command
        self._echo = echo
        self._unpacker = Unpacker()
        self._process: Process | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._watcher: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._verdict: Ending | None = None
        self._last_beat = 0.0
        self._met = False
        self._oldest_cancel: Callable[[], float | None] = lambda: None
        self.busy = 0.0
        self.loaded = False
        self.wanted = False
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.popen.pid if self._process else 0

    async def start(self, oldest_cancel: Callable[[], float | None] = lambda: None) -> None:
        """Start the process. `oldest_cancel` says since when a cancel has been waiting for its answer."""
        self._oldest_cancel = oldest_cancel
        # Not in a thread: the worker dies with the thread that started it (PR_SET_PDEATHSIG).
        self._process = start(self._command, echo=self._echo)
        self._last_beat = time.monotonic()
        await asyncio.get_running_loop().create_connection(lambda: self, sock=self._process.connection)
        self._watcher = asyncio.ensure_future(self._watch(self._process))

    def send(self, header: dict[str, Any], blob: bytes = b"") -> None:
        """Queue a frame; what cannot be delivered any more is dropped, `on_end` has told or will tell."""
        data = pack(header, blob)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def stop(self, seconds: float = QUIT_SECONDS) -> None:
        """Ask the process to end, then make it; returns when it is gone."""
        self.wanted = True
        if self._process is None:
            return
        self.send({"type": "quit"})
        try:
            await asyncio.wait_for(self.ended.wait(), seconds)
        except asyncio.TimeoutError:
            self._process.kill()
            await self.ended.wait()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def condemn(self, sentence: str, code: str) -> None:
        """Kill a process that cannot be used any more, and remember why."""
        if self._verdict is None and self._process is not None:
            self._verdict = Ending(sentence, code)
            self._process.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._unpacker.feed(data):
                self._receive(frame)
        except (BadFrame, LookupError, TypeError, ValueError):
            self.condemn("The engine sent something unreadable and was stopped.", "engine_garbled")

    def _receive(self, frame: Frame) -> None:
        header, blob = frame
        if header["type"] == "heartbeat":
            self.busy = float(header.get("busy", 0.0))
        self._last_beat, self._met = time.monotonic(), True
        if header["type"] != "heartbeat":
            self._on_frame(header, blob)

    def connection_lost(self, error: Exception | None) -> None:
        self._spawn(self._bury())

    async def _watch(self, process: Process) -> None:
        """Once a second: is it alive, does its heart beat, does it obey?"""
        last_look = time.monotonic()
        while not self.ended.is_set() and process.popen.poll() is None:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if now - last_look > 3.0:
                # We were asleep ourselves (a suspended machine, a stopped process): its silence proves nothing.
                self._last_beat = max(self._last_beat, now)
            last_look = now
            if now - self._last_beat > (HEARTBEAT_LIMIT if self._met else START_LIMIT):
                self.condemn("The engine stopped answering and was ended.", "engine_hung")
            if self.loaded and self.busy > BUSY_LIMIT:
                self.condemn("The engine got stuck in one step and was ended.", "engine_hung")
            since = self._oldest_cancel()
            if since is not None and now - since > CANCEL_LIMIT and self.busy > CANCEL_LIMIT:
                self.condemn("The engine did not react to Stop and was ended.", "engine_hung")
        if self._transport is not None:
            self._transport.close()

    async def _bury(self) -> None:
        process = self._process
        assert process is not None
        for _ in range(100):
            if process.popen.poll() is not None:
                break
            await asyncio.sleep(0.02)
        process.kill()
        while process.popen.poll() is None:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(process.output.join, 0.5)
        if not self.ended.is_set():
            self.ended.set()
            self._on_end(self._verdict or explain(process.popen.returncode, process.output.text()))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Restarts:
    """How often a worker may be started again: after three crashes in a minute it is enough."""

    LIMIT = 3
    WINDOW = 60.0

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._crashes: deque[float] = deque(maxlen=self.LIMIT)

    def crashed(self) -> bool:
        """Count a crash; False when there were too many to try again."""
        self._crashes.append(self._now())
        return len(self._crashes) < self.LIMIT or self._now() - self._crashes[0] > self.WINDOW

    def forgive(self) -> None:
        """A person decided to try again: count from zero."""
        self._crashes.clear()
