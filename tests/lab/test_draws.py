from __future__ import annotations

import numpy as np
import pytest

from tests.lab.reference import example_row
from webui.errors import BadValue
from webui.lab.draws import draw_many, expected
from webui.lab.funnel import Situation
from webui.lab.rows import KeptRow
from webui.samplers import Chain, History, State

KEPT = KeptRow.of("m", (4, 8, 4), example_row(800))
CHAINS = {
    "plain": [["temperature", {"temperature": 1.3}], ["min_p", {"min_p": 0.01}]],
    "xtc": [["top_k", {"top_k": 30}], ["xtc", {"xtc_threshold": 0.05, "xtc_probability": 0.4}]],
    "two coins": [
        ["xtc", {"xtc_threshold": 0.1, "xtc_probability": 0.3}],
        ["temperature", {"temperature": 2.0}],
        ["xtc", {"xtc_threshold": 0.02, "xtc_probability": 0.7}],
    ],
    "expectation": [["xtc", {"flavour": "exllama"}], ["skew", {"skew": 0.3}]],
    "greedy": [["temperature", {"temperature": 0.0}]],
    "nothing": [],
}


@pytest.mark.parametrize("name", CHAINS)
def test_draws_are_those_of_running_the_chain_again_and_again(name: str) -> None:
    chain = Chain.parse(CHAINS[name])
    state, history = State(42), History(KEPT.tokens)
    picked = [chain.run(KEPT.row, history, state).token for _ in range(400)]
    drawn = draw_many(KEPT, chain, Situation(seed=42), 400, listed=800)
    counts = {token.token: token.count for token in drawn.tokens if token.count}
    assert counts == dict(zip(*(values.tolist() for values in np.unique(picked, return_counts=True)), strict=True))
    assert drawn.first == picked[0]
    assert drawn.different == len(set(picked))


@pytest.mark.parametrize("name", CHAINS)
def test_probabilities_are_over_all_ways_the_coins_can_fall(name: str) -> None:
    chain = Chain.parse(CHAINS[name])
    drawn = draw_many(KEPT, chain, Situation(seed=5), 200_000, listed=800)
    assert sum(token.probability for token in drawn.tokens) == pytest.approx(1.0, abs=1e-6)
    for token in drawn.tokens[:20]:
        assert abs(token.count - 200_000 * token.probability) <= 5 * token.spread + 1
        assert token.spread == pytest.approx((200_000 * token.probability * (1 - token.probability)) ** 0.5)
    listed = np.array([token.token for token in drawn.tokens])
    np.testing.assert_allclose(
        expected(KEPT, chain, Situation(seed=5), listed), [token.probability for token in drawn.tokens], rtol=1e-9
    )


def test_a_held_coin_never_falls_the_other_way() -> None:
    chain = Chain.parse([["xtc", {"xtc_threshold": 0.05, "xtc_probability": 0.5}]])
    best = int(KEPT.head[0])
    for coin, chance in (("strike", 0.0), ("spare", KEPT.raw(np.array([best]))[0])):
        drawn = draw_many(KEPT, chain, Situation(seed=1, coin=coin), 5000, listed=800)  # type: ignore[arg-type]
        counts = {token.token: token for token in drawn.tokens}
        assert (counts[best].probability if best in counts else 0.0) == pytest.approx(chance, abs=1e-6)
        assert (counts[best].count if best in counts else 0) == pytest.approx(5000 * chance, abs=200)


def test_distance_shrinks_with_the_number_of_draws() -> None:
    chain = Chain.parse(CHAINS["plain"])
    few = draw_many(KEPT, chain, Situation(seed=9), 10)
    many = draw_many(KEPT, chain, Situation(seed=9), 100_000)
    assert many.distance < 0.02 < few.distance <= 1.0


@pytest.mark.parametrize("amount", [0, -1, 1_000_001])
def test_the_amount_has_limits(amount: int) -> None:
    with pytest.raises(BadValue):
        draw_many(KEPT, Chain.parse([]), Situation(), amount)


def test_too_many_coins_are_refused_in_words() -> None:
    with pytest.raises(BadValue, match="XTC"):
        draw_many(KEPT, Chain.parse([["xtc", {}]] * 9), Situation(), 10)
