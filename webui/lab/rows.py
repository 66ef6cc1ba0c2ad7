"""Rows of logits that are kept, so that a slider never asks the model again.

A row knows its tokens and its own distribution; knows nothing of chains, texts or who asks. The cache is an object that
is passed down, bounded in bytes.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.errors import BadValue
from webui.samplers.candidates import Doubles, Ints, largest
from webui.samplers.state import Row

HEAD = 4096
CACHE_BYTES = 256 << 20
CURVE_POINTS = 160


@dataclass(frozen=True, slots=True, eq=False)
class KeptRow:
    """A model's view of the token after `tokens`. `head` are the likeliest tokens, best first; `rest_mass` is the exact
    probability of all the others together; `curve` is (rank, probability) over the whole vocabulary.
    """

    id: str
    model: str
    tokens: tuple[int, ...]
    row: Row
    maximum: float
    total: float
    entropy: float
    head: Ints
    rest_count: int
    rest_mass: float
    curve: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, model: str, tokens: Sequence[int], logits: NDArray[np.floating[Any]]) -> KeptRow:
        row = np.array(logits, dtype=np.float32)
        row.flags.writeable = False
        if row.ndim != 1 or not len(row) or np.isnan(row).any() or not math.isfinite(float(row.max())):
            raise BadValue("A row must be numbers, at least one of them finite.", param="row", code="bad_row")
        maximum = float(row.max())
        weights = np.exp(row.astype(np.float64) - maximum)
        total = float(weights.sum())
        head = largest(row, min(HEAD, len(row)))
        descending = np.sort(weights)[::-1] / total
        alive = int(np.count_nonzero(descending))
        present = descending[:alive]
        entropy = float(-(present * np.log2(present)).sum())
        rest_mass = float(descending[len(head) :].sum())
        ranks = np.unique(np.geomspace(1, max(1, alive), CURVE_POINTS).round().astype(np.int64))
        curve = tuple(zip(ranks.tolist(), descending[ranks - 1].tolist(), strict=True))
        kept = tuple(int(token) for token in tokens)
        rest = len(row) - len(head)
        return cls(
            row_id(model, kept), model, kept, row, maximum, total, max(0.0, entropy), head, rest, rest_mass, curve
        )

    @property
    def size(self) -> int:
        return len(self.row)

    @property
    def nbytes(self) -> int:
        return int(self.row.nbytes + self.head.nbytes + 64 * len(self.curve) + 32 * len(self.tokens))

    def raw(self, tokens: Ints) -> Doubles:
        """The model's own probabilities."""
        return np.asarray(np.exp(self.row[tokens].astype(np.float64) - self.maximum) / self.total)

    def rank(self, token: int) -> int:
        """From 1; of equally likely tokens the one with the smaller id comes first, as everywhere here."""
        logit = self.row[token]
        ahead = int(np.count_nonzero(self.row > logit)) + int(np.count_nonzero(self.row[:token] == logit))
        return ahead + 1


def row_id(model: str, tokens: Sequence[int]) -> str:
    """The same model and tokens always give the same row, so they are its name."""
    digest = hashlib.blake2b(model.encode(), digest_size=16)
    digest.update(b"\0" + np.asarray(tokens, dtype=np.int64).tobytes())
    return digest.hexdigest()


class RowCache:
    """The rows last used, at most `limit` bytes of them. May be used from several threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._rows: OrderedDict[str, KeptRow] = OrderedDict()
        self._bytes = 0
        self._shared = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: str) -> KeptRow | None:
        with self._lock:
            if name in self._rows:
                self._rows.move_to_end(name)
            return self._rows.get(name)

    def put(self, row: KeptRow) -> KeptRow:
        """Keep it; what was not used for longest makes room. A row above the limit is simply not kept."""
        with self._lock:
            old = self._rows.pop(row.id, None)
            self._bytes += row.nbytes - (old.nbytes if old else 0)
            self._rows[row.id] = row
            self._make_room()
        return row

    def share(self, used: int) -> None:
        """`used` bytes of the limit are taken by what others keep; rows make room for it."""
        with self._lock:
            self._shared = used
            self._make_room()

    def _make_room(self) -> None:
        while self._rows and self._bytes + self._shared > self._limit:
            _, gone = self._rows.popitem(last=False)
            self._bytes -= gone.nbytes
