from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.lab.reference import bits, example_row, softmax
from webui.lab.funnel import Situation, funnel
from webui.lab.minis import Mini, mini
from webui.lab.rows import KeptRow
from webui.samplers import SAMPLERS, Chain

LOGITS = example_row()
P = softmax(LOGITS)
ORDER = np.argsort(-LOGITS, kind="stable")
BEST = P[ORDER]


def drawn(name: str, **values: Any) -> Mini:
    kept = KeptRow.of("m", (int(ORDER[0]), int(ORDER[3]), int(ORDER[0])), LOGITS)
    seen = funnel(kept, Chain.parse([[name, values]]), Situation(coin="strike"))
    picture = mini(seen.stages[0])
    assert picture is not None
    assert len(picture.y) == len(picture.kept) == len(picture.tokens) > 0
    return picture


def test_min_p_is_seen_as_a_share_of_the_best() -> None:
    picture = drawn("min_p", min_p=0.1)
    np.testing.assert_allclose(picture.y, BEST[: len(picture.y)] / BEST[0], rtol=1e-5)
    assert picture.line == 0.1 and picture.what == "share_of_best"
    assert list(picture.kept) == [y >= 0.1 for y in picture.y]
    assert True in picture.kept and False in picture.kept


def test_top_p_is_a_staircase_that_crosses_its_line_with_the_last_kept_token() -> None:
    picture = drawn("top_p", top_p=0.8)
    np.testing.assert_allclose(picture.y, np.cumsum(BEST)[: len(picture.y)], rtol=1e-5)
    kept = sum(picture.kept)
    assert picture.kind == "stairs" and picture.line == 0.8
    assert picture.y[kept - 2] < 0.8 <= picture.y[kept - 1]


def test_typical_is_a_distance_from_the_entropy() -> None:
    picture = drawn("typical_p", typical_p=0.5)
    expected = np.abs(-np.log2(BEST) - bits(P))[: len(picture.y)]
    np.testing.assert_allclose(picture.y, expected, atol=1e-4)
    assert picture.line == pytest.approx(max(y for y, kept in zip(picture.y, picture.kept, strict=True) if kept))


def test_top_n_sigma_counts_deviations_below_the_best() -> None:
    picture = drawn("top_n_sigma", top_n_sigma=2.0)
    logits = LOGITS.astype(np.float64)
    expected = (logits[ORDER] - logits.max()) / logits.std()
    np.testing.assert_allclose(picture.y, expected[: len(picture.y)], atol=1e-4)
    assert picture.line == -2.0


def test_xtc_marks_what_may_go_but_not_the_least_likely_of_them() -> None:
    picture = drawn("xtc", xtc_threshold=0.05)
    obvious = int((BEST >= 0.05).sum())
    assert list(picture.marks) == list(range(obvious - 1))
    assert [place for place, kept in enumerate(picture.kept) if not kept] == list(picture.marks)
    assert picture.line == 0.05


def test_top_h_and_tfs_are_staircases_of_what_they_add_up() -> None:
    top_h = drawn("top_h", top_h=0.7)
    hundred = BEST[:100] / BEST[:100].sum()
    parts = -hundred * np.log(hundred)
    np.testing.assert_allclose(top_h.y, (np.cumsum(parts) / parts.sum())[: len(top_h.y)], rtol=1e-5)
    assert top_h.line == 0.7
    tfs = drawn("tfs", tfs=0.9)
    bends = np.abs(np.diff(BEST, n=2))
    np.testing.assert_allclose(tfs.y, np.cumsum(bends / bends.sum())[: len(tfs.y)], rtol=1e-4)


def test_mirostat_is_seen_as_surprise() -> None:
    picture = drawn("mirostat", mirostat_tau=2.0)
    np.testing.assert_allclose(picture.y, -np.log2(BEST[: len(picture.y)]), atol=1e-4)
    assert picture.line == 4.0
    assert list(picture.kept) == [y <= 4.0 for y in picture.y]


def test_shapes_show_before_and_after() -> None:
    picture = drawn("temperature", temperature=2.0)
    warm = softmax(LOGITS / 2.0)
    np.testing.assert_allclose(picture.y, BEST[: len(picture.y)], rtol=1e-5)
    np.testing.assert_allclose(picture.after, warm[list(picture.tokens)], rtol=1e-5)


def test_a_scale_follows_from_what_was_given_not_from_the_slider() -> None:
    assert drawn("temperature", temperature=0.5).log and drawn("temperature", temperature=5.0).log
    assert drawn("skew", skew=0.5).kind == "change"
    even = KeptRow.of("m", (), np.linspace(0.5, 0.0, 5000, dtype=np.float32))
    for temperature in (0.1, 5.0):
        chain = Chain.parse([["temperature", {"temperature": temperature}]])
        picture = mini(funnel(even, chain, Situation()).stages[0])
        assert picture is not None and not picture.log


