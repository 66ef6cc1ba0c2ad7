"""The big picture as plain data: tokens by rank with the model's and the final probability, what cut them, the limit of
the stage that is looked at, and all others, so that it adds up to 100 %.

Knows nothing of colours, texts or pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from webui.lab.funnel import Funnel, StageView, share_of
from webui.lab.rows import KeptRow
from webui.samplers.candidates import Doubles, Ints, largest

Order = Literal["raw", "final"]
MOST = 2000


@dataclass(frozen=True, slots=True)
class Bar:
    """A token: `rank` is the model's own; `seen` is its probability as the chosen stage was given it (else raw)."""

    token: int
    rank: int
    raw: float
    seen: float
    final: float
    cut_by: int


@dataclass(frozen=True, slots=True)
class Others:
    """All tokens that have no bar of their own, together."""

    count: int
    alive: int
    raw: float
    seen: float
    final: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Where the chosen stage cuts: at a probability as it was given them, or after a number of tokens."""

    kind: Literal["probability", "rank"]
    value: float


@dataclass(frozen=True, slots=True)
class Picture:
    bars: tuple[Bar, ...]
    others: Others
    limit: Limit | None
    focus: int


def picture(funnel: Funnel, *, shown: int = 40, order: Order = "raw", focus: int = -1) -> Picture:
    """The likeliest `shown` tokens; `focus` is the place of the stage that is looked at, or -1."""
    tokens = _chosen(funnel, min(max(1, shown), MOST), order)
    stage = next((stage for stage in funnel.stages if stage.index == focus and not stage.off), None)
    raw = funnel.row.raw(tokens)
    seen = share_of(stage.before, tokens) if stage else raw
    final = funnel.final_probabilities(tokens)
    cut = funnel.cut_by(tokens)
    ranks = ranks_of(funnel.row, tokens)
    columns = (tokens.tolist(), ranks, raw.tolist(), seen.tolist(), final.tolist(), cut.tolist())
    bars = tuple(Bar(*values) for values in zip(*columns, strict=True))
    others = Others(
        count=funnel.row.size - len(bars),
        alive=funnel.final_count - int(np.count_nonzero(cut < 0)),
        raw=_rest(raw, funnel.start_count),
        seen=_rest(seen, stage.tokens_in if stage else funnel.start_count),
        final=_rest(final, funnel.final_count),
    )
    return Picture(bars, others, limit_of(stage) if stage else None, stage.index if stage else -1)


def _rest(shares: Doubles, alive: int) -> float:
    """What is missing to 1; nothing at all if everybody who is alive is shown, whatever float32 left over."""
    return 0.0 if np.count_nonzero(shares) >= alive else max(0.0, 1.0 - math.fsum(shares.tolist()))


def _chosen(funnel: Funnel, shown: int, order: Order) -> Ints:
    row = funnel.row
    if order == "raw":
        return row.head[:shown] if shown <= len(row.head) else largest(row.row, shown)
    best = funnel.final.ids[funnel.final.head(min(shown, len(funnel.final)))]
    missing = shown - len(best)
    if missing <= 0:
        return best
    others = row.head[~np.isin(row.head, best)][:missing]
    return np.concatenate([best, others])


def ranks_of(row: KeptRow, tokens: Ints) -> list[int]:
    """The model's own ranks; those of the head are known, the rest are counted."""
    places = {token: place + 1 for place, token in enumerate(row.head.tolist())}
    return [places.get(token) or row.rank(token) for token in tokens.tolist()]


def limit_of(stage: StageView) -> Limit | None:
    """What the stage cut at. Stages that say so are believed; others are read off what they left, if it is a prefix."""
    notes, before = stage.notes, stage.before
    if "threshold_logit" in notes and stage.sampler != "top_k":
        logit = float(notes["threshold_logit"])
        return Limit("probability", math.exp(min(0.0, logit - before.maximum)) / before.total)
    if "threshold" in notes:
        return Limit("probability", min(1.0, float(notes["threshold"])))
    if stage.sampler == "xtc":
        return Limit("probability", float(stage.values["xtc_threshold"]))
    if stage.tokens_out < stage.tokens_in and _is_prefix(stage):
        return Limit("rank", stage.tokens_out)
    return None


def _is_prefix(stage: StageView) -> bool:
    """Whether exactly the likeliest tokens were kept."""
    if len(stage.after) == len(stage.before):
        return False
    positions, there = stage.before.find(stage.after.ids)
    lowest = stage.before.logits[positions[there]].min()
    return int(np.count_nonzero(stage.before.logits > lowest)) < len(stage.after)
