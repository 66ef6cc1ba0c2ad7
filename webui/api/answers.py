"""Events as the JSON of OpenAI's two generating calls, whole or in chunks. Pure: no HTTP, no waiting.

Our own extras stand beside OpenAI's fields: `seed`, `chain` and `timings` (named as llama.cpp names them).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from webui.api.speech import Said, Speech, delta
from webui.chat.tools import Part
from webui.types import Finished, StopReason, Token

Kind = Literal["completion", "chat"]

FINISH: Mapping[StopReason, str] = {
    "stop": "stop",
    "stop_string": "stop",
    "length": "length",
    "cancelled": "stop",
    "time": "length",
    "loop": "length",
    "error": "stop",
}


def ended_by(finished: Finished) -> str | None:
    """What `finish_reason` has no word for: the stop string, or which limit of the request's own it was."""
    return finished.reason if finished.reason in ("loop", "time") else finished.stop_string


@dataclass(frozen=True, slots=True)
class Head:
    """What every part of one answer repeats."""

    kind: Kind
    model: str
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def new(cls, kind: Kind, model: str) -> Head:
        prefix = "chatcmpl-" if kind == "chat" else "cmpl-"
        return cls(kind, model, prefix + secrets.token_hex(12))

    def fields(self, *, chunk: bool) -> dict[str, Any]:
        name = (
            "text_completion" if self.kind == "completion" else "chat.completion.chunk" if chunk else "chat.completion"
        )
        return {
            "id": self.id,
            "object": name,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
        }


def timings(finished: Finished) -> dict[str, Any]:
    """How long it took, under llama.cpp's names."""
    read = max(finished.prompt_tokens - finished.cached_tokens, 0)
    prompt, made = finished.prompt_seconds, finished.generation_seconds
    return {
        "cache_n": finished.cached_tokens,
        "prompt_n": read,
        "prompt_ms": round(prompt * 1000, 3),
        "prompt_per_second": round(read / prompt, 2) if prompt > 0 else 0.0,
        "predicted_n": finished.tokens,
        "predicted_ms": round(made * 1000, 3),
        "predicted_per_second": round(finished.tokens_per_second, 2),
        "first_token_ms": round(finished.first_token_seconds * 1000, 3),
    }


def usage(finished: Sequence[tuple[int, Finished]]) -> dict[str, Any]:
    """Tokens of all choices together; each generation's prompt counts once. `finished` has the generation's number."""
    prompts = {number: (end.prompt_tokens, end.cached_tokens) for number, end in reversed(finished)}
    made = sum(end.tokens for _, end in finished)
    prompt = sum(tokens for tokens, _ in prompts.values())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": sum(cached for _, cached in prompts.values())},
    }


class Chunks:
    """The pieces of a streamed answer, as ready server-sent events. The part that never changes is made once."""

    def __init__(self, head: Head, made: Mapping[str, Any]) -> None:
        self.head = head
        self._made = made
        fixed = orjson.dumps(head.fields(chunk=True))
        # Without its closing brace: what follows is put together by hand, since this runs for every token.
        self._open = b"data: " + fixed[:-1] + b',"choices":[{"index":'
        self._text = b',"text":' if head.kind == "completion" else b',"delta":{"content":'
        self._close = (b"" if head.kind == "completion" else b"}") + b',"logprobs":'

    def begin(self, choice: int, echo: str = "") -> bytes:
        """What comes before the first token: the role of a chat, the echoed prompt of a completion."""
        if self.head.kind == "completion":
            return self.text(choice, echo) if echo else b""
        delta = b',"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        return b"%b%d%b" % (self._open, choice, delta)

    def part(self, choice: int, part: Part, logprobs: Any = None) -> bytes:
        """Any part of a chat."""
        fields = orjson.dumps(delta(part))
        known = b"null" if logprobs is None else orjson.dumps(logprobs)
        return b'%b%d,"delta":%b,"logprobs":%b,"finish_reason":null}]}\n\n' % (self._open, choice, fields, known)

    def text(self, choice: int, text: str, logprobs: Any = None) -> bytes:
        return b'%b%d%b%b%b%b,"finish_reason":null}]}\n\n' % (
            self._open,
            choice,
            self._text,
            orjson.dumps(text),
            self._close,
            b"null" if logprobs is None else orjson.dumps(logprobs),
        )

    def end(self, choice: int, finished: Finished, *, called: bool = False) -> bytes:
        """The last chunk of a choice, with how it was made."""
        reason = "tool_calls" if called else FINISH[finished.reason]
        if self.head.kind == "completion":
            body: dict[str, Any] = {"index": choice, "text": "", "logprobs": None, "finish_reason": reason}
        else:
            body = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": reason}
        extras = {"seed": finished.seed, **self._made, "timings": timings(finished)}
        data = {**self.head.fields(chunk=True), "choices": [{**body, "stop_reason": ended_by(finished)}], **extras}
        return b"data: " + orjson.dumps(data) + b"\n\n"

    def usage(self, finished: Sequence[tuple[int, Finished]]) -> bytes:
        data = {**self.head.fields(chunk=True), "choices": [], "usage": usage(finished)}
        return b"data: " + orjson.dumps(data) + b"\n\n"


@dataclass(slots=True)
class Choice:
    """One choice of an answer that is given whole."""

    speech: Speech
    said: Said = field(default_factory=Said)
    tokens: list[Token] = field(default_factory=list)
    end: Finished | None = None

    def add(self, event: Token) -> None:
        self.said.add(self.speech.token(event))
        if event.token >= 0:
            self.tokens.append(event)

    def finish(self, event: Finished) -> None:
        self.said.add(self.speech.end(event))
        self.end = event

    @property
    def reason(self) -> str:
        assert self.end is not None
        return "tool_calls" if self.speech.called else FINISH[self.end.reason]


def whole(
    head: Head,
    choices: Iterable[dict[str, Any]],
    finished: Sequence[tuple[int, Finished]],
    made: Mapping[str, Any],
) -> bytes:
    """A complete answer; `choices` are ready for JSON, `made` tells how it was made."""
    first = finished[0][1]
    extras = {"seed": first.seed, **made, "timings": timings(first)}
    return orjson.dumps({**head.fields(chunk=False), "choices": list(choices), "usage": usage(finished), **extras})
