from __future__ import annotations

import numpy as np
import pytest

from tests.lab.reference import bits, example_row, softmax
from webui.errors import BadValue
from webui.lab.rows import HEAD, KeptRow, RowCache


def test_a_kept_row_has_the_exact_figures_of_the_whole_row() -> None:
    logits = example_row(6000)
    kept = KeptRow.of("m", (1, 2), logits)
    p = softmax(logits)
    order = np.argsort(-logits, kind="stable")
    assert kept.head.tolist() == order[:HEAD].tolist()
    assert kept.rest_count == 6000 - HEAD
    assert kept.rest_mass == pytest.approx(p[order[HEAD:]].sum(), rel=1e-9)
    assert kept.rest_mass + kept.raw(kept.head).sum() == pytest.approx(1.0, abs=1e-12)
    assert kept.entropy == pytest.approx(bits(p), rel=1e-9)
    np.testing.assert_allclose(kept.raw(np.arange(6000)), p, rtol=1e-9)


def test_ranks_are_those_of_a_stable_sort_even_far_down_and_among_equals() -> None:
    logits = np.repeat(example_row(500), 2)
    kept = KeptRow.of("m", (), logits)
    order = np.argsort(-logits, kind="stable")
    for place in (0, 1, 2, 499, 998, 999):
        assert kept.rank(int(order[place])) == place + 1


def test_the_curve_runs_over_the_whole_vocabulary() -> None:
    logits = example_row(20_000)
    kept = KeptRow.of("m", (), logits)
    descending = np.sort(softmax(logits))[::-1]
    ranks = [rank for rank, _ in kept.curve]
    assert ranks[0] == 1 and ranks[-1] == 20_000 and ranks == sorted(set(ranks))
    for rank, probability in kept.curve:
        assert probability == pytest.approx(descending[rank - 1], rel=1e-9)


def test_banned_tokens_in_the_row_are_no_trouble() -> None:
    logits = np.array([0.0, -np.inf, 1.0], dtype=np.float32)
    kept = KeptRow.of("m", (), logits)
    assert kept.raw(np.array([1]))[0] == 0.0
    assert kept.entropy == pytest.approx(bits(softmax(logits)))


@pytest.mark.parametrize("bad", [[], [np.nan, 1.0], [-np.inf, -np.inf], [np.inf, 0.0], [[1.0, 2.0]]])
def test_what_is_no_row_is_refused(bad: list[float]) -> None:
    with pytest.raises(BadValue):
        KeptRow.of("m", (), np.array(bad, dtype=np.float32))


def test_a_kept_row_cannot_be_written_to_and_owns_its_numbers() -> None:
    logits = example_row(100)
    kept = KeptRow.of("m", (), logits)
    before = kept.row.copy()
    logits[:] = 0
    assert (kept.row == before).all()
    with pytest.raises(ValueError):
        kept.row[0] = 1.0


def test_the_name_of_a_row_depends_on_model_and_tokens() -> None:
    logits = example_row(100)
    names = {KeptRow.of(model, tokens, logits).id for model in ("a", "b") for tokens in ((), (1,), (1, 2), (12,))}
    assert len(names) == 8
    assert KeptRow.of("a", (1, 2), logits).id in names


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    rows = [KeptRow.of("m", (n,), example_row(1000, seed=n)) for n in range(4)]
    cache = RowCache(limit=3 * rows[0].nbytes)
    for row in rows[:3]:
        cache.put(row)
    assert cache.get(rows[0].id) is rows[0]
    cache.put(rows[3])
    assert cache.get(rows[1].id) is None
    assert cache.get(rows[0].id) is rows[0] and len(cache) == 3
    assert cache.nbytes == sum(row.nbytes for row in (rows[0], rows[2], rows[3])) <= 3 * rows[0].nbytes
    cache.put(rows[3])
    assert len(cache) == 3


def test_a_row_above_the_limit_is_not_kept() -> None:
    row = KeptRow.of("m", (), example_row(1000))
    cache = RowCache(limit=row.nbytes - 1)
    assert cache.put(row) is row
    assert len(cache) == 0 and cache.nbytes == 0


def test_rows_make_room_for_what_others_keep_under_the_same_limit() -> None:
    rows = [KeptRow.of("m", (n,), example_row(1000, seed=n)) for n in range(4)]
    cache = RowCache(limit=4 * rows[0].nbytes)
    for row in rows[:3]:
        cache.put(row)
    cache.share(2 * rows[0].nbytes)
    assert len(cache) == 2 and cache.get(rows[0].id) is None
    cache.put(rows[3])
    assert cache.nbytes + 2 * rows[0].nbytes <= 4 * rows[0].nbytes and cache.get(rows[3].id) is rows[3]
    cache.share(0)
    cache.put(rows[0])
    assert len(cache) == 3