def test_penalties_show_only_what_they_touched() -> None:
    picture = drawn("repetition_penalty", repetition_penalty=1.5)
    assert sorted(picture.tokens) == sorted([int(ORDER[0]), int(ORDER[3])])
    assert all(after < before for before, after in zip(picture.y, picture.after, strict=True))


def entropy() -> float:
    return float(-(P * np.log(P)).sum())


@pytest.mark.parametrize(
    ("name", "values", "limit"),
    [
        ("top_a", {"top_a": 0.3}, 0.3 * P.max() ** 2),
        ("epsilon_cutoff", {"epsilon_cutoff": 0.01}, 0.01),
        ("eta_cutoff", {"eta_cutoff": 0.01}, min(0.01, 0.1 * math.exp(-entropy()))),
        ("p_less", {}, (P * P).sum()),
    ],
)
def test_what_cuts_at_a_probability_shows_it_with_its_limit(name: str, values: dict[str, Any], limit: float) -> None:
    picture = drawn(name, **values)
    assert picture.kind == "bars" and picture.what == "probability" and picture.log
    assert picture.line == pytest.approx(limit, rel=1e-5)
    np.testing.assert_allclose(picture.y, BEST[: len(picture.y)], rtol=1e-5)
    assert list(picture.kept) == [y >= limit for y in BEST[: len(picture.y)]]
    assert True in picture.kept and False in picture.kept


def test_top_k_keeps_the_first_bars_and_stops_there() -> None:
    picture = drawn("top_k", top_k=7)
    assert picture.stop == 7
    (all_kept,) = funnel(KeptRow.of("m", (), LOGITS), Chain.parse([["top_k", {"top_k": 9000}]]), Situation()).stages
    whole = mini(all_kept)
    assert whole is not None and whole.stop is None
    np.testing.assert_allclose(picture.y, BEST[: len(picture.y)], rtol=1e-5)
    assert picture.line is None and picture.what == "probability"
    assert list(picture.kept) == [place < 7 for place in range(len(picture.y))] and len(picture.y) > 7


def test_what_stays_is_below_the_line_of_its_staircase() -> None:
    bends = np.abs(np.diff(BEST, n=2))
    sums = np.cumsum(bends / bends.sum())
    tfs = drawn("tfs", tfs=0.9)
    count = sum(tfs.kept)
    assert 1 < count < len(tfs.kept) and tfs.line == 0.9 and list(tfs.kept) == sorted(tfs.kept, reverse=True)
    assert count == int((sums <= 0.9).sum())
    top_h = drawn("top_h", top_h=0.7)
    count = sum(top_h.kept)
    assert 1 < count < len(top_h.kept) and top_h.what == "entropy_share"
    hundred = BEST[:100] / BEST[:100].sum()
    parts = np.cumsum(-hundred * np.log(hundred))
    assert count == int((parts <= 0.7 * parts[-1]).sum())


def test_typical_keeps_what_is_nearest_the_entropy_until_it_adds_up() -> None:
    picture = drawn("typical_p", typical_p=0.5)
    far = np.abs(-np.log(BEST) - entropy())
    near = np.argsort(far, kind="stable")
    stay = set(near[: int((np.cumsum(BEST[near]) < 0.5).sum()) + 1].tolist())
    assert list(picture.kept) == [place in stay for place in range(len(picture.y))]
    assert True in picture.kept and False in picture.kept


def test_top_n_sigma_keeps_what_is_above_its_line() -> None:
    picture = drawn("top_n_sigma", top_n_sigma=2.0)
    assert list(picture.kept) == [y >= -2.0 for y in picture.y]
    assert True in picture.kept and False in picture.kept


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_has_a_picture_of_finite_numbers(name: str) -> None:
    kept = KeptRow.of("m", (1, 1), LOGITS)
    (stage,) = funnel(kept, Chain.parse([[name, {}]]), Situation()).stages
    picture = mini(stage)
    assert (picture is None) == (stage.off or name == "guidance")  # which does nothing without a negative prompt
    if picture is not None:
        assert np.isfinite([*picture.y, *picture.after]).all()


def test_what_is_off_has_no_picture() -> None:
    (stage,) = funnel(KeptRow.of("m", (), LOGITS), Chain.parse([["min_p", {"min_p": 0}]]), Situation()).stages
    assert mini(stage) is None
