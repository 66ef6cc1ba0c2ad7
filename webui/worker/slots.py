"""What each slot of the engine holds, and which slot a prompt should take to find most of itself already read.

Knows token ids and lengths; nothing of text, chains or frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.engines.base import ANYWHERE, NEVER, Row

Tokens = NDArray[np.int32]


def common_prefix(one: Tokens, other: Tokens) -> int:
    """How many tokens two sequences share from the start."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    place = int(differs.argmax()) if length else 0
    return place if length and differs[place] else length


def as_tokens(tokens: Sequence[int] | Tokens) -> Tokens:
    return np.asarray(tokens, dtype=np.int32)


@dataclass(slots=True)
class Content:
    """Tokens whose keys and values are held somewhere. The first `solid` of them were read as a prompt, on the grid:
    only these may be used again, because a token that was generated leaves slightly other numbers than one read.

    `row` holds the logits after the first `row_at` tokens, if they are known. `written` tokens after the solid ones
    were decoded one by one for a job that only wants rows: another such job may go on from them.
    """

    tokens: Tokens = field(default_factory=lambda: as_tokens([]))
    solid: int = 0
    row: Row | None = None
    row_at: int = -1
    written: int = 0

    def usable(self, prompt: Tokens, grid: int) -> int:
        """How much of the prompt need not be read again."""
        if grid == NEVER:
            return 0
        common = min(common_prefix(self.tokens, prompt), self.solid)
        if common == len(prompt) == self.row_at and self.row is not None:
            return common
        return cut_down(min(common, len(prompt) - 1), len(prompt), grid)

    def cut(self, length: int) -> None:
        self.tokens = self.tokens[:length]
        self.written = 0
        self.solid = min(self.solid, length)
        if self.row_at > length:
            self.row, self.row_at = None, -1


def cut_down(place: int, length: int, grid: int) -> int:
    """The last place up to `place` where the reading of `length` tokens may be broken off and taken up again."""
    if grid == ANYWHERE:
        place = min(place, length - 2)
        return place if place >= 2 else 0
    return place // grid * grid


def next_cut(start: int, length: int, chunk: int, grid: int) -> int:
    """Where the chunk that starts at `start` ends."""
    if grid != ANYWHERE:
        return min(length, (start // chunk + 1) * chunk)
    end = min(length, start + chunk)
    return end - 1 if length - end == 1 else end


@dataclass(slots=True, eq=False)
class Slot:
    """One of the engine's sequences. `owner` is whoever works in it now."""

    index: int
    content: Content = field(default_factory=Content)
    owner: Any = None
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prompt goes: the slot, how much of it is there already, and from where it must be copied first."""

    slot: Slot
    cached: int
    source: Slot | None = None


COPYING = 48
"""What copying a sequence costs, in tokens that could be read meanwhile."""


def choose(slots: Sequence[Slot], prompt: Tokens, grid: int, copying: float = COPYING) -> Place | None:
    """The free slot in which the prompt costs least: tokens still to read, copying, and what would be lost of another
    conversation (the less, the longer ago it was used). None if no slot is free."""
    free = sorted((slot for slot in slots if slot.owner is None), key=lambda slot: (slot.used, slot.index))
    if not free:
        return None
    shared = [slot.content.usable(prompt, grid) for slot in slots]
    source = max(slots, key=lambda slot: shared[slot.index])
    best: tuple[float, Place] | None = None
    for age, slot in enumerate(free):
        held = len(slot.content.tokens)
        loss = 0.02 + 0.1 * age / len(free)
        for origin in (slot, source):
            cached = shared[origin.index]
            lost = held - cached if origin is slot else held + copying / loss
            cost = len(prompt) - cached + loss * lost
            if best is None or cost < best[0]:
                best = cost, Place(slot, cached, origin if origin is not slot else None)
    return best[1] if best else None
