"""Calls into the engine that another thread may break off. Knows which requests the running call works for, not why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from webui.engines.base import NEVER, Aborted, AbortFlag, Chunk, Engine, Row

SLOW = 0.3
"""A call that takes longer is broken off for one cancelled request, though others must decode their token again."""
BRIEF = 0.1
IDLE: frozenset[Any] = frozenset(["idle"])


class Calls:
    def __init__(self, engine: Engine, abort: AbortFlag) -> None:
        self._engine = engine
        self._abort = abort
        self._lock = threading.Lock()
        self._current: frozenset[Any] = frozenset()
        self._since = 0.0
        self._last_seconds = 0.0

    def decode(self, chunks: list[Chunk], ids: frozenset[Any]) -> list[Row] | None:
        """One batch; None if it was broken off (the slots then hold what they held before)."""
        with self._lock:
            self._abort.clear()
            self._current = ids
        self._since = start = time.monotonic()
        try:
            return self._engine.decode(chunks)
        except Aborted:
            for chunk in chunks:
                self._engine.keep(chunk.slot, chunk.position)
            return None
        finally:
            self._since = 0.0
            self._last_seconds = time.monotonic() - start
            with self._lock:
                self._current = frozenset()

    def timed(self, function: Callable[[], None], ids: frozenset[Any]) -> None:
        """Anything else that works in the engine: as long as it runs, it counts as a call and can be broken off."""
        with self._lock:
            self._abort.clear()
            self._current = ids
        self._since = time.monotonic()
        try:
            function()
        finally:
            self._since = 0.0
            with self._lock:
                self._current = frozenset()

    @property
    def was_brief(self) -> bool:
        """Whether the last call took no longer than a token may be told late for the sake of all that follow."""
        return self._last_seconds <= BRIEF

    # Used by other threads

    def break_off(self, id: Any) -> None:
        """A request is not wanted any more: stop the call that works for it alone, or takes long."""
        with self._lock:
            again = self._last_seconds > SLOW and self._engine.grid != NEVER
            if id in self._current and (len(self._current) == 1 or again):
                self._abort.set()

    def break_off_idle(self) -> None:
        with self._lock:
            if self._current == IDLE:
                self._abort.set()

    @property
    def busy(self) -> float:
        """Seconds the call that is running has taken so far."""
        since = self._since
        return time.monotonic() - since if since else 0.0
