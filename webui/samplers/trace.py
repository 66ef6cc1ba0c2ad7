"""What a run can tell about itself: in full (`Trace`, for the Logits tab) or in a few numbers a token (`CompactTrace`).

A trace looks at the candidates and never changes them, nor what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from webui.samplers.candidates import Candidates, Ints, largest
from webui.samplers.chain import Draw, Stage
from webui.samplers.state import Alternative, Figures, Row

LISTED_CUTS = 50


@dataclass(slots=True)
class StageTrace:
    """What one stage did. `mass` is the share of the probability before it that its survivors had; entropies in bits.

    `cut` lists the likeliest tokens it removed with their probability before it, `cut_count` and `cut_mass` count all.
    `rank` and `probability` follow the token that was chosen in the end: where it stood after this stage.
    """

    index: int
    sampler: str
    values: Mapping[str, Any]
    notes: Mapping[str, Any]
    survivors: int
    mass: float
    entropy_before: float
    entropy_after: float
    cut: tuple[tuple[int, float], ...]
    cut_count: int
    cut_mass: float
    after: Candidates
    rank: int = 0
    probability: float = 0.0

    @property
    def rest_count(self) -> int:
        return self.cut_count - len(self.cut)

    @property
    def rest_mass(self) -> float:
        return max(0.0, self.cut_mass - math.fsum(p for _, p in self.cut))


@dataclass(slots=True)
class Trace:
    """The whole story of one run. Filled by Chain.run; use one for each run."""

    start: Candidates | None = None
    stages: list[StageTrace] = field(default_factory=list)
    draw: Draw | None = None
    token: int = -1
    probability: float = 0.0
    raw_rank: int = 0
    raw_probability: float = 0.0
    _before: Candidates | None = None
    _entropy: float = 0.0

    def begin(self, row: Row, candidates: Candidates) -> None:
        self.start = self._before = candidates.copy()
        self._entropy = bits(self.start.entropy())

    def before(self, stage: Stage, candidates: Candidates) -> None:
        pass

    def after(self, stage: Stage, candidates: Candidates, notes: Mapping[str, Any]) -> None:
        before, after = self._before, candidates.copy()
        assert before is not None, "begin() comes first"
        self._before = after
        after.inherit(before)
        gone = removed(before, after)
        weights, total = before.weights_at(gone), before.total
        listed = gone[largest(before.logits[gone], min(LISTED_CUTS, len(gone)))] if len(gone) else gone
        cut_mass = float(weights.sum(dtype=np.float64)) / total
        entropy_before, self._entropy = self._entropy, bits(after.entropy())
        self.stages.append(
            StageTrace(
                index=stage.index,
                sampler=stage.sampler.name,
                values=stage.values,
                notes=notes,
                survivors=after.alive(),
                mass=1.0 - cut_mass,
                entropy_before=entropy_before,
                entropy_after=self._entropy,
                cut=tuple(
                    zip(before.ids_at(listed).tolist(), (before.weights_at(listed) / total).tolist(), strict=True)
                ),
                cut_count=len(gone),
                cut_mass=cut_mass,
                after=after,
            )
        )

    def end(self, token: int, probability: float, draw: Draw) -> Figures | None:
        assert self.start is not None, "begin() comes first"
        self.token, self.probability, self.draw = token, probability, draw
        self.raw_rank, self.raw_probability = standing(self.start, token)
        for stage in self.stages:
            stage.rank, stage.probability = standing(stage.after, token)
        return None


class CompactTrace:
    """The model's own view of the chosen token and of the `count` likeliest others, cheap enough for every token.

    Can be used again for the next token.
    """

    __slots__ = ("_cut_by", "_entropy", "_maximum", "_row", "_size", "_top", "_total", "count")

    def __init__(self, count: int = 5) -> None:
        self.count = count

    def begin(self, row: Row, candidates: Candidates) -> None:
        # A copy: what is worked out here must not change a rounding in the run itself.
        whole = candidates.copy() if candidates.is_whole else Candidates.of(row)
        self._row = row
        self._total, self._maximum, self._entropy = whole.total, whole.maximum, bits(whole.entropy())
        self._top = whole.head(self.count) if self.count else np.empty(0, dtype=np.int64)
        self._cut_by: dict[int, int] = {}
        self._size = len(row)
        self._look(-1, candidates)

    def before(self, stage: Stage, candidates: Candidates) -> None:
        pass

    def after(self, stage: Stage, candidates: Candidates, notes: Mapping[str, Any]) -> None:
        self._look(stage.index, candidates)

    def _look(self, index: int, candidates: Candidates) -> None:
        """Note which of the tokens followed have just lost all chance."""
        if len(candidates) == self._size and not candidates.is_whole:
            return
        self._size = len(candidates)
        positions, there = candidates.find(self._top)
        there &= candidates.logits[positions] > -np.inf
        for token in self._top[~there].tolist():
            self._cut_by.setdefault(token, index)

    def end(self, token: int, probability: float, draw: Draw) -> Figures | None:
        logits = self._row[self._top].astype(np.float64)
        raw = np.exp(logits - self._maximum) / self._total
        candidates = draw.candidates
        positions, there = candidates.find(self._top)
        final = np.where(there, candidates.weights_at(positions) / candidates.total, 0.0)
        chosen = float(self._row[token])
        return Figures(
            raw=math.exp(chosen - self._maximum) / self._total,
            final=probability,
            rank=int(np.count_nonzero(self._row > self._row[token])) + 1,
            entropy=self._entropy,
            alternatives=tuple(
                Alternative(t, r, f, self._cut_by.get(t))
                for t, r, f in zip(self._top.tolist(), raw.tolist(), final.tolist(), strict=True)
            ),
        )


def bits(nats: float) -> float:
    return nats / math.log(2)


def removed(before: Candidates, after: Candidates) -> Ints:
    """Positions in `before` of what had a chance there and has none in `after`."""
    dead = after.logits == -np.inf
    if len(before) == len(after) and not dead.any():
        return np.empty(0, dtype=np.int64)
    if after.is_whole:
        return np.flatnonzero(dead & (before.logits > -np.inf))
    alive = np.zeros(before.row_size, dtype=np.bool_)
    alive[after.ids[~dead]] = True
    lost = ~alive if before.is_whole else ~alive[before.ids]
    return np.flatnonzero(lost & (before.logits > -np.inf))


def standing(candidates: Candidates, token: int) -> tuple[int, float]:
    """Rank (from 1; 0 if it is gone) and probability of a token."""
    position, there = candidates.find(np.array([token]))
    if not there[0]:
        return 0, 0.0
    logit = candidates.logits[position[0]]
    rank = int(np.count_nonzero(candidates.logits > logit)) + 1
    return rank, float(candidates.weights_at(position)[0]) / candidates.total
