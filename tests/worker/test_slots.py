from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from webui.engines.base import ANYWHERE
from webui.worker.slots import Content, Slot, as_tokens, choose, common_prefix, cut_down, next_cut
from webui.worker.store import Store


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_common_prefix_is_what_it_says(one, other):
    found = common_prefix(as_tokens(one), as_tokens(other))
    assert one[:found] == other[:found]
    assert found == min(len(one), len(other)) or one[found] != other[found]


@given(st.integers(1, 2000), st.integers(0, 2000), st.sampled_from([ANYWHERE, 64, 128]), st.sampled_from([64, 128]))
def test_reading_goes_on_where_cold_reading_could_have_stood(length, place, grid, chunk):
    """Taken up again anywhere, the chunks are the cold ones (on a grid) or never a single token (anywhere)."""
    chunk = max(chunk, grid)
    start = cut_down(min(place, length - 1), length, grid)
    assert 0 <= start < length

    def cuts(at):
        found = []
        while at < length:
            end = next_cut(at, length, chunk, grid)
            found.append((at, end))
            at = end
        return found

    warm, cold = cuts(start), cuts(0)
    assert warm[-1][1] == cold[-1][1] == length
    assert all(0 < end - at <= chunk for at, end in warm)
    if grid == ANYWHERE:
        assert length == 1 or all(end - at >= 2 for at, end in [*warm, *cold])
    elif chunk == grid:
        assert set(warm) <= set(cold)


def slot(index, tokens, *, busy=False, used=0.0, solid=None):
    content = Content(as_tokens(tokens), len(tokens) if solid is None else solid)
    return Slot(index, content, owner="somebody" if busy else None, used=used)


LONG = list(range(400))


def test_the_slot_with_most_of_the_prompt_is_taken():
    slots = [slot(0, [9] * 50), slot(1, LONG[:300]), slot(2, [])]
    place = choose(slots, as_tokens(LONG), ANYWHERE)
    assert place is not None and place.slot.index == 1 and place.cached == 300 and place.source is None


def test_generated_tokens_are_not_used_again():
    place = choose([slot(0, LONG, solid=100)], as_tokens([*LONG, 1, 2]), ANYWHERE)
    assert place is not None and place.cached == 100


def test_without_a_match_the_longest_unused_goes_first():
    slots = [slot(0, [9] * 300, used=3.0), slot(1, [8] * 300, used=1.0), slot(2, [7] * 300, used=2.0)]
    place = choose(slots, as_tokens(LONG), ANYWHERE)
    assert place is not None and place.slot.index == 1


def test_an_empty_slot_is_better_than_another_conversation():
    place = choose([slot(0, [9] * 300), slot(1, [])], as_tokens(LONG), ANYWHERE)
    assert place is not None and place.slot.index == 1


def test_a_busy_slot_can_be_copied_from():
    place = choose([slot(0, LONG[:350], busy=True), slot(1, [])], as_tokens(LONG), ANYWHERE)
    assert place is not None and place.slot.index == 1 and place.cached == 350
    assert place.source is not None and place.source.index == 0


def test_nothing_is_free():
    assert choose([slot(0, [], busy=True)], as_tokens(LONG), ANYWHERE) is None


def test_the_row_after_a_whole_prompt_saves_reading_it():
    content = Content(as_tokens(LONG), 400, np.zeros(4, np.float32), 200)
    assert content.usable(as_tokens(LONG[:200]), 128) == 200
    assert content.usable(as_tokens(LONG[:201]), 128) == 128
    content.cut(150)
    assert content.row is None and content.solid == 150


def kept(tokens):
    return Content(as_tokens(tokens), len(tokens))


def test_the_store_drops_the_oldest_and_never_outgrows_its_limit():
    store = Store(100)
    for first in range(5):
        store.put(kept([first] * 10), bytes(40))
        assert store.size <= 100
    assert len(store) == 2
    assert store.best(as_tokens([0] * 20), ANYWHERE)[0] is None
    found, usable = store.best(as_tokens([4] * 20), ANYWHERE)
    assert found is not None and usable == 10


def test_a_longer_version_of_a_conversation_replaces_the_shorter():
    store = Store(1000)
    store.put(kept([1, 2, 3]), bytes(10))
    store.put(kept([1, 2, 3, 4]), bytes(20))
    assert len(store) == 1 and store.size == 20


def test_what_is_larger_than_the_whole_store_is_not_kept():
    store = Store(10)
    store.put(kept([1, 2, 3]), bytes(11))
    assert len(store) == 0
