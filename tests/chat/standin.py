"""A runtime in a few lines, for tests of what stands above it: the test says which events come and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from webui.errors import LoadFailed
from webui.runtime.fallback import Candidate, Order
from webui.types import Event, Finished, GenerationRequest, ModelInfo, PromptProgress, Token

INFO = ModelInfo(
    name="stand-in", path="x.gguf", engine="fake", architecture="none", n_vocab=256, n_ctx=200, n_ctx_train=200, slots=2
)


@dataclass
class Status:
    stage: str = "ready"
    progress: float = 1.0
    sentence: str = ""
    info: ModelInfo | None = INFO
    code: str = ""
    values: dict[str, object] = field(default_factory=dict)


class Stream:
    """Events from a queue that the test fills; None ends it."""

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self.queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self.cancelled = False
        self.closed = False
        self.answers_cancel = True
        self.sent = 0

    def say(self, *pieces: str) -> None:
        for piece in pieces:
            self.sent += 1
            self.queue.put_nowait(Token(0, 1, piece))

    def finish(self, reason: str = "stop") -> None:
        self.queue.put_nowait(
            Finished(0, reason, self.request.seed, prompt_tokens=5, tokens=self.sent, context_used=5 + self.sent)  # type: ignore[arg-type]
        )
        self.queue.put_nowait(None)

    def put(self, event: Event | BaseException) -> None:
        self.queue.put_nowait(event)

    def cancel(self) -> None:
        self.cancelled = True
        if self.answers_cancel:
            self.finish("cancelled")

    async def aclose(self) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.queue.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event


class Runtime:
    """A token is a word."""

    def __init__(self) -> None:
        self.state = Status()
        self.streams: list[Stream] = []

    def status(self) -> Status:
        return self.state

    def generate(self, request: GenerationRequest) -> Stream:
        self.streams.append(Stream(request))
        self.streams[-1].put(PromptProgress(1, 2, 0))
        return self.streams[-1]

    async def tokenize(self, text: str, *, add_bos: bool = False, special: bool = True) -> list[int]:
        return [1] * (len(text.split()) + add_bos)


class Fleet:
    """Models by name; the first one is the current one."""

    def __init__(self, *names: str) -> None:
        self.models = {name: Runtime() for name in names}
        for name, runtime in self.models.items():
            runtime.state = Status(info=replace(INFO, name=name))
        self.current = names[0] if names else ""
        self.held: list[Runtime] = []
        self.opening = asyncio.Event()

    def status(self) -> Status:
        return self.models[self.current].state if self.current else Status("none", info=None)

    def seats(self) -> tuple[Any, ...]:
        return ()

    async def seat_for(self, name: str | None) -> Runtime:
        name = name or self.current
        if name == "slow":
            await self.opening.wait()
        if name not in self.models:
            raise LoadFailed(f"{name} is broken.")
        return self.models[name]

    @contextlib.contextmanager
    def hold(self, models: Runtime) -> Iterator[None]:
        self.held.append(models)
        try:
            yield
        finally:
            self.held.remove(models)


def order(*names: str, seconds: float = 0, text: str = "") -> Order:
    return Order(tuple(Candidate(name) for name in names), seconds, text)
