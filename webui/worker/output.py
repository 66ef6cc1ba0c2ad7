"""What is told about a sequence: events in their wire form, built without detours because each token makes one."""

from __future__ import annotations

import time
from typing import Any

from webui.engines.base import Engine
from webui.errors import WebUIError
from webui.samplers.state import Pick
from webui.worker.jobs import Sequence

Event = dict[str, Any]


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


def finished(sequence: Sequence, reason: str) -> Event:
    """The last event of a choice, with all its figures and the text that was still held back."""
    now = time.monotonic()
    job = sequence.job
    text = sequence.stops.end()
    if reason != "cancelled" and sequence.stops.stop_string is not None:
        reason = "stop_string"
    prompt_done = sequence.prompt_done or now
    return {
        "kind": "finished",
        "choice": sequence.index,
        "reason": reason,
        "seed": sequence.state.seed,
        "text": text,
        "stop_string": sequence.stops.stop_string,
        "prompt_tokens": len(job.prompt),
        "cached_tokens": sequence.cached,
        "tokens": sequence.count,
        "context_used": (len(job.prompt) + sequence.count) if sequence.prompt_done else sequence.read,
        "first_token_seconds": sequence.first_token - job.arrived if sequence.first_token else 0.0,
        "prompt_seconds": prompt_done - sequence.started if sequence.started else 0.0,
        "generation_seconds": now - sequence.prompt_done if sequence.prompt_done else 0.0,
    }


class Writer:
    """Turns tokens into bytes, text and events."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shown: dict[int, str] = {}

    def ends(self, sequence: Sequence, token: int) -> bool:
        """Whether the reply ends with this token."""
        job = sequence.job
        if token in job.stop_tokens:
            return True
        return self._engine.is_end(token) and not (job.request and job.request.ignore_eos)

    def shown(self, token: int) -> str:
        """A token as a person may see it: control tokens by name, single bytes of a character as \\xe2."""
        text = self._shown.get(token)
        if text is None:
            text = self._shown[token] = self._engine.piece(token, special=True).decode("utf-8", "backslashreplace")
        return text

    def progress(self, events: list[Any], sequence: Sequence) -> None:
        job = sequence.job
        if job.request is None or sequence.index:
            return
        events.append(
            [job.id, {"kind": "prompt", "done": sequence.read, "total": len(job.prompt), "cached": sequence.cached}]
        )

    def token(self, events: list[Any], sequence: Sequence, pick: Pick) -> None:
        job, token = sequence.job, pick.token
        special = job.request is not None and job.request.echo_special
        text = sequence.stops.feed(sequence.joiner.feed(self._engine.piece(token, special=special)))
        event: Event = {
            "kind": "token",
            "choice": sequence.index,
            "token": token,
            "text": text,
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
        events.append([job.id, event])
