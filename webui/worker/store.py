"""Idle conversations kept in RAM: a request that takes their slot does not make them pay for their prompt again.

Holds the engine's own bytes for a sequence; the least recently used go when the limit is reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.worker.slots import Content, Tokens, common_prefix


@dataclass(slots=True, eq=False)
class Kept:
    content: Content
    state: bytes


class Store:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[Kept] = []
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    def __len__(self) -> int:
        return len(self._kept)

    def takes(self, size: int) -> bool:
        return 0 < size <= self._limit

    def put(self, content: Content, state: bytes) -> None:
        """Keep a conversation; what it continues is kept no longer."""
        for other in list(self._kept):
            if common_prefix(other.content.tokens, content.tokens) == len(other.content.tokens):
                self.drop(other)
        if not self.takes(len(state)):
            return
        while self._size + len(state) > self._limit:
            self.drop(self._kept[0])
        self._kept.append(Kept(content, state))
        self._size += len(state)

    def best(self, prompt: Tokens, grid: int) -> tuple[Kept | None, int]:
        """The conversation that shares most with a prompt, and how many tokens of it can be used."""
        found, usable = None, 0
        for kept in self._kept:
            shared = kept.content.usable(prompt, grid)
            if shared > usable:
                found, usable = kept, shared
        return found, usable

    def drop(self, kept: Kept) -> None:
        self._kept.remove(kept)
        self._size -= len(kept.state)

    def clear(self) -> None:
        self._kept.clear()
        self._size = 0
