from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from webui.worker.limits import LOOP_SPAN, guess, next_guesses, repeats


def tokens(values):
    return np.array(values, dtype=np.int32)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(2, 6), st.lists(st.integers(6, 9), max_size=9))
def test_a_passage_said_often_enough_is_a_loop(passage, times, before):
    said = times + LOOP_SPAN // len(passage) + 1
    assert repeats(tokens([*before, *passage * said]), times)


def test_text_that_does_not_repeat_is_none():
    assert not repeats(tokens(range(500)), 2)
    assert not repeats(tokens([*range(100), 1, 2, 3, 1, 2, 3]), 2)
    assert not repeats(tokens([7] * (LOOP_SPAN - 1)), 2)
    assert not repeats(tokens([]), 5)


def test_once_too_few_is_none():
    passage = list(range(40))
    assert not repeats(tokens(passage * 2), 3)
    assert repeats(tokens(passage * 3), 3)


def test_guesses_grow_while_they_come_true_and_shrink_to_what_does():
    assert [next_guesses(4, right) for right in range(5)] == [2, 2, 3, 4, 8]


def test_a_guess_is_what_followed_the_longest_ending():
    assert guess(tokens([1, 2, 3, 4, 9, 9, 1, 2, 3]), 2) == [4, 9]
    assert guess(tokens([5, 2, 3, 8, 1, 2, 3, 4, 0, 1, 2, 3]), 1) == [4]
    assert guess(tokens([1, 2, 3]), 4) == []
    assert guess(tokens([]), 4) == []


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 8))
def test_a_guess_always_stood_after_the_same_ending(values, count):
    found = guess(tokens(values), count)
    assert len(found) <= count
    if found:
        text, ending = bytes(values), bytes(values[-2:])
        places = [p for p in range(len(values) - 2) if text[p : p + 2] == ending]
        assert any(text[p + 2 : p + 2 + len(found)] == bytes(found) for p in places)
