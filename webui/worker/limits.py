"""Small judges of a running reply: does it repeat itself, and what did it say before that may come again. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

LOOP_WINDOW = 2048
LOOP_SPAN = 24
"""A loop is at least so many tokens long in all: a row of dashes or a short refrain is none."""
_LOOKUP_WINDOW = 8192


def repeats(tokens: Tokens, times: int) -> bool:
    """Whether the end of the tokens is the same passage `times` times over."""
    if times < 2 or len(tokens) < LOOP_SPAN:
        return False
    window = tokens[-LOOP_WINDOW:]
    longest = len(window) // times
    # Only a distance at which the last token already stood can be a period.
    for period in (np.flatnonzero(window[-1 - longest : -1][::-1] == window[-1]) + 1).tolist():
        span = max(period * times, LOOP_SPAN)
        if span <= len(window) and np.array_equal(window[-span + period :], window[-span:-period]):
            return True
    return False


def next_guesses(tried: int, right: int) -> int:
    """How many tokens to guess next time: each that is wrong was work for nothing, so no more than seem to come true.

    Looks at what was right before and at nothing else, so that a request repeated is computed in the same batches.
    """
    return 2 * tried if right == tried else max(right + 1, tried // 2)


def guess(tokens: Tokens, count: int, longest: int = 4, shortest: int = 2) -> list[int]:
    """What followed the last time the text ended like this: up to `count` tokens, from the longest ending that fits."""
    window = tokens[-_LOOKUP_WINDOW:]
    for size in range(min(longest, len(window) - 1), shortest - 1, -1):
        ending = window[-size:]
        places = np.flatnonzero(window[size - 1 : -1] == ending[-1])
        for back in range(1, size):
            if not len(places):
                break
            places = places[window[places + size - 1 - back] == ending[-1 - back]]
        if len(places):
            start = int(places[-1]) + size
            return [int(token) for token in window[start : start + count]]
    return []
