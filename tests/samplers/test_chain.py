"""The chain as a whole: parsing, order, seeds, constraints and what it promises to those who call it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from webui.errors import BadValue
from webui.samplers import BALANCED, Chain, CompactTrace, History, Pick, State, Trace
from webui.samplers.candidates import Candidates, NothingAllowed, largest
from webui.types import Step


def a_row(seed: int = 0, size: int = 5000) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(size) * 3).astype(np.float32)


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(weights / weights.sum())


def test_balanced_is_what_plain_numpy_says() -> None:
    row = a_row()
    best = np.argsort(-row, kind="stable")[:40]
    p = softmax(row[best])
    nucleus = best[: int(np.searchsorted(np.cumsum(p), 0.95)) + 1]
    p = softmax(row[nucleus])
    kept = nucleus[p >= 0.05 * p[0]]
    final = softmax(row[kept].astype(np.float64) / 0.8)

    candidates = Candidates.of(row)
    Chain.parse(BALANCED).apply(candidates, History(), State(1))

    assert candidates.ids.tolist() == kept.tolist()
    np.testing.assert_allclose(candidates.probabilities(), final, rtol=1e-5)


def test_the_row_is_never_written_to() -> None:
    row = a_row()
    before = row.copy()
    row.flags.writeable = False
    Chain.parse([["repetition_penalty", {}], ["temperature", {}], ["top_p", {}]]).run(row, History([1, 2, 3]), State(0))
    assert (row == before).all()


def test_order_is_obeyed() -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    hot_first = Candidates.of(row)
    Chain.parse([["temperature", {"temperature": 5}], ["min_p", {"min_p": 0.4}]]).apply(hot_first, History(), State(0))
    hot_last = Candidates.of(row)
    Chain.parse([["min_p", {"min_p": 0.4}], ["temperature", {"temperature": 5}]]).apply(hot_last, History(), State(0))
    assert (len(hot_first), len(hot_last)) == (4, 2)


@pytest.mark.parametrize(
    "steps",
    [
        [["top_p", {"top_p": 0.99}], ["temperature", {"temperature": 1.5}]],
        [["top_k", {"top_k": 60}], ["xtc", {"threshold": 0.02}], ["temperature", {"temperature": 1.2}]],
        [["mirostat", {"tau": 6}]],
        [["mirostat", {"mode": 1, "tau": 6}]],
        [["adaptive_p", {"target": 0.3}]],
        [["xtc", {"threshold": 0.01, "flavour": "mlx"}], ["mirostat", {}], ["skew", {"skew": 0.5}]],
    ],
    ids=str,
)
def test_same_seed_same_tokens_traced_or_not(steps: Any) -> None:
    chain = Chain.parse(steps)
    tokens = []
    for trace in (lambda: None, Trace, CompactTrace):
        state, history = State(7), History()
        for step in range(50):
            pick = chain.run(a_row(step), history, state, trace=trace())
            state.accept(pick)
            history.append(pick.token)
        tokens.append(history.tokens.tolist())
    assert tokens[0] == tokens[1] == tokens[2]
    assert len(set(tokens[0])) > 5


def test_a_rejected_pick_teaches_nothing() -> None:
    chain, row = Chain.parse([["mirostat", {"tau": 2}], ["adaptive_p", {"target": 0.2}]]), a_row()
    state = State(1)
    for _ in range(3):
        refused = chain.run(row, History(), state)
    assert state.memory == {}
    state.accept(refused)
    assert set(state.memory) == {0, 1}
    before = dict(state.memory)
    copy = state.copy()
    copy.accept(chain.run(row, History(), copy))
    assert state.memory == before != copy.memory


def test_mirostat_holds_the_surprise_it_was_told() -> None:
    chain, state, history, seen = Chain.parse([["mirostat", {"tau": 4.0}]]), State(2), History(), []
    for step in range(600):
        row = a_row(step, 2000)
        pick = chain.run(row, history, state)
        state.accept(pick)
        seen.append(-math.log2(pick.probability))
    assert np.mean(seen[100:]) == pytest.approx(4.0, rel=0.1)


def test_adaptive_p_holds_the_probability_it_was_told() -> None:
    chain, state, seen = Chain.parse([["top_k", {"top_k": 40}], ["adaptive_p", {"target": 0.3}]]), State(2), []
    for step in range(600):
        row = a_row(step, 300)
        trace = Trace()
        pick = chain.run(row, History(), state, trace=trace)
        state.accept(pick)
        seen.append(trace.stages[0].probability)
    assert np.mean(seen[100:]) == pytest.approx(0.3, abs=0.1)


def test_an_odd_order_is_warned_of() -> None:
    def warned(steps: Any) -> list[tuple[int, str]]:
        return [(index, text.en.split(" ")[0]) for index, text in Chain.parse(steps).warnings()]

    assert warned(BALANCED) == []
    assert warned([["mirostat", {}], ["temperature", {}]]) == [(0, "It")]
    assert warned([["min_p", {}], ["adaptive_p", {}], ["skew", {}]]) == []
    assert warned([["temperature", {}], ["adaptive_p", {}]]) == [(1, "Nothing")]
    assert warned([["xtc", {}], ["min_p", {}]]) == [(0, "Nothing")]
    assert warned([["quadratic", {"smoothing_curve": 3.5}], ["min_p", {}], ["xtc", {}]]) == [(0, "Above")]


def test_seed_minus_one_draws_a_seed_that_repeats_the_run() -> None:
    chain, row = Chain.parse([["temperature", {"temperature": 3}]]), a_row()
    first = State(-1)
    assert first.seed >= 0
    again = State(first.seed)
    assert [chain.run(row, History(), first).token for _ in range(20)] == [
        chain.run(row, History(), again).token for _ in range(20)
    ]
    assert State(-1).seed != State(-1).seed


def test_a_copied_state_goes_its_own_way() -> None:
    chain, row, state = Chain.parse([["temperature", {"temperature": 3}]]), a_row(), State(3)
    chain.run(row, History(), state)
    copy = state.copy()
    assert [chain.run(row, History(), state).token for _ in range(9)] == [
        chain.run(row, History(), copy).token for _ in range(9)
    ]


def test_a_constraint_is_obeyed() -> None:
    row, allowed = a_row(), np.zeros(5000, dtype=np.bool_)
    allowed[[17, 4000]] = True
    picks = {Chain.parse(BALANCED).run(row, History(), State(s), allowed=allowed).token for s in range(30)}
    assert picks <= {17, 4000}
    with pytest.raises(NothingAllowed):
        Chain.parse(BALANCED).run(row, History(), State(0), allowed=np.zeros(5000, dtype=np.bool_))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_logits_are_an_error_not_a_token(bad: float) -> None:
    row = a_row()
    row[77] = bad
    with pytest.raises(BadValue) as caught:
        Chain.parse(BALANCED).run(row, History(), State(0))
    assert caught.value.param == "logits"


@pytest.mark.parametrize(
    ("steps", "param"),
    [
        ([["top_p", {"top_p": 1.5}]], "top_p"),
        ([["top_p", {"top_p": math.nan}]], "top_p"),
        ([["min_p", {"min_p": math.inf}]], "min_p"),
        ([["temperature", {"temperature": -1}]], "temperature"),
        ([["temperature", {"temperature": "hot"}]], "temperature"),
        ([["temperature", {"temperature": True}]], "temperature"),
        ([["temperature", {"temperature": None}]], "temperature"),
        ([["top_k", {"top_k": 2.5}]], "top_k"),
        ([["repetition_penalty", {"repetition_penalty": 3.01}]], "repetition_penalty"),
        ([["top_k", {"wrong": 1}]], "wrong"),
        ([["nonsense", {}]], "nonsense"),
        ([["top_k", 3]], "chain"),
        ([[]], "chain"),
        ("top_k", "chain"),
        ([["top_k", {}]] * 65, "chain"),
    ],
)
def test_bad_values_name_the_parameter(steps: Any, param: str) -> None:
    with pytest.raises(BadValue) as caught:
        Chain.parse(steps)
    assert caught.value.param == param
    assert param in caught.value.message


def test_the_range_is_part_of_the_error() -> None:
    with pytest.raises(BadValue, match="from 0 to 1, not 1.5"):
        Chain.parse([["top_p", {"top_p": 1.5}]])


def test_steps_come_back_complete_and_off_stages_stay_visible() -> None:
    chain = Chain.parse([Step("top_k", {"k": 0}), ["temperature", {}]])
    assert chain.steps[0] == Step("top_k", {"top_k": 0, "min_keep": 1, "flavour": "generic"})
    assert chain.steps[1].values["temperature"] == 0.8
    assert [stage.sampler.name for stage in chain.plan] == ["temperature"]
    assert Chain.parse(chain.steps).steps == chain.steps


def test_compact_figures_are_those_of_the_row() -> None:
    row = a_row()
    p = softmax(row)
    pick: Pick = Chain.parse(BALANCED).run(row, History(), State(5), trace=CompactTrace(50))
    assert pick.figures is not None
    assert pick.figures.raw == pytest.approx(p[pick.token], rel=1e-5)
    assert pick.figures.rank == 1 + int((p > p[pick.token]).sum())
    assert pick.figures.entropy == pytest.approx(float(-(p * np.log2(p)).sum()), rel=1e-5)
    assert [a.token for a in pick.figures.alternatives] == np.argsort(-row, kind="stable")[:50].tolist()
    top_k = next(i for i, step in enumerate(BALANCED) if step.sampler == "top_k")
    assert [a.cut_by for a in pick.figures.alternatives[40:]] == [top_k] * 10
    finals = {a.token: a.final for a in pick.figures.alternatives}
    assert finals[pick.token] == pytest.approx(pick.probability)
    assert sum(finals.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1, 2, 100, 2049, 5000, 49_152])
@pytest.mark.parametrize("k", [1, 2, 40, 2000])
def test_largest_is_exact_also_with_ties(size: int, k: int) -> None:
    row = np.random.default_rng(size + k).integers(0, 200, size).astype(np.float32)
    expected = np.argsort(-row, kind="stable")[:k]
    assert largest(row, k).tolist() == expected.tolist()


def test_history_grows_and_is_cut_back() -> None:
    history = History([1, 2, 3])
    for token in range(1000):
        history.append(token)
    assert len(history) == 1003 and history.prompt_length == 3
    assert history.last(2).tolist() == [998, 999]
    history.truncate(4)
    assert history.tokens.tolist() == [1, 2, 3, 0]
    assert history.last(0).tolist() == [1, 2, 3, 0]
