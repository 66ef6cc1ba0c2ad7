"""How likely a text was to the model: log-probability, rank and entropy of each token, the likeliest others beside it.

Pure numpy over a few rows at a time; never holds more than the rows it is given.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from webui.engines.base import Row
from webui.errors import BadValue
from webui.samplers.candidates import largest
from webui.worker.checks import MAX_ALTERNATIVES
from webui.worker.slots import Tokens


def check_top(top: Any) -> int:
    if not isinstance(top, int) or isinstance(top, bool) or not 0 <= top <= MAX_ALTERNATIVES:
        raise BadValue(f"top must be a whole number from 0 to {MAX_ALTERNATIVES}.", param="top")
    return top


class Score:
    """Figures of each token but the first, which nothing comes before."""

    def __init__(self, tokens: Tokens, top: int) -> None:
        self._tokens = tokens
        self._count = top
        self._seen = 0
        self._logprobs: list[float | None] = [None]
        self._ranks: list[int | None] = [None]
        self._entropies: list[float | None] = [None]
        self._top: list[list[tuple[int, float]]] = [[]]

    @property
    def complete(self) -> bool:
        return self._seen == len(self._tokens)

    def add(self, start: int, rows: list[Row]) -> None:
        """The rows after the tokens from `start` on."""
        for place, row in enumerate(rows, start + 1):
            self._seen = place
            if place == len(self._tokens):
                return
            token = int(self._tokens[place])
            logits = row.astype(np.float64)
            logits -= logits.max()
            weights = np.exp(logits)
            total = float(weights.sum())
            self._logprobs.append(float(logits[token]) - math.log(total))
            self._ranks.append(int(np.count_nonzero(row > row[token])) + 1)
            expected = float(np.dot(weights, np.where(weights > 0, logits, 0.0))) / total
            self._entropies.append((math.log(total) - expected) / math.log(2))
            best = largest(row, self._count).tolist() if self._count else []
            self._top.append([(other, float(logits[other]) - math.log(total)) for other in best])

    def figures(self) -> dict[str, Any]:
        """Natural logarithms; entropies in bits."""
        return {"logprobs": self._logprobs, "ranks": self._ranks, "entropies": self._entropies, "top": self._top}
