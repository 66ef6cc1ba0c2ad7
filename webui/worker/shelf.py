"""The engine's slots and the store behind them: which conversation is where, what of it can be used again.

Knows token ids and the engine's sequences; nothing of requests, chains or frames. Runs in the engine's thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from webui.engines.base import NEVER, Chunk, Engine, EngineError, Row
from webui.worker.slots import COPYING, Content, Place, Slot, Tokens, choose, common_prefix, cut_down, next_cut
from webui.worker.store import Kept, Store

WORTH_KEEPING = 48
"""A conversation that would lose fewer tokens than this is not saved before its slot is taken."""


@dataclass(frozen=True, slots=True)
class Settling:
    """A chunk of generated text that is to be read again as a prompt."""

    slot: Slot
    chunk: Chunk
    end: int


class Shelf:
    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self.slots = [Slot(index) for index in range(engine.info.slots)]

    @property
    def free(self) -> int:
        return sum(slot.owner is None for slot in self.slots)

    def place(self, prompt: Tokens, owner: Any, *, fresh: bool = False, copying: float = COPYING) -> tuple[Slot, int]:
        """Give a free slot to an owner; says how much of the prompt is there already (nothing, if `fresh`)."""
        grid = self._engine.grid
        place = choose(self.slots, prompt, grid, copying)
        assert place is not None, "a slot is free"
        kept, in_store = (None, 0) if fresh else self._store.best(prompt, grid)
        cached = 0 if fresh else place.cached
        slot = place.slot
        if kept is not None and in_store > cached + WORTH_KEEPING:
            cached = self._restore(slot, kept, in_store)
        else:
            self._rescue(slot, cached if place.source is None else 0)
            self._copy(place, cached)
        self._engine.keep(slot.index, cached)
        slot.content.cut(cached)
        slot.owner = owner
        return slot, cached

    def resume(self, prompt: Tokens, written: Tokens, owner: Any) -> tuple[Slot, int] | None:
        """A free slot that holds this prompt and was left after some of what was written behind it, all but the last
        of which need not be decoded again: says how many."""
        best: tuple[int, Slot] | None = None
        for slot in self.slots if self._engine.grid != NEVER else ():
            content = slot.content
            if (
                slot.owner is None
                and content.written
                and content.solid == len(prompt) == common_prefix(content.tokens, prompt)
            ):
                held = min(common_prefix(content.tokens[len(prompt) :], written), content.written, len(written) - 1)
                if held > 0 and (best is None or held > best[0]):
                    best = held, slot
        if best is None:
            return None
        held, slot = best
        self._engine.keep(slot.index, len(prompt) + held)
        slot.content.tokens = slot.content.tokens[: len(prompt) + held]
        slot.content.written, slot.owner = held, owner
        return slot, held

    def _copy(self, place: Place, cached: int) -> None:
        if place.source is None or not cached:
            return
        origin = place.source.content
        self._engine.copy(place.source.index, place.slot.index, cached)
        place.slot.content = Content(origin.tokens, origin.solid, origin.row, origin.row_at)

    def _restore(self, slot: Slot, kept: Kept, cached: int) -> int:
        self._rescue(slot, 0)
        try:
            self._engine.restore(slot.index, kept.state)
        except EngineError:
            self._store.drop(kept)
            slot.content = Content()
            return 0
        # It stays in the store as well if only its beginning is used: the rest is another conversation's.
        if cached >= kept.content.solid:
            self._store.drop(kept)
        slot.content = Content(kept.content.tokens, kept.content.solid, kept.content.row, kept.content.row_at)
        return cached

    def _rescue(self, slot: Slot, remaining: int) -> None:
        """Save what the slot holds before another conversation takes all but the first `remaining` tokens from it."""
        content = slot.content
        if content.solid - remaining < WORTH_KEEPING or not self._store.takes(1) or self._engine.grid == NEVER:
            return
        self._engine.keep(slot.index, content.solid)
        tokens = content.tokens[: content.solid]
        row = content.row if content.row_at <= content.solid else None
        self._store.put(
            Content(tokens, content.solid, row, content.row_at if row is not None else -1),
            self._engine.save(slot.index),
        )

    def release(self, slot: Slot, tokens: Tokens, *, written: int = 0) -> None:
        """The slot is free; `tokens` is what a follow-up would begin with. How many of them the engine really holds
        does not matter: only the solid ones are used."""
        slot.content.tokens = tokens
        slot.content.solid = min(slot.content.solid, len(tokens))
        slot.content.written = written
        slot.owner, slot.used = None, time.monotonic()

    def read(self, slot: Slot, prompt: Tokens, end: int, row: Row | None) -> None:
        """The engine has read the prompt up to `end`."""
        slot.content.tokens, slot.content.solid = prompt[:end], end
        if row is not None:
            slot.content.row, slot.content.row_at = row, end

    def spoil(self, slot: Slot) -> None:
        """Nobody knows what the slot holds any more."""
        self._engine.keep(slot.index, 0)
        slot.content = Content()

    def forget_all(self) -> None:
        """What was computed is of no use any more (the model's weights were changed)."""
        self._store.clear()
        for slot in self.slots:
            if slot.owner is None:
                self._engine.keep(slot.index, 0)
            slot.content = Content()

    # Reading generated text again while nobody waits, so that the next message pays only for itself

    def unsettled(self) -> Slot | None:
        """A free slot whose last tokens were generated, not read: used again they would give slightly other numbers."""
        grid = self._engine.grid
        for slot in self.slots:
            held = len(slot.content.tokens)
            if (
                slot.owner is None
                and not slot.content.written
                and cut_down(held, held + grid, grid) > slot.content.solid
            ):
                return slot
        return None

    def settling(self, slot: Slot) -> Settling:
        content, grid = slot.content, self._engine.grid
        held = len(content.tokens)
        start = cut_down(content.solid, held, grid)
        end = next_cut(start, held, self._engine.chunk, grid)
        self._engine.keep(slot.index, start)
        tokens = content.tokens[start:end].tolist()
        return Settling(slot, Chunk(slot.index, start, tokens, "none", prompt=True), end)

    def settled(self, work: Settling, *, done: bool) -> None:
        content = work.slot.content
        content.solid = work.end if done else work.chunk.position
        if content.row_at > content.solid:
            content.row, content.row_at = None, -1
