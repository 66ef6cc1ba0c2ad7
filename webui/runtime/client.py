"""Requests over one worker: who waits for which frames. Knows frames and events; nothing of processes or models."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from webui.errors import (
    BadValue,
    Busy,
    ContextExceeded,
    LoadCancelled,
    LoadFailed,
    NoModel,
    Overloaded,
    WebUIError,
    WorkerDied,
)
from webui.types import Event, Failed, Finished, GenerationRequest, Step, event_from_dict
from webui.worker.wire import Frame

Send = Callable[[dict[str, Any]], None]

_STOPPABLE = frozenset({"logits", "score", "embed"})
"""Questions for which a text is read: the worker is told when nobody waits for the answer any more."""

_CLASSES: dict[str, type[WebUIError]] = {
    kind.code: kind
    for kind in (BadValue, ContextExceeded, NoModel, LoadFailed, LoadCancelled, WorkerDied, Overloaded, Busy)
}


def error_from(data: dict[str, Any]) -> WebUIError:
    """An error the worker reported, as the exception it stands for."""
    code = str(data.get("code") or "error")
    kind = _CLASSES.get(code, BadValue if data.get("param") else WebUIError)
    return kind(str(data["message"]), param=data.get("param"), code=code, values=data.get("values"))


def failure(event: Failed) -> WebUIError:
    """A Failed event as the exception it stands for."""
    return error_from(
        {"message": event.message, "code": event.code, "param": event.param, "values": dict(event.values)}
    )


def wire_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Steps as JSON can carry them: keys are text, and so is minus infinity."""
    return [{"sampler": step.sampler, "values": {k: _wire(v) for k, v in step.values.items()}} for step in steps]


def _wire(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _wire(item) for key, item in value.items()}
    if isinstance(value, float) and value == -math.inf:
        return "-inf"
    return value


class Generation(AsyncIterator[Event]):
    """The events of one request, up to a Failed or the last choice's Finished.

    `cancel` asks for an early end: what was generated so far still arrives, then Finished("cancelled"). `aclose` also
    stops listening. Dropping the object without either cancels too.
    """

    def __init__(self, choices: int = 1) -> None:
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._open = choices
        self._cancel: Callable[[], None] | None = None
        self._cancelled = False
        self._closed = False

    @property
    def done(self) -> bool:
        """Whether the last event has arrived (it may not have been read yet)."""
        return self._open <= 0

    def attach(self, cancel: Callable[[], None]) -> bool:
        """The request goes out now, and this is how to cancel it; False if nobody wants it any more."""
        if self._cancelled or self.done:
            return False
        self._cancel = cancel
        return True

    def push(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._open -= 1
        elif isinstance(event, Failed):
            self._open = 0
        if not self._closed:
            self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cancel(self) -> None:
        if self._cancelled or self.done:
            return
        self._cancelled = True
        if self._cancel is not None:
            self._cancel()
        else:
            for choice in range(self._open):
                self.push(Finished(choice, "cancelled", seed=-1))

    async def aclose(self) -> None:
        self.cancel()
        self._closed = True
        self._events.clear()
        self._wake()

    async def batch(self) -> list[Event]:
        """Everything that has arrived since the last look, waiting for something; empty at the end."""
        while not self._events:
            if self.done or self._closed:
                return []
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        events = list(self._events)
        self._events.clear()
        return events

    async def __anext__(self) -> Event:
        while not self._events:
            if self.done or self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._events.popleft()

    def __del__(self) -> None:
        if not self._cancelled and not self.done and self._cancel is not None:
            self._cancel()


class Client:
    """Hands out ids and sorts what comes back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last_id = 0
        self._running: dict[int, weakref.ref[Generation]] = {}
        self._left: dict[int, int] = {}
        self._calls: dict[int, asyncio.Future[Frame]] = {}
        self._cancels: dict[int, float] = {}

    @property
    def active(self) -> int:
        """How many generations the worker still owes an end."""
        return len(self._running)

    @property
    def busy(self) -> bool:
        """Whether the worker owes anybody an answer of any kind."""
        return bool(self._running or self._calls)

    def oldest_cancel(self) -> float | None:
        return min(self._cancels.values(), default=None)

    def generate(self, request: GenerationRequest, generation: Generation) -> None:
        """Send the request; its events go to `generation`."""
        number = self._next_id()
        if not generation.attach(lambda: self._cancel(number)):
            return
        # Held weakly: a generation that nobody holds any more must be able to vanish, and so to cancel.
        self._running[number] = weakref.ref(generation)
        self._left[number] = request.n
        fields = {item.name: getattr(request, item.name) for item in dataclasses.fields(request)}
        self._send({"type": "generate", "id": number, "request": {**fields, "chain": wire_steps(request.chain)}})

    async def call(self, kind: str, **fields: Any) -> Frame:
        """One question, one answer."""
        number = self._next_id()
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            self._send({"type": kind, "id": number, **fields})
            return await answer
        except asyncio.CancelledError:
            if kind in _STOPPABLE and answer.cancelled():
                self._cancels[number] = time.monotonic()
                self._send({"type": "cancel", "id": number})
            raise
        finally:
            del self._calls[number]

    def on_events(self, items: list[list[Any]]) -> None:
        for number, data in items:
            reference = self._running.get(number)
            if reference is None:
                continue
            event = event_from_dict(data)
            if generation := reference():
                generation.push(event)
            self._count(number, event)

    def on_reply(self, header: dict[str, Any], blob: bytes) -> None:
        self._cancels.pop(header["id"], None)
        answer = self._calls.get(header["id"])
        if answer is None or answer.done():
            return
        if header.get("error"):
            answer.set_exception(error_from(header["error"]))
        else:
            answer.set_result((header, blob))

    def cancel_all(self) -> None:
        """Ask for an early end of everything; what was generated so far still arrives."""
        for number in list(self._running):
            self._cancel(number)

    def fail_all(self, error: WebUIError) -> None:
        """The worker is gone: everything that waits for it fails with this."""
        event = Failed(error.message, error.code, error.param, error.values)
        references = list(self._running.values())
        self._running.clear()
        self._left.clear()
        self._cancels.clear()
        for reference in references:
            if generation := reference():
                generation.push(event)
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(error)

    def _count(self, number: int, event: Event) -> None:
        if isinstance(event, Finished):
            self._left[number] -= 1
        elif isinstance(event, Failed):
            self._left[number] = 0
        if self._left[number] <= 0:
            del self._running[number], self._left[number]
            self._cancels.pop(number, None)

    def _cancel(self, number: int) -> None:
        if number in self._running and number not in self._cancels:
            self._cancels[number] = time.monotonic()
            self._send({"type": "cancel", "id": number})

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id
