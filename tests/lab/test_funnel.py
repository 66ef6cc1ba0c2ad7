from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab import reference
from tests.lab.reference import bits, example_row, softmax
from webui.lab.funnel import Situation, coins, funnel
from webui.lab.picture import picture
from webui.lab.rows import KeptRow
from webui.samplers import SAMPLERS, Chain, History, State
from webui.samplers.candidates import Candidates

STEPS = [
    ["top_k", {"top_k": 300}],
    ["top_p", {"top_p": 1.0}],
    ["top_p", {"top_p": 0.9}],
    ["min_p", {"min_p": 0.02}],
    ["temperature", {"temperature": 1.4}],
]


def look(steps: list[object], logits: np.ndarray | None = None, **situation: object):  # type: ignore[no-untyped-def]
    kept = KeptRow.of("m", (1, 2, 3), example_row() if logits is None else logits)
    return funnel(kept, Chain.parse(steps), Situation(**situation))  # type: ignore[arg-type]


def test_every_stage_tells_what_numpy_finds() -> None:
    seen = look(STEPS)
    p = softmax(example_row())
    steps = [
        lambda p: reference.after_top_k(p, 300),
        lambda p: p,
        lambda p: reference.after_top_p(p, 0.9),
        lambda p: reference.after_min_p(p, 0.02),
        lambda p: reference.after_temperature(p, 1.4),
    ]
    for stage, step in zip(seen.stages, steps, strict=True):
        after = step(p)
        assert stage.tokens_in == np.count_nonzero(p)
        assert stage.tokens_out == np.count_nonzero(after)
        assert stage.cut_mass == pytest.approx(p[after == 0].sum(), abs=1e-6)
        assert stage.entropy_before == pytest.approx(bits(p), abs=1e-5)
        assert stage.entropy_after == pytest.approx(bits(after), abs=1e-5)
        assert stage.choices_after == pytest.approx(2 ** bits(after), rel=1e-5)
        p = after
    np.testing.assert_allclose(seen.final_probabilities(np.arange(5000)), p, atol=1e-6)
    assert seen.final_count == np.count_nonzero(p)
    assert [stage.off for stage in seen.stages] == [False, True, False, False, False]


def test_a_stage_that_is_off_lets_everything_through() -> None:
    off = look(STEPS).stages[1]
    assert off.tokens_in == off.tokens_out == 300
    assert off.cut_mass == 0.0 and off.entropy_after == off.entropy_before


def test_each_token_knows_the_first_stage_that_took_it_out() -> None:
    seen = look(STEPS)
    p = softmax(example_row())
    order = np.argsort(-p, kind="stable")
    in_top_k = reference.after_top_k(p, 300)
    in_top_p = reference.after_top_p(in_top_k, 0.9)
    in_min_p = reference.after_min_p(in_top_p, 0.02)
    expected = np.where(in_min_p > 0, -1, np.where(in_top_p > 0, 3, np.where(in_top_k > 0, 2, 0)))
    assert seen.cut_by(order).tolist() == expected[order].tolist()


def test_a_banned_token_counts_as_cut_by_the_ban() -> None:
    best = int(example_row().argmax())
    seen = look([["token_bans", {"token_bans": [best, 7]}], ["temperature", {"temperature": 0.5}]])
    p = softmax(example_row())
    ban = seen.stages[0]
    assert ban.tokens_out == 4998
    assert ban.cut_mass == pytest.approx(p[[best, 7]].sum(), abs=1e-6)
    assert seen.cut_by(np.array([best, 7, 8])).tolist() == [0, 0, -1]
    assert seen.final_probabilities(np.array([best]))[0] == 0.0


def test_the_last_stage_is_what_the_chain_would_draw_from() -> None:
    kept = KeptRow.of("m", (5, 5, 9), example_row())
    chain = Chain.parse([["repetition_penalty", {"repetition_penalty": 1.5}], ["xtc", {}], *STEPS])
    for seed in range(6):
        candidates = Candidates.of(kept.row)
        chain.apply(candidates, History(kept.tokens), State(seed))
        seen = funnel(kept, chain, Situation(seed=seed))
        np.testing.assert_array_equal(
            seen.final_probabilities(candidates.ids), candidates.probabilities().astype(np.float64)
        )


