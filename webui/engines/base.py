"""What the scheduler asks of an engine, and nothing more. An engine knows tokens and logits; no samplers, no requests, no text limits.

One thread calls an engine; only `abort` may be read from another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from webui.types import ModelInfo

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one slot to decode in the next batch, starting at `position`; `rows` says whose logits are wanted."""

    slot: int
    position: int
    tokens: Sequence[int]
    rows: Literal["none", "last", "all"] = "last"


class EngineError(Exception):
    """The engine refused a batch; the message is the engine's own."""


class Aborted(EngineError):
    """The batch was broken off because `abort` said so; the slots of the batch must be cut back to what they held."""


class Engine(Protocol):
    info: ModelInfo

    def tokenize(self, text: str, *, add_bos: bool, special: bool) -> list[int]: ...

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; control tokens are empty unless `special`."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        ...

    def decode(self, chunks: Sequence[Chunk]) -> list[Row]:
        """Run one batch (at most info.slots chunks, together at most n_batch tokens).

        Returns the rows asked for, in order; views that are valid until the next decode.
        """
        ...

    def keep(self, slot: int, length: int) -> None:
        """Forget everything of the slot after its first `length` tokens."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Make `target` hold the first `length` tokens of `source`."""
        ...

    def save(self, slot: int) -> bytes: ...

    def restore(self, slot: int, state: bytes) -> None: ...

    def close(self) -> None: ...


Progress = Callable[[float], bool]
"""Called while loading with 0..1; returns False to cancel."""

Opener = Callable[[dict[str, Any], Progress, Callable[[], bool]], Engine]
