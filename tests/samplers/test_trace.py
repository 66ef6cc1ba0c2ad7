"""What traces tell, against numbers worked out by plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from webui.samplers import BALANCED, Chain, CompactTrace, History, State, Trace, Vocabulary

ROW = (np.random.default_rng(3).standard_normal(4000) * 2.5).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def bits(p: np.ndarray) -> float:
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def traced(steps: list, history: History | None = None, vocabulary: Vocabulary | None = None) -> Trace:
    trace = Trace()
    Chain.parse(steps).run(ROW, history or History(), State(11, vocabulary), trace=trace)
    return trace


def test_each_stage_in_full() -> None:
    trace = traced([["top_k", {"top_k": 100}], ["min_p", {"min_p": 0.1}], ["temperature", {"temperature": 1.5}]])
    order = np.argsort(-ROW, kind="stable")
    p = probabilities(ROW)
    top_k, min_p, temperature = trace.stages

    assert top_k.survivors == 100
    assert top_k.mass == pytest.approx(p[order[:100]].sum(), rel=1e-5)
    assert top_k.entropy_before == pytest.approx(bits(p), rel=1e-5)
    assert top_k.entropy_after == pytest.approx(bits(probabilities(ROW[order[:100]])), rel=1e-5)
    assert [token for token, _ in top_k.cut] == order[100:150].tolist()
    assert [share for _, share in top_k.cut] == pytest.approx(p[order[100:150]].tolist(), rel=1e-4)
    assert top_k.cut_count == 3900 and top_k.rest_count == 3850
    assert top_k.rest_mass == pytest.approx(p[order[150:]].sum(), rel=1e-4)

    renormalised = probabilities(ROW[order[:100]])
    kept = renormalised >= 0.1 * renormalised[0]
    assert min_p.survivors == kept.sum()
    assert min_p.mass == pytest.approx(renormalised[kept].sum(), rel=1e-5)
    assert min_p.entropy_before == top_k.entropy_after
    assert temperature.survivors == min_p.survivors and temperature.mass == 1.0 and temperature.cut == ()
    assert temperature.entropy_after > temperature.entropy_before
    assert temperature.values["temperature"] == 1.5


def test_the_draw_and_the_chosen_token_at_every_stage() -> None:
    trace = traced([["top_k", {"top_k": 50}], ["temperature", {"temperature": 2}]])
    assert trace.draw is not None
    assert trace.draw.low <= trace.draw.uniform < trace.draw.high
    assert trace.draw.high - trace.draw.low == pytest.approx(trace.probability)
    p = probabilities(ROW)
    assert trace.raw_probability == pytest.approx(p[trace.token], rel=1e-4)
    assert trace.raw_rank == 1 + (p > p[trace.token]).sum()
    order = np.argsort(-ROW, kind="stable")[:50]
    after_k, after_t = probabilities(ROW[order]), probabilities(ROW[order].astype(np.float64) / 2)
    place = order.tolist().index(trace.token)
    assert [s.rank for s in trace.stages] == [place + 1, place + 1]
    assert [s.probability for s in trace.stages] == pytest.approx([after_k[place], after_t[place]], rel=1e-5)
    assert trace.probability == pytest.approx(after_t[place], rel=1e-5)


def test_banned_tokens_count_as_cut_even_in_the_whole_row() -> None:
    best = int(ROW.argmax())
    trace = traced([["token_bans", {"token_bans": [best, 5]}], ["temperature", {"temperature": 0.9}]])
    bans, temperature = trace.stages
    assert bans.survivors == 3998 and bans.cut_count == 2 and bans.cut[0][0] == best
    assert temperature.survivors == 3998 and temperature.cut_count == 0
    figures = (
        Chain.parse([["token_bans", {"token_bans": [best]}], ["top_k", {"top_k": 3}]])
        .run(ROW, History(), State(0), trace=CompactTrace(5))
        .figures
    )
    assert figures is not None
    assert [(a.token == best, a.cut_by) for a in figures.alternatives] == [
        (True, 0), (False, None), (False, None), (False, None), (False, 1),
    ]  # fmt: skip


def test_notes_tell_the_values_in_force() -> None:
    steps = [
        ["dynamic_temperature", {"low": 0.5, "high": 1.5}],
        ["top_n_sigma", {"n": 2}],
        ["eta_cutoff", {"eta": 0.01}],
        ["xtc", {"probability": 0.5}],
        ["mirostat", {"tau": 4}],
    ]
    notes = [dict(stage.notes) for stage in traced(steps).stages]
    assert 0.5 < notes[0]["temperature"] < 1.5
    assert notes[1]["sigma"] == pytest.approx(float((ROW / notes[0]["temperature"]).std()), rel=1e-4)
    assert 0 < notes[2]["threshold"] <= 0.01
    assert notes[3]["fired"] == (notes[3]["coin"] < 0.5)
    assert notes[4]["mu"] == 8.0


def test_an_untraced_run_notes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It pays nothing: no copies of the candidates, no entropies."""
    from webui.samplers.candidates import Candidates

    def forbidden(self: object) -> None:
        raise AssertionError("an untraced run must not do this")

    monkeypatch.setattr(Candidates, "copy", forbidden)
    monkeypatch.setattr(Candidates, "entropy", forbidden)
    Chain.parse(BALANCED).run(ROW, History(), State(0))


def test_the_compact_trace_can_be_used_again() -> None:
    trace, chain = CompactTrace(3), Chain.parse(BALANCED)
    once = [chain.run(ROW * scale, History(), State(4), trace=CompactTrace(3)).figures for scale in (1, 0.5)]
    again = [chain.run(ROW * scale, History(), State(4), trace=trace).figures for scale in (1, 0.5)]
    assert once == again
