"""Choosing the next token of a sequence: chain, then constraint and bars, then what it means for the reply.

Knows rows and sequences; nothing of slots, batches or sockets.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from webui.engines.base import Engine, Row
from webui.errors import WebUIError
from webui.samplers.state import Pick, Vocabulary
from webui.worker.jobs import Sequence
from webui.worker.limits import repeats
from webui.worker.output import Writer
from webui.worker.reply import Point

Outcome = Literal["go_on", "go_back", "stop", "stop_string", "length", "loop", "time"]

_LOOP_EVERY = 8


class Picker:
    def __init__(self, writer: Writer, n_vocab: int) -> None:
        self._writer = writer
        self._n_vocab = n_vocab

    def advance(self, sequence: Sequence, row: Row, negative: Row | None) -> Outcome:
        """The row after the last token of a sequence is here: choose and record the next one.

        "go_back" means that a banned string was complete: history, state and reply stand again before it.
        """
        place = len(sequence.history)
        point = None
        if sequence.reply.watches:
            constraint = sequence.constraint.copy() if sequence.constraint is not None else None
            point = Point(place, -1, (sequence.state.copy(), constraint))
        pick = self._pick(sequence, row, negative)
        token = pick.token
        sequence.state.accept(pick)
        sequence.first_token = sequence.first_token or time.monotonic()
        if self._writer.ends(sequence, token):
            sequence.ending = token
            return "stop"
        if sequence.constraint is not None:
            sequence.constraint.accept(token)
        sequence.history.append(token)
        sequence.token = token
        sequence.count += 1
        if point is not None:
            point.token = token
        if (back := self._writer.token(sequence, pick, point)) is not None:
            self._go_back(sequence, back)
            return "go_back"
        return self._outcome(sequence)

    def _pick(self, sequence: Sequence, row: Row, negative: Row | None) -> Pick:
        chain = sequence.job.chain
        request = sequence.job.request
        assert chain is not None and request is not None, "a generation has a chain and a request"
        barred = sequence.barred.get(len(sequence.history)) if sequence.barred else None

        def run(allowed: NDArray[np.bool_] | None) -> Pick:
            return chain.run(row, sequence.history, sequence.state, allowed, sequence.trace, negative)

        constraint = sequence.constraint
        endings = self._writer.endings(sequence) if sequence.count < request.min_tokens else ()
        if not barred and not endings:
            pick = run(None)
            if constraint is None or constraint.allows(pick.token):
                return pick
        allowed = constraint.mask() if constraint is not None else np.ones(self._n_vocab, np.bool_)
        if barred:
            allowed[list(barred)] = False
        if constraint is not None and not allowed.any():
            reason = constraint.error or "no token fits it here"
            raise WebUIError(f"The constraint cannot be kept any longer: {reason}.", code="constraint_failed")
        if endings:
            longer = allowed.copy()
            longer[list(endings)] = False
            # Where a constraint allows nothing but the end, it ends too early.
            allowed = longer if longer.any() else allowed
        return run(allowed)

    def _outcome(self, sequence: Sequence) -> Outcome:
        request = sequence.job.request
        assert request is not None, "a generation has a request"
        if sequence.reply.stops.stop_string is not None:
            return "stop_string"
        if sequence.constraint is not None and sequence.constraint.finished:
            return "stop"
        if sequence.count >= sequence.job.limit:
            return "length"
        if request.loop_limit and sequence.count % _LOOP_EVERY == 0:
            generated = sequence.history.tokens[len(sequence.prompt) :]
            if repeats(generated, request.loop_limit):
                return "loop"
        if request.max_seconds and time.monotonic() - sequence.started > request.max_seconds:
            return "time"
        if request.max_tokens_per_second:
            pace = 1 / request.max_tokens_per_second
            sequence.not_before = max(sequence.not_before + pace, time.monotonic())
        return "go_on"

    @staticmethod
    def _go_back(sequence: Sequence, point: Point) -> None:
        state: Any
        state, constraint = point.state
        sequence.count -= len(sequence.history) - point.position
        sequence.history.truncate(point.position)
        sequence.state, sequence.constraint = state, constraint
        sequence.barred = {place: tokens for place, tokens in sequence.barred.items() if place <= point.position}
        sequence.barred.setdefault(point.position, set()).add(point.token)


def make_vocabulary(engine: Engine) -> Vocabulary:
    """What samplers may ask about the engine's tokens."""
    info = engine.info
    newline = engine.tokenize("\n", add_bos=False, special=False)
    return Vocabulary(
        size=info.n_vocab,
        end_ids=info.end_ids,
        newline_ids=tuple(newline[-1:]),
        pieces=lambda token: engine.piece(token),
        tokenize=lambda text: engine.tokenize(text, add_bos=False, special=False),
    )
