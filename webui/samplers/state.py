"""What a generation carries from token to token: the history, the one source of randomness, the stages' memories.

Knows nothing of the samplers themselves or of any model; what they may ask about the vocabulary is `Vocabulary`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.floating[Any]]
"""What an engine gives is float32; double precision is welcome too."""
Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """What samplers may ask about tokens. Only those that work on text (DRY) call `pieces` and `tokenize`."""

    size: int = 0
    end_ids: tuple[int, ...] = ()
    newline_ids: tuple[int, ...] = ()
    pieces: Callable[[int], bytes] | None = None
    tokenize: Callable[[str], Sequence[int]] | None = None
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What samplers worked out about this vocabulary once (DRY: which tokens are part of a breaker)."""


class History:
    """The tokens so far, prompt first, in one growing buffer; `tokens` is a view of it."""

    __slots__ = ("_buffer", "_length", "prompt_length")

    def __init__(self, prompt: Sequence[int] | NDArray[np.integer[Any]] = ()) -> None:
        start = np.asarray(prompt, dtype=np.int32)
        self._buffer = np.empty(max(256, 2 * len(start)), dtype=np.int32)
        self._buffer[: len(start)] = start
        self._length = self.prompt_length = len(start)

    def __len__(self) -> int:
        return self._length

    @property
    def tokens(self) -> Tokens:
        return self._buffer[: self._length]

    def append(self, token: int) -> None:
        if self._length == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        self._buffer[self._length] = token
        self._length += 1

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` tokens."""
        self._length = max(0, min(length, self._length))

    def last(self, count: int) -> Tokens:
        """The last tokens; 0 means all of them."""
        return self.tokens if count <= 0 else self.tokens[-count:]

    def copy(self) -> History:
        other = History(self.tokens)
        other.prompt_length = self.prompt_length
        return other


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have been chosen. `cut_by` is the place in the chain of the stage that removed it, or None."""

    token: int
    raw: float
    final: float
    cut_by: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """A compact record of a token: the model's own view (`raw`, `rank` from 1, `entropy` in bits) and the chain's."""

    raw: float
    final: float
    rank: int
    entropy: float
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """The token the chain chose and its final probability. `figures` is there if a compact trace was asked for."""

    token: int
    probability: float
    commits: tuple[tuple[int, Callable[[int], Any]], ...] = ()
    figures: Figures | None = None


class State:
    """Everything random or remembered about one generation. `seed` is the seed in use, also if -1 asked for any."""

    __slots__ = ("memory", "random", "seed", "vocabulary")

    def __init__(self, seed: int = -1, vocabulary: Vocabulary | None = None) -> None:
        self.seed = seed if seed >= 0 else secrets.randbelow(1 << 31)
        self.random = np.random.Generator(np.random.PCG64(self.seed))
        self.vocabulary = vocabulary or Vocabulary()
        self.memory: dict[int, Any] = {}

    def accept(self, pick: Pick) -> None:
        """The pick was used: stages that learn from it (mirostat, adaptive-p) do so now."""
        for index, commit in pick.commits:
            self.memory[index] = commit(pick.token)

    def copy(self) -> State:
        """For rewinding: an equal state that goes its own way."""
        other = State(self.seed, self.vocabulary)
        other.random.bit_generator.state = self.random.bit_generator.state
        other.memory = dict(self.memory)
        return other


class Context:
    """What a stage can see beside the candidates. `memory` is its own; `notes` collects what a trace shows of it."""

    __slots__ = ("guidance", "history", "memory", "notes", "random", "vocabulary")

    def __init__(self, history: History, state: State, guidance: Row | None, tracing: bool) -> None:
        self.history = history
        self.random = state.random
        self.vocabulary = state.vocabulary
        self.guidance = guidance
        self.memory: Any = None
        self.notes: dict[str, Any] | None = {} if tracing else None

    def note(self, **facts: Any) -> None:
        """Numbers worked out on the way (a threshold, the temperature in force), kept only for a trace."""
        if self.notes is not None:
            self.notes.update(facts)