def test_the_coin_can_be_held() -> None:
    steps = [["xtc", {"xtc_probability": 0.5, "xtc_threshold": 0.05}]]
    p = softmax(example_row())
    obvious = np.flatnonzero(p >= 0.05)
    assert len(obvious) > 2
    struck, spared = look(steps, coin="strike"), look(steps, coin="spare")
    assert struck.stages[0].tokens_out == 5000 - len(obvious) + 1
    assert spared.stages[0].tokens_out == 5000
    assert struck.stages[0].notes["fired"] and not spared.stages[0].notes["fired"]
    dice = {look(steps, seed=seed).stages[0].notes["fired"] for seed in range(20)}
    assert dice == {True, False}


def test_passed_tokens_move_the_dice_on_as_a_generation_would() -> None:
    chain = Chain.parse([["xtc", {}], ["xtc", {"xtc_threshold": 0.2}], ["temperature", {}]])
    assert coins(chain) == 2
    row = example_row()
    state = State(77)
    for passed in range(4):
        moved = Situation(seed=77, passed=passed).state(chain)
        assert moved.random.bit_generator.state == state.random.bit_generator.state
        chain.run(row, History((1,)), state)


def test_the_picture_adds_up_and_marks_the_limit() -> None:
    seen = look(STEPS)
    p = softmax(example_row())
    drawn = picture(seen, shown=25, focus=3)
    order = np.argsort(-p, kind="stable")[:25]
    assert [bar.token for bar in drawn.bars] == order.tolist()
    assert [bar.rank for bar in drawn.bars] == list(range(1, 26))
    for column in ("raw", "seen", "final"):
        total = sum(getattr(bar, column) for bar in drawn.bars) + getattr(drawn.others, column)
        assert total == pytest.approx(1.0, abs=1e-6)
    given_to_min_p = reference.after_top_p(reference.after_top_k(p, 300), 0.9)
    np.testing.assert_allclose([bar.seen for bar in drawn.bars], given_to_min_p[order], atol=1e-6)
    assert drawn.limit is not None and drawn.limit.kind == "probability"
    assert drawn.limit.value == pytest.approx(0.02 * given_to_min_p.max(), rel=1e-5)
    assert drawn.others.count == 4975
    assert drawn.others.alive == seen.final_count - sum(bar.final > 0 for bar in drawn.bars)


def test_the_limit_of_a_count_is_a_rank() -> None:
    limit = picture(look(STEPS), focus=2).limit
    p = reference.after_top_k(softmax(example_row()), 300)
    assert limit is not None and limit.kind == "rank"
    assert limit.value == np.count_nonzero(reference.after_top_p(p, 0.9))
    assert picture(look(STEPS), focus=1).limit is None
    assert picture(look(STEPS), focus=4).limit is None


def test_the_picture_can_be_ordered_by_the_outcome() -> None:
    seen = look([["xtc", {"xtc_threshold": 0.05, "xtc_probability": 1.0}]])
    drawn = picture(seen, shown=10, order="final")
    final = seen.final_probabilities(np.arange(5000))
    assert [bar.token for bar in drawn.bars] == np.argsort(-final, kind="stable")[:10].tolist()
    assert drawn.bars[0].rank > 1
    greedy = picture(look([["top_k", {"top_k": 3}]]), shown=10, order="final")
    assert [bar.final > 0 for bar in greedy.bars] == [True] * 3 + [False] * 7
    assert len({bar.token for bar in greedy.bars}) == 10


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(SAMPLERS)), max_size=6),
    seed=st.integers(0, 1000),
    shown=st.integers(1, 600),
)
def test_any_chain_of_defaults_keeps_the_laws(names: list[str], seed: int, shown: int) -> None:
    kept = KeptRow.of("m", (1, 2, 1, 2), example_row(300, seed))
    chain = Chain.parse([[name, {}] for name in names])
    seen = funnel(kept, chain, Situation(seed=seed))
    count = seen.start_count
    for stage in seen.stages:
        assert stage.tokens_in == count >= stage.tokens_out >= 1
        assert 0.0 <= stage.cut_mass <= 1.0
        assert (stage.cut_mass > 0) <= (stage.tokens_out < stage.tokens_in)
        assert stage.entropy_after <= np.log2(stage.tokens_out) + 1e-4
        count = stage.tokens_out
    everything = np.arange(300)
    final, cut = seen.final_probabilities(everything), seen.cut_by(everything)
    assert final.sum() == pytest.approx(1.0, abs=1e-6)
    assert int((cut < 0).sum()) == seen.final_count
    assert (final[cut >= 0] == 0).all()
    drawn = picture(seen, shown=shown)
    assert sum(bar.final for bar in drawn.bars) + drawn.others.final == pytest.approx(1.0, abs=1e-6)
