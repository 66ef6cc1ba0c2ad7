"""The life of one generating HTTP request: several generations as one row of events, a client that may leave at any
moment, and server-sent events as fast as the loop allows. Knows nothing of what the events are turned into.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webui.api.errors import ApiError, describe
from webui.leaving import NotWanted, until_gone, while_wanted
from webui.runtime.client import Generation, failure
from webui.types import Event, Failed, Finished, Queued, Token

T = TypeVar("T")
Batch = list[tuple[int, Event]]
"""Events with the number of the generation they belong to."""

DONE = b"data: [DONE]\n\n"
PING_SECONDS = 15.0
STUCK_SECONDS = 60.0
_PING = b": still here\n\n"


async def while_here(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The answer to a single question; when the client leaves before it is there, nothing works for it any more."""
    try:
        return await while_wanted(work, until_gone(request.receive))
    except NotWanted:
        raise ApiError(499, "The client closed the connection.", code="client_gone") from None


class Answering:
    """The generations of one request. They end when the client leaves (`gone`), or when this is closed."""

    def __init__(self, generations: Sequence[Generation], gone: asyncio.Future[None]) -> None:
        self.generations = generations
        self.gone = False
        self._client = gone
        self._waiting: Batch = []
        self._over = [0] * len(generations)
        self._watcher = asyncio.ensure_future(self._watch(gone))
        self._pumps: list[asyncio.Future[None]] = []
        self._merged: asyncio.Queue[Batch] = asyncio.Queue()

    async def begin(self, *, first_token: bool = False) -> None:
        """Wait until it is sure that there will be an answer (or until it has begun); what is wrong with the request is
        raised here."""
        async for batch in self._batches():
            self._waiting += batch
            for _, event in batch:
                if isinstance(event, Failed):
                    raise failure(event)
            if any(
                isinstance(event, Token | Finished) if first_token else not isinstance(event, Queued)
                for _, event in batch
            ):
                return
        if self.gone:
            raise ApiError(499, "The client closed the connection.", code="client_gone")

    async def batches(self) -> AsyncIterator[Batch]:
        """Everything that has arrived since the last look, until all generations are over."""
        if self._waiting:
            batch, self._waiting = self._waiting, []
            yield batch
        async for batch in self._batches():
            yield batch

    def over(self, number: int, choices: int) -> None:
        """One more of a generation's choices will tell nothing new: with the last of them it ends."""
        self._over[number] += 1
        if self._over[number] >= choices:
            self.generations[number].cancel()

    async def close(self) -> None:
        """The request is over: stop what still runs."""
        self._client.cancel()
        await self.stop()

    async def stop(self) -> None:
        """Stop what still runs; the client waits for another answer."""
        self._watcher.cancel()
        for pump in self._pumps:
            pump.cancel()
        for generation in self.generations:
            await generation.aclose()

    async def _batches(self) -> AsyncIterator[Batch]:
        if len(self.generations) == 1:
            generation = self.generations[0]
            while events := await generation.batch():
                yield [(0, event) for event in events]
            return
        if not self._pumps:
            self._pumps = [asyncio.ensure_future(self._pump(n, g)) for n, g in enumerate(self.generations)]
        while not all(pump.done() for pump in self._pumps) or not self._merged.empty():
            if batch := await self._merged.get():
                yield batch

    async def _pump(self, number: int, generation: Generation) -> None:
        while events := await generation.batch():
            self._merged.put_nowait([(number, event) for event in events])
        self._merged.put_nowait([])

    async def _watch(self, gone: asyncio.Future[None]) -> None:
        await asyncio.wait({gone})
        self.gone = True
        for generation in self.generations:
            await generation.aclose()


def error_event(event: Failed) -> bytes:
    """A failure on a stream that has begun: its last event, and no [DONE] after it."""
    _, error = describe(failure(event))
    return b"data: " + orjson.dumps({"error": error}) + b"\n\n"


class Writer(Protocol):
    """Turns the events of one request into server-sent events of some shape."""

    def begin(self) -> bytes: ...

    def write(self, number: int, event: Event, parts: list[bytes]) -> None:
        """Append what an event of generation `number` becomes."""
        ...

    def end(self) -> bytes: ...

    def failed(self, event: Failed) -> bytes: ...


async def stream(answering: Answering, writer: Writer) -> AsyncGenerator[bytes, None]:
    """All that arrived together goes out together. After a failure nothing comes any more."""
    try:
        yield writer.begin()
        async for batch in answering.batches():
            parts: list[bytes] = []
            for number, event in batch:
                if isinstance(event, Failed):
                    yield b"".join([*parts, writer.failed(event)])
                    return
                writer.write(number, event, parts)
            if parts:
                yield b"".join(parts)
        if not answering.gone:
            yield writer.end()
    finally:
        await answering.close()


class EventStream(Response):
    """Server-sent events from an async generator of ready bytes."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(None, 200, {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})})
        del self.headers["content-length"]
        self._chunks = chunks
        self._last_sent = time.monotonic()
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        task = asyncio.current_task()
        assert task is not None
        attendant = asyncio.ensure_future(self._attend(send, task))
        try:
            async for data in self._chunks:
                await self._send(send, data)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            pass  # the client is gone; closing the generator below cancels what runs
        finally:
            attendant.cancel()
            await self._chunks.aclose()

    async def _send(self, send: Send, data: bytes) -> None:
        self._sending_since = self._last_sent = time.monotonic()
        await send({"type": "http.response.body", "body": data, "more_body": True})
        self._sending_since = None

    async def _attend(self, send: Send, task: asyncio.Task[Any]) -> None:
        """Now and then a comment, so that both ends notice a dead connection; a reader that takes nothing for a minute
        is dropped."""
        while True:
            await asyncio.sleep(5.0)
            now = time.monotonic()
            if self._sending_since is not None:
                if now - self._sending_since > STUCK_SECONDS:
                    task.cancel()
                    return
            elif now - self._last_sent > PING_SECONDS:
                self._last_sent = now
                await send({"type": "http.response.body", "body": _PING, "more_body": True})
