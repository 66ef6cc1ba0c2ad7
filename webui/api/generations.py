"""The generations this API started and that still run, so that one route can stop them all."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from webui.runtime.client import Generation
from webui.runtime.models import Models
from webui.types import GenerationRequest


class Generations:
    def __init__(self) -> None:
        self._running: weakref.WeakSet[Generation] = weakref.WeakSet()

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
        return len(running)
