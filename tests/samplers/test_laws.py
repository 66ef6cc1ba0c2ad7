"""Laws that hold for every sampler, whatever the row and the values: found by looking for counterexamples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.samplers import BALANCED, SAMPLERS, Chain, History, State, Trace, Vocabulary
from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param
from webui.samplers.stages.dry import repeats
from webui.types import Step

VOCABULARY = Vocabulary(size=40, end_ids=(3,), newline_ids=(7,), pieces=lambda token: f"{token} ".encode())
# Those that may change the order of what they keep, by what they are for.
REORDER = {"adaptive_p", "skew", "guidance"}


def values_for(param: Param) -> st.SearchStrategy[Any]:
    if param.kind == "choice":
        return st.sampled_from(param.choices)
    if param.kind == "bool":
        return st.booleans()
    if param.kind == "biases":
        return st.dictionaries(st.integers(0, 50), st.floats(-100, 100) | st.just(-np.inf), max_size=5)
    if param.kind == "tokens":
        return st.lists(st.integers(0, 50), max_size=60)
    if param.kind == "sequences":
        return st.lists(st.tuples(st.lists(st.integers(0, 39), min_size=1, max_size=3), st.floats(-9, 9)), max_size=3)
    if param.kind == "texts":
        return st.lists(st.sampled_from(["7 ", "1", "13 "]), max_size=2)
    assert param.legal is not None
    low, high = param.legal
    return st.integers(int(low), min(int(high), 60)) if param.kind == "int" else st.floats(low, high)


def steps_of(name: str) -> st.SearchStrategy[Step]:
    sampler = SAMPLERS[name]
    return st.builds(
        lambda values: Step(name, values), st.fixed_dictionaries({p.name: values_for(p) for p in sampler.params})
    )


LOGIT = st.floats(-60, 60, width=32)
ROWS = st.lists(LOGIT | st.just(-np.inf), min_size=1, max_size=40).filter(lambda r: max(r) > -np.inf)
HISTORIES = st.lists(st.integers(0, 39), max_size=50)


def run(steps: list[Step], row: list[float], history: list[int], seed: int = 0) -> Candidates:
    logits = np.array(row, dtype=np.float32)
    guidance = logits[::-1].copy()
    candidates = Candidates.of(logits)
    Chain.parse(steps).apply(candidates, History(history), State(seed, VOCABULARY), None, guidance)
    return candidates


@pytest.mark.parametrize("name", list(SAMPLERS))
@given(data=st.data(), row=ROWS, history=HISTORIES, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_laws_of_one_sampler(name: str, data: Any, row: list[float], history: list[int], seed: int) -> None:
    step = data.draw(steps_of(name))
    candidates = run([step], row, history, seed)
    logits = np.array(row, dtype=np.float32)
    p = candidates.probabilities()

    assert candidates.alive() >= 1
    assert np.isfinite(p).all() and p.sum() == pytest.approx(1.0)
    assert len(set(candidates.ids.tolist())) == len(candidates)
    # What had no chance gets none.
    assert not (np.isneginf(logits[candidates.ids]) & (p > 0)).any()
    if SAMPLERS[name].family == "cut" and step.values.get("flavour") != "exllama":
        np.testing.assert_allclose(candidates.logits, logits[candidates.ids])
    order_matters = SAMPLERS[name].family != "penalty" and name not in REORDER
    if order_matters and not (name == "quadratic" and step.values["smoothing_curve"] > 3) and name != "xtc":
        by_logit = np.argsort(-logits[candidates.ids], kind="stable")
        assert (np.diff(p[by_logit]) <= 1e-9).all()


@pytest.mark.parametrize("name", list(SAMPLERS))
@given(row=ROWS, history=HISTORIES)
@settings(max_examples=10, deadline=None)
def test_neutral_changes_nothing(name: str, row: list[float], history: list[int]) -> None:
    steps = [Step(name, SAMPLERS[name].neutral())]
    if name in ("logit_bias", "sequence_bias", "token_bans"):
        assert Chain.parse(steps).plan == ()
    candidates = run(steps, row, history)
    assert candidates.is_whole and candidates.logits.tolist() == np.array(row, dtype=np.float32).tolist()


@given(
    steps=st.lists(st.sampled_from(list(SAMPLERS)).flatmap(steps_of), max_size=6),
    row=ROWS, history=HISTORIES, seed=st.integers(0, 99), masked=st.booleans(),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_chain_gives_a_token_traced_or_not(
    steps: list[Step], row: list[float], history: list[int], seed: int, masked: bool
) -> None:
    logits = np.array(row, dtype=np.float32)
    allowed = np.arange(len(row)) % 2 == int(logits.argmax()) % 2 if masked else None
    chain = Chain.parse(steps)
    picks = []
    for trace in (None, Trace()):
        state = State(seed, VOCABULARY)
        for _ in range(2):  # the second time with what mirostat and adaptive-p remember
            pick = chain.run(logits, History(history), state, allowed, trace=trace, guidance_row=logits[::-1].copy())
            state.accept(pick)
            if trace is not None:
                trace = Trace()
        picks.append((pick.token, pick.probability))
    assert picks[0] == picks[1]
    token, probability = picks[0]
    assert logits[token] > -np.inf and 0 < probability <= 1
    assert allowed is None or allowed[token]


@given(row=ROWS, p=st.floats(0, 1), k=st.integers(1, 50))
def test_cuts_once_made_change_nothing_more(row: list[float], p: float, k: int) -> None:
    for step in (Step("top_k", {"top_k": k}), Step("min_p", {"min_p": p})):
        assert run([step], row, []).ids.tolist() == run([step, step], row, []).ids.tolist()


def chi_square(steps: list[Any], row: np.ndarray, draws: int = 100_000) -> float:
    """How odd the counts are if tokens are drawn with the probabilities promised, in standard deviations.

    By Wilson and Hilferty, the cube root of chi-square over its degrees of freedom is nearly normal.
    """
    chain, state, history = Chain.parse(steps), State(12345), History()
    candidates = Candidates.of(row)
    chain.apply(candidates, history, State(0))
    expected = np.zeros(len(row))
    expected[candidates.ids] = candidates.probabilities()
    counts = np.bincount([chain.run(row, history, state).token for _ in range(draws)], minlength=len(row))
    assert counts[expected == 0].sum() == 0
    present = expected > 0
    wanted = expected[present] * draws
    freedom = int(present.sum()) - 1
    statistic = float((np.square(counts[present] - wanted) / wanted).sum())
    spread = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - spread)) / np.sqrt(spread))


@pytest.mark.parametrize(
    "steps",
    [[], BALANCED, [["temperature", {"temperature": 1.5}], ["top_p", {"top_p": 0.9}]], [["skew", {"skew": 0.7}]]],
    ids=["plain", "balanced", "temperature first", "skew"],
)
def test_final_draws_follow_the_probabilities(steps: list[Any]) -> None:
    row = (np.random.default_rng(1).standard_normal(60) * 1.5).astype(np.float32)
    assert -3.5 < chi_square(steps, row) < 3.5


def test_xtc_fires_as_often_as_it_says() -> None:
    row = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    chain, state = Chain.parse([["xtc", {"probability": 0.3, "threshold": 0.1}]]), State(5)
    fired = 0
    for _ in range(20_000):
        candidates = Candidates.of(row)
        chain.apply(candidates, History(), state)
        fired += len(candidates) == 1
    assert abs(fired - 6000) < 3.5 * (20_000 * 0.3 * 0.7) ** 0.5


@given(
    tokens=st.lists(st.integers(0, 3), min_size=1, max_size=200), allowed=st.integers(1, 4), limit=st.integers(0, 60)
)
def test_dry_finds_the_repeats_a_plain_loop_finds(tokens: list[int], allowed: int, limit: int) -> None:
    recent = np.array(tokens, dtype=np.int32)
    longest: dict[int, int] = {}
    for end in range(len(tokens) - 1):
        length = 0
        while length <= end and length < limit and tokens[end - length] == tokens[-1 - length]:
            length += 1
        if length >= allowed and len(tokens) > allowed:
            longest[tokens[end + 1]] = max(longest.get(tokens[end + 1], 0), length)
    found, lengths = repeats(recent, allowed, limit, 1000)
    assert dict(zip(found.tolist(), lengths.tolist(), strict=True)) == longest
