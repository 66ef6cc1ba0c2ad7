"""What is told about a sequence: events in their wire form, built without detours because each token makes one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from webui.engines.base import Engine
from webui.errors import WebUIError
from webui.samplers.state import Pick
from webui.worker.channels import HARMONY, TAGS
from webui.worker.jobs import Sequence
from webui.worker.reply import Point

PICTURE = 1 / 15
"""Seconds between two tellings that can wait; the page draws hardly more often."""

Event = dict[str, Any]
Emit = Callable[[list[Any]], None]


def queued(place: int) -> Event:
    return {"kind": "queued", "place": place}


def failed(error: WebUIError) -> Event:
    return {
        "kind": "failed",
        "message": error.message,
        "code": error.code,
        "param": error.param,
        "values": dict(error.values),
    }


def finished(sequence: Sequence, reason: str) -> list[Event]:
    """The last events of a choice: what was still held back, then all its figures."""
    now = time.monotonic()
    job, stops = sequence.job, sequence.reply.stops
    text = sequence.reply.end()
    if reason != "cancelled" and stops.stop_string is not None:
        reason = "stop_string"
    prompt_done = sequence.prompt_done or now
    last = {
        "kind": "finished",
        "choice": sequence.index,
        "reason": reason,
        "seed": sequence.state.seed,
        "text": text,
        "stop_string": stops.stop_string,
        "prompt_tokens": len(job.prompt),
        "cached_tokens": sequence.cached,
        "tokens": sequence.count,
        "context_used": (len(job.prompt) + sequence.count) if sequence.prompt_done else sequence.read,
        "first_token_seconds": sequence.first_token - job.arrived if sequence.first_token else 0.0,
        "prompt_seconds": prompt_done - sequence.started if sequence.started else 0.0,
        "generation_seconds": now - sequence.prompt_done if sequence.prompt_done else 0.0,
    }
    return [*sequence.reply.out, last]


class Outbox(list[Any]):
    """Events on their way out, each as [id, event].

    Whoever hears of a token works for a moment. Where the engine fills all cores that moment is taken from the next
    token, so that there a few tokens are told together.
    """

    def __init__(self, emit: Emit, *, patient: bool) -> None:
        super().__init__()
        self._emit = emit
        self._patient = patient
        self._told = 0.0
        self.urgent = False
        """Whether somebody's first token is among them."""

    @property
    def may_wait(self) -> bool:
        """Whether they only say how replies go on, and nobody minds if that is told a little later."""
        return self._patient and not self.urgent and all(event["kind"] == "token" for _, event in self)

    def flush_due(self) -> None:
        """Flush, unless it was done a moment ago."""
        if time.monotonic() - self._told >= PICTURE:
            self.flush()

    def flush(self) -> None:
        if self:
            events = list(self)
            self.clear()
            self.urgent = False
            self._told = time.monotonic()
            self._emit(events)


class Writer:
    """Turns tokens into bytes, text and events."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shown: dict[int, str] = {}
        names = {tag: engine.tokenize(tag, add_bos=False, special=True) for tag in (*sum(TAGS, ()), *HARMONY)}
        marks = {tag: tokens[0] for tag, tokens in names.items() if len(tokens) == 1}
        self.special_tokens = tuple(marks)
        """The tags of thinking that are single tokens of this vocabulary."""
        self._marks = frozenset(marks.values())

    def ends(self, sequence: Sequence, token: int) -> bool:
        """Whether the reply ends with this token."""
        job = sequence.job
        if token in job.stop_tokens:
            return True
        return self._engine.is_end(token) and not (job.request and job.request.ignore_eos)

    def endings(self, sequence: Sequence) -> list[int]:
        """The tokens that would end the reply."""
        job = sequence.job
        own = () if job.request and job.request.ignore_eos else self._engine.info.end_ids
        return [*job.stop_tokens, *own]

    def shown(self, token: int) -> str:
        """A token as a person may see it: control tokens by name, single bytes of a character as \\xe2."""
        text = self._shown.get(token)
        if text is None:
            text = self._shown[token] = self._engine.piece(token, special=True).decode("utf-8", "backslashreplace")
        return text

    def progress(self, events: list[Any], sequence: Sequence) -> None:
        job = sequence.job
        if job.request is None or sequence.index or sequence.leader is not None:
            return
        events.append(
            [job.id, {"kind": "prompt", "done": sequence.read, "total": len(job.prompt), "cached": sequence.cached}]
        )

    def token(self, sequence: Sequence, pick: Pick, point: Point | None) -> Point | None:
        """Add a token to its reply; a Point if the reply must go back."""
        request, token = sequence.job.request, pick.token
        special = request is not None and (request.echo_special or (token in self._marks and bool(request.reasoning)))
        event: Event = {
            "kind": "token",
            "choice": sequence.index,
            "token": token,
            "text": "",
            "piece": self.shown(token),
            "final": pick.probability,
        }
        if figures := pick.figures:
            event["raw"], event["rank"], event["entropy"] = figures.raw, figures.rank, figures.entropy
            if figures.alternatives:
                event["alternatives"] = [
                    {"token": a.token, "text": self.shown(a.token), "raw": a.raw, "final": a.final}
                    for a in figures.alternatives
                ]
        return sequence.reply.push(event, self._engine.piece(token, special=special), point)
