"""The tokens that are still in the race, with their logits: a set that only shrinks, sorted no more than needed.

The first set is the whole row of the model, in the order of ids, float32 and never written to; every smaller one is
float64. Knows nothing of samplers.
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from webui.errors import BadValue, WebUIError

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SMALL = 2048
"""Up to here sorting everything is as fast as being clever."""

ROUNDING = 2.4e-7
"""Logits are float32: a token exactly on a threshold must not be lost to that."""


class NothingAllowed(WebUIError):
    """No token is left to choose from before the chain even starts."""

    code = "nothing_allowed"


def largest(logits: Floats, k: int) -> Ints:
    """Positions of the k largest, in descending order, equal ones by position. Exact.

    Cut into blocks, the k-th largest of the blocks' maxima cannot be above the k-th largest logit: whatever reaches it
    is a short list that surely holds the k largest.
    """
    count = len(logits)
    if count > SMALL and k * 16 <= count:
        width = min(64, count // (4 * k))
        blocks = count // width
        maxima = logits[: width * blocks].reshape(width, blocks).max(axis=0)
        bound = np.partition(maxima, blocks - k)[blocks - k]
        positions = np.flatnonzero(logits >= bound)
    elif count > SMALL and k < count:
        bound = np.partition(logits, count - k)[count - k]
        positions = np.flatnonzero(logits >= bound)
    else:
        order = np.argsort(-logits, kind="stable")
        return order[:k]
    order = np.argsort(-logits[positions], kind="stable")
    return positions[order[:k]]


class Candidates:
    """What a sampler's function is given. `logits` may be read freely and is replaced, not written to.

    `ids` and `logits` run in parallel; the order is by id, or descending if `is_sorted`.
    """

    __slots__ = ("_ids", "_maximum", "_mean", "_total", "_weights", "is_sorted", "logits", "row_size")

    def __init__(self, logits: Floats, ids: Ints | None = None, *, row_size: int | None = None) -> None:
        self.logits: Floats = logits
        self._ids = ids
        self.is_sorted = False
        self.row_size = len(logits) if row_size is None else row_size
        self._maximum: float | None = None
        self._weights: Floats | None = None
        self._total: float | None = None
        self._mean: float | None = None

    @classmethod
    def of(cls, row: Floats, allowed: Mask | None = None) -> Candidates:
        """All tokens of a row, or those that a constraint allows."""
        if allowed is None:
            candidates = cls(row)
        else:
            if allowed.shape != row.shape:
                raise BadValue("allowed must have one entry for each logit.", param="allowed")
            ids = np.flatnonzero(allowed)
            if len(ids) == 0:
                raise NothingAllowed("The constraint allows no token here; loosen the grammar or schema.")
            candidates = cls(row[ids].astype(np.float64), ids, row_size=len(row))
        if not math.isfinite(candidates.maximum):
            raise BadValue("logits must be numbers, at least one of them finite.", param="logits")
        return candidates

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was removed yet: position and id are then the same."""
        return self._ids is None

    @property
    def ids(self) -> Ints:
        if self._ids is None:
            return np.arange(len(self.logits))
        return self._ids

    def ids_at(self, positions: Ints) -> Ints:
        """The ids at a few positions, without listing all of them."""
        return positions if self._ids is None else self._ids[positions]

    @property
    def maximum(self) -> float:
        if self._maximum is None:
            self._maximum = float(self.logits[0] if self.is_sorted else self.logits.max())
        return self._maximum

    def weights(self) -> Floats:
        """exp(logit - maximum): probabilities before they are divided by `total`."""
        if self._weights is None:
            self._weights = np.exp(self.logits - self.logits.dtype.type(self.maximum))
        return self._weights

    def weights_at(self, positions: Ints) -> Floats:
        """The weights of a few, without working out all of them."""
        if self._weights is not None:
            return self._weights[positions]
        return np.asarray(np.exp(self.logits[positions] - self.logits.dtype.type(self.maximum)))

    @property
    def total(self) -> float:
        if self._total is None:
            self._total = float(self.weights().sum(dtype=np.float64))
        return self._total

    def probabilities(self) -> Doubles:
        """Softmax over the present candidates, in double precision."""
        return self.weights().astype(np.float64) / self.total

    def alive(self) -> int:
        """How many have any probability at all: a banned token stays in the row with a logit of -inf."""
        return int(np.count_nonzero(self.logits > -np.inf))

    def entropy(self) -> float:
        """In nats, of the present candidates."""
        if self._mean is None:
            self._mean = self._products(self.weights(), self.logits)
        return max(0.0, math.log(self.total) - self._mean / self.total)

    def _products(self, weights: Floats, logits: Floats) -> float:
        """Sum of weight times distance from the best."""
        with np.errstate(invalid="ignore"):
            products = weights * (logits - logits.dtype.type(self.maximum))
        total = float(products.sum(dtype=np.float64))
        if math.isnan(total):  # 0 · -inf, of dead tokens
            total = float(products[weights > 0].sum(dtype=np.float64))
        return total

    def inherit(self, before: Candidates) -> None:
        """Take over what was worked out for the same row before a few of its logits changed. For traces, which need it
        at every stage; a run works everything out anew, so that tracing cannot change a rounding."""
        same_row = self.is_whole and before.is_whole and self.logits.dtype == before.logits.dtype
        if not same_row or self._weights is not None or before._mean is None or self.maximum != before.maximum:
            return
        changed = np.flatnonzero(self.logits != before.logits)
        if len(changed) * 16 > len(self):
            return
        old, new = before.weights_at(changed), self.weights_at(changed)
        self._total = before.total + float((new - old).sum(dtype=np.float64))
        self._mean = before._mean - before._products(old, before.logits[changed])
        self._mean += self._products(new, self.logits[changed])

    def copy(self) -> Candidates:
        other = Candidates(self.logits, self._ids, row_size=self.row_size)
        other.is_sorted = self.is_sorted
        other._maximum, other._weights, other._total = self._maximum, self._weights, self._total
        other._mean = self._mean
        return other

    # What a stage may do to them

    def replace(self, logits: Floats, *, is_sorted: bool | None = None) -> None:
        """New logits for the same tokens; `is_sorted` says whether the order still holds (as before, unless told)."""
        self.logits = logits
        self._maximum = self._weights = self._total = self._mean = None
        self.is_sorted = self.is_sorted if is_sorted is None else is_sorted

    def take(self, positions: Ints | Mask, *, is_sorted: bool = False) -> None:
        """Keep only these positions. A boolean mask keeps the order; never leaves nothing: the best one stays."""
        if positions.dtype == np.bool_:
            is_sorted = self.is_sorted
        places = np.flatnonzero(positions) if positions.dtype == np.bool_ else cast(Ints, positions)
        if len(places) == 0:
            places = np.array([int(self.logits.argmax())])
        self._ids = places if self._ids is None else self._ids[places]
        self.logits = self.logits[places].astype(np.float64)
        self.is_sorted = is_sorted or len(places) == 1
        self._maximum = self._weights = self._total = self._mean = None

    def head(self, k: int) -> Ints:
        """Positions of the k likeliest, in descending order."""
        if self.is_sorted:
            return np.arange(min(k, len(self)))
        return largest(self.logits, min(k, len(self)))

    def sort(self) -> None:
        if not self.is_sorted:
            self.take(self.head(len(self)), is_sorted=True)

    def keep_best(self, k: int) -> None:
        """The k likeliest, sorted."""
        if k < len(self) or not self.is_sorted:
            self.take(self.head(max(1, k)), is_sorted=True)

    def keep_above(self, logit: float, least: int = 1) -> None:
        """Those whose logit reaches a threshold (give or take the rounding of float32), and the best `least` anyway."""
        logit -= ROUNDING * max(1.0, abs(self.maximum))
        if self.is_sorted:
            count = max(int(np.searchsorted(-self.logits, -logit, side="right")), least, 1)
            if count < len(self):
                self.take(np.arange(count), is_sorted=True)
            return
        mask = self.logits >= logit
        count = int(np.count_nonzero(mask))
        if count < least:
            self.keep_best(least)
        elif count < len(self):
            self.take(mask)

    def keep_likelier(self, probability: float, least: int = 1) -> None:
        """Those with at least this probability, and the best `least` anyway."""
        if probability > 0:
            self.keep_above(self.maximum + math.log(probability * self.total), least)

    def keep_prefix(
        self, mass: float, least: int = 1, *, crossing: bool = True, reaching: bool = True, score: Floats | None = None
    ) -> None:
        """The smallest set of likeliest tokens (or of highest `score`) whose probability reaches `mass`.

        Looks at ever more of the likeliest, so that a peaked row is never sorted whole. Without `crossing` the token
        that crosses the limit is left out; without `reaching` the limit must be passed, not only reached.
        """
        weights, target = self.weights(), mass * self.total
        k = 256
        while True:
            positions = self.head(k) if score is None else largest(score, k)
            cumulative = np.cumsum(weights[positions], dtype=np.float64)
            if cumulative[-1] > target or len(positions) == len(self):
                break
            k *= 16
        side: Literal["left", "right"] = "left" if reaching and crossing else "right"
        count = int(np.searchsorted(cumulative, target, side=side)) + crossing
        count = max(1, least, min(count, len(positions)))
        if count > len(positions):
            positions = self.head(count) if score is None else largest(score, count)
        if count < len(self):
            positions = positions[:count]
            self.take(positions if score is None else np.sort(positions), is_sorted=score is None)

    def drop(self, tokens: NDArray[np.integer[Any]]) -> None:
        """Take these tokens out of the race; if none would remain, the best one stays."""
        positions, there = self.find(tokens)
        if not there.any():
            return
        before = self.copy()
        self.put(positions[there], np.full(int(there.sum()), -np.inf))
        if self.maximum == -np.inf:
            before.keep_best(1)
            self._ids, self.logits = before._ids, before.logits
            self.replace(before.logits, is_sorted=True)

    def find(self, tokens: NDArray[np.integer[Any]]) -> tuple[Ints, Mask]:
        """Positions of tokens, and which of them are still candidates (the positions of the others mean nothing)."""
        if self._ids is None:
            there = (tokens >= 0) & (tokens < len(self))
            return np.where(there, tokens, 0), there
        order = None if not self.is_sorted and bool(np.all(self._ids[:-1] < self._ids[1:])) else np.argsort(self._ids)
        sorted_ids = self._ids if order is None else self._ids[order]
        places = np.searchsorted(sorted_ids, tokens)
        places = np.minimum(places, len(sorted_ids) - 1)
        there = sorted_ids[places] == tokens
        return (places if order is None else order[places]), there

    def put(self, positions: Ints, logits: Floats) -> None:
        """New logits for a few positions."""
        if len(positions):
            changed = self.logits.copy()
            changed[positions] = logits
            self.replace(changed, is_sorted=False)
