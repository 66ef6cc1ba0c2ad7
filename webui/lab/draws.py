"""Many draws from one row with one seed: how often each token comes beside how often it should.

The numbers are exactly those that as many runs of the chain would draw one after the other (a test runs them). Knows
nothing of pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from webui.errors import BadValue
from webui.lab.funnel import Situation, script, share_of, tosses_coin
from webui.lab.rows import KeptRow
from webui.samplers.candidates import Candidates, Doubles, Ints
from webui.samplers.chain import Chain

MOST = 1_000_000
MOST_COINS = 8


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that came, or could well have come: its count, its exact probability, and the expected spread."""

    token: int
    count: int
    probability: float
    spread: float


@dataclass(frozen=True, slots=True)
class Draws:
    """`first` is what the very first draw gave: the token a generation with this seed takes. `distance` is half the sum
    of the differences between shares and probabilities (0: the same, 1: nothing in common).
    """

    seed: int
    amount: int
    first: int
    tokens: tuple[Drawn, ...]
    different: int
    distance: float


def draw_many(kept: KeptRow, chain: Chain, situation: Situation, amount: int, *, listed: int = 40) -> Draws:
    """Run the chain `amount` times, as far as the result goes: stages run once for each way their coins can fall."""
    if not 1 <= amount <= MOST:
        raise BadValue(f"The number of draws must be from 1 to {MOST}.", param="amount", code="draws_amount")
    tossers = [stage for stage in chain.plan if tosses_coin(stage)]
    if len(tossers) > MOST_COINS:
        raise BadValue(f"At most {MOST_COINS} XTC stages can be drawn from at once.", param="chain", code="draws_coins")
    chances = np.array([float(stage.values["xtc_probability"]) for stage in tossers])
    state = situation.state(chain)
    numbers = state.random.random((amount, len(tossers) + 1))
    fallen = numbers[:, :-1] < chances
    if situation.coin != "dice":
        fallen[:] = situation.coin == "strike"
    codes = fallen @ (1 << np.arange(len(tossers)))
    picked = np.empty(amount, dtype=np.int64)
    probability = np.zeros(kept.size)
    for code, chance, final in _ways(kept, chain, situation, chances):
        ids = final.ids
        probability[ids] += chance * final.probabilities()
        mine = np.flatnonzero(codes == code)
        picked[mine] = ids[_positions(final, numbers[mine, -1])]
    counts = np.bincount(picked, minlength=kept.size)
    share = counts / amount
    return Draws(
        seed=situation.seed,
        amount=amount,
        first=int(picked[0]),
        tokens=_listed(counts, probability, amount, listed),
        different=int(np.count_nonzero(counts)),
        distance=float(np.abs(share - probability).sum() / 2),
    )


def expected(kept: KeptRow, chain: Chain, situation: Situation, tokens: Ints) -> Doubles:
    """Exact probabilities over all ways the coins can fall."""
    tossers = [stage for stage in chain.plan if tosses_coin(stage)][:MOST_COINS]
    chances = np.array([float(stage.values["xtc_probability"]) for stage in tossers])
    total = np.zeros(len(tokens))
    for _, chance, final in _ways(kept, chain, situation, chances):
        total += chance * share_of(final, tokens)
    return total


def _ways(
    kept: KeptRow, chain: Chain, situation: Situation, chances: Doubles
) -> Iterator[tuple[int, float, Candidates]]:
    """Each way the coins can fall: its number (bit n: coin n struck), its chance, what is left."""
    for code in range(1 << len(chances)):
        struck = np.array([bool(code >> n & 1) for n in range(len(chances))], dtype=np.bool_)
        if situation.coin != "dice":
            if not (struck == (situation.coin == "strike")).all():
                continue
            chance = 1.0
        else:
            chance = math.prod(np.where(struck, chances, 1.0 - chances).tolist())
        if chance <= 0.0:
            continue
        state = situation.state(chain)
        script(state, [0.0 if hit else 1.0 for hit in struck])
        candidates = Candidates.of(kept.row)
        chain.apply(candidates, situation.history(kept.tokens), state, None, situation.guidance)
        yield code, chance, candidates


def _positions(candidates: Candidates, uniforms: Doubles) -> Ints:
    """Where the numbers land when the probabilities are laid side by side; as the chain's own draw does it."""
    cumulative = np.cumsum(candidates.weights(), dtype=np.float64)
    total = cumulative[-1]
    positions = np.searchsorted(cumulative, uniforms * total, side="right")
    return np.asarray(np.minimum(positions, np.searchsorted(cumulative, total, side="left")), dtype=np.int64)


def _listed(counts: NDArray[np.int64], probability: Doubles, amount: int, listed: int) -> tuple[Drawn, ...]:
    """Those most expected or most drawn, likeliest first."""
    some = np.flatnonzero((counts > 0) | (probability > 0))
    weight = np.maximum(counts[some] / amount, probability[some])
    some = some[np.argsort(-weight, kind="stable")[:listed]]
    some = some[np.argsort(-probability[some], kind="stable")]
    return tuple(
        Drawn(
            token=int(token),
            count=int(counts[token]),
            probability=float(probability[token]),
            spread=math.sqrt(amount * float(probability[token]) * max(0.0, 1.0 - float(probability[token]))),
        )
        for token in some
    )
