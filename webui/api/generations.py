"""The generations this API started and that still run, so that one route can stop them all."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webui.runtime.client import Generation
from webui.runtime.models import Models
from webui.types import GenerationRequest


@dataclass(eq=False)
class Waiting:
    """An answer that has not begun: while no generation of it runs (`asked` false), only breaking it off stops it."""

    answer: asyncio.Future[Any]
    asked: bool = False


class Generations:
    def __init__(self) -> None:
        self._running: weakref.WeakSet[Generation] = weakref.WeakSet()
        self._waiting: weakref.WeakSet[Waiting] = weakref.WeakSet()

    def wait_for(self, answer: asyncio.Future[Any]) -> Waiting:
        """Have this answer stopped with the others, as long as the caller keeps what it gets."""
        waiting = Waiting(answer)
        self._waiting.add(waiting)
        return waiting

    def start(self, models: Models, requests: Iterable[GenerationRequest]) -> list[Generation]:
        """Start them all, or none: what cannot work is refused here."""
        started: list[Generation] = []
        try:
            for request in requests:
                started.append(models.generate(request))
        except BaseException:
            for generation in started:
                generation.cancel()
            raise
        self._running.update(started)
        return started

    def stop_all(self) -> int:
        """Ask for an early end of everything the API started; their clients get what was said so far."""
        running = [generation for generation in self._running if not generation.done]
        for generation in running:
            generation.cancel()
        for waiting in self._waiting:
            if not waiting.asked:
                waiting.answer.cancel()
        return len(running)
