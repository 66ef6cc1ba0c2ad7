"""What the scheduler asks of an engine, and nothing more. An engine knows tokens and logits; no samplers, no requests,
no text limits.

One thread calls an engine. Only `tokenize`, `piece` and `is_end` may be called from others (they read the vocabulary,
which never changes), and the `AbortFlag` given at opening may be set from anywhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from webui.types import LoadSpec, ModelInfo

Row = NDArray[np.float32]

Wanted = Literal["none", "last", "all"]

ANYWHERE = 2
NEVER = 1 << 30


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one slot to decode in the next batch, starting at `position`; `rows` says whose logits are wanted.

    `prompt` tells tokens that were given from tokens that were generated.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    rows: Wanted = "last"
    prompt: bool = False


class EngineError(Exception):
    """The engine refused a batch; the message is the engine's own."""


class Aborted(EngineError):
    """The batch was broken off because the flag was set; the slots of the batch must be cut back to what they held."""


class AbortFlag:
    """A flag another thread sets to break off the running batch. Two bytes, so that native code can read it too."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(2)

    @property
    def address(self) -> int:
        return ctypes.addressof(self._bytes)

    def set(self) -> None:
        self._bytes[0] = b"\x01"

    def clear(self) -> None:
        self._bytes[0] = b"\x00"

    def __bool__(self) -> bool:
        return self._bytes[0] != b"\x00"


class Engine(Protocol):
    info: ModelInfo
    max_rows: int
    """How many rows of logits one batch can give; a batch must not ask for more."""
    chunk: int
    """How many tokens of a prompt are read at once at most: between two chunks others get their tokens."""
    grid: int
    """Where a prompt may be cut without changing a bit of what is computed: at multiples of this, counted from position
    0. ANYWHERE: at every place, so long as no chunk is a single token. NEVER: the model keeps one running state, so
    that a slot can be continued or emptied, but not cut back."""
    fills_cores: bool
    """Whether it computes on every core of the machine: whoever works beside it then takes time from the next token."""

    def tokenize(self, text: str, *, add_bos: bool, special: bool) -> list[int]: ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; control tokens are empty unless `special`."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        ...

    def decode(self, chunks: Sequence[Chunk]) -> list[Row]:
        """Run one batch (at most one chunk a slot, together at most the spec's n_batch tokens).

        Returns the rows asked for, in order; views that are valid until the next decode.
        """
        ...

    def keep(self, slot: int, length: int) -> None:
        """Forget everything of the slot after its first `length` tokens."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Make `target` hold the first `length` tokens of `source`."""
        ...

    def save(self, slot: int) -> bytes:
        """What the slot holds, to be given to `restore` later, for any slot of the same engine."""
        ...

    def restore(self, slot: int, state: bytes) -> None: ...

    def set_adapters(self, scales: Mapping[str, float]) -> None:
        """Change the scales of the adapters that were loaded, by the path they were loaded from; 0 switches one off."""
        ...

    def embedder(self, n_ctx: int) -> Embedder:
        """Something that makes vectors of texts of up to `n_ctx` tokens; whoever asks closes it.

        WebUIError "embeddings_not_supported" if this model cannot."""
        ...

    def close(self) -> None: ...


Pooling = Literal["mean", "first", "last"]
"""Which of a text's vectors stand for the whole: their mean, or one of them."""


class Embedder(Protocol):
    """One text after another, in pieces of at most `chunk` tokens; the engine's slots never notice."""

    size: int
    n_ctx: int
    chunk: int
    pooling: Pooling

    def read(self, tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        """The vectors of these tokens, one a row; position 0 begins a new text. Aborted if the engine's flag was set:
        the next text begins anew."""
        ...

    def close(self) -> None: ...


Progress = Callable[[float], bool]
"""Called while loading with 0..1; returns False to cancel."""

Opener = Callable[[LoadSpec, Progress, AbortFlag], Engine]
"""Opens a model. Raises LoadFailed with a sentence, LoadCancelled when `Progress` said so."""
