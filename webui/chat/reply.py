"""A reply while it is being written: its text, where it stands, and in the end the figures that explain and repeat it.

Knows events and times; nothing of tasks, storage or pages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from webui.chat.prompt import Prompt
from webui.runtime.fallback import Miss
from webui.types import Event, Failed, Finished, ModelInfo, PromptProgress, Queued, Step, Token

Stage = Literal["waiting", "loading", "queued", "prompt", "writing", "done"]


@dataclass(slots=True)
class Reply:
    """`base` is the text that was there before (when a reply is continued), `earlier` its figures.

    `thoughts` is what a reasoning model thinks before it answers. `trace` has for each token: id, piece, its raw and
    final probability, rank, the choice's entropy in bits, and the likeliest others as [text, raw, final].
    """

    chat: int
    node: int
    base: str = ""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    stage: Stage = "waiting"
    done: float = 0.0
    total: float = 0.0
    tokens: int = 0
    version: int = 0
    reason: str = ""
    problem: dict[str, Any] | None = None
    started: float = field(default_factory=time.monotonic)
    asked: float = 0.0
    first_token: float = 0.0
    latest_token: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    trace: list[list[Any]] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    """The models of the fallback order that were asked before, in vain."""

    @property
    def text(self) -> str:
        """The whole reply so far."""
        if len(self.parts) > 1:
            self.parts[:] = ["".join(self.parts)]
        return self.base + (self.parts[0] if self.parts else "")

    def loading(self, progress: float) -> None:
        self._move("loading", progress, 1.0)

    def begin(self, info: ModelInfo, prompt: Prompt, chain: tuple[Step, ...], seed: int, system: str) -> None:
        """The request is about to be made: note all that is needed to make it again."""
        self.asked = time.monotonic()
        self.figures = {
            "model": info.name,
            "n_ctx": info.n_ctx,
            "seed": seed,
            "chain": [{"sampler": step.sampler, "values": dict(step.values)} for step in chain],
            "system": system,
            "prompt_tokens": prompt.tokens,
            "dropped": prompt.dropped,
            "first": prompt.first,
        }
        if loras := info.extra.get("loras"):
            self.figures["loras"] = loras
        self._move("waiting")

    def take(self, event: Event) -> None:
        match event:
            case Queued():
                self._move("queued", event.place)
            case PromptProgress():
                self._move("prompt", event.done, event.total)
            case Token():
                self._token(event)
            case Finished():
                self._write(event.text)
                self._finish(event)
            case Failed():
                self.failed(event.code, event.message, event.values)

    def say_instead(self, text: str) -> None:
        """No model answered, and this is what the fallback order says then."""
        self.reason = "fallback_text"
        self._write(text)
        self._move("done")

    def stopped(self) -> None:
        """Broken off by us: the figures are those of our own clock."""
        self.reason = self.reason or "cancelled"
        self.figures.update(self._own_clock())
        self._move("done")

    def failed(self, code: str, message: str, values: Mapping[str, Any]) -> None:
        self.reason = "error"
        self.warn(code, message, values)
        self.figures.update(self._own_clock())
        self._move("done")

    def warn(self, code: str, message: str, values: Mapping[str, Any]) -> None:
        self.problem = {"code": code, "message": message, "values": dict(values)}
        self.version += 1

    def meta(self) -> dict[str, Any]:
        """What is kept beside the text."""
        meta = {**self.figures, "reason": self.reason}
        thoughts = str(self.earlier.get("thoughts", "")) + "".join(self.thoughts)
        if thoughts:
            meta["thoughts"] = thoughts
        if self.trace:
            meta["traced"] = True
        if self.misses:
            meta["fallback"] = [{**miss.as_data(), "values": dict(miss.values)} for miss in self.misses]
        if self.problem:
            meta["problem"] = self.problem
        if self.base:
            meta["continued"] = int(self.earlier.get("continued", 0)) + 1
            wanted = ("seed", "tokens", "model", "reason", "chain", "loras")
            meta["earlier"] = {name: value for name, value in self.earlier.items() if name in wanted}
        return meta

    @property
    def speed(self) -> float:
        """Tokens a second so far."""
        span = self.latest_token - self.first_token
        return (self.tokens - 1) / span if self.tokens > 1 and span > 0 else 0.0

    def _token(self, event: Token) -> None:
        now = time.monotonic()
        self.first_token = self.first_token or now
        self.latest_token = now
        if event.token >= 0:
            self.tokens += 1
            others = [[a.text, _share(a.raw), _share(a.final)] for a in event.alternatives if a.token != event.token]
            chosen = [event.token, event.piece, _share(event.raw), _share(event.final)]
            self.trace.append([*chosen, event.rank, round(event.entropy, 3), others])
        if event.channel != "answer":
            self.thoughts.append(event.text)
            self._move("writing")
        else:
            self._write(event.text)

    def _write(self, text: str) -> None:
        if text:
            self.parts.append(text)
        self._move("writing")

    def _move(self, stage: Stage, done: float = 0.0, total: float = 0.0) -> None:
        self.stage, self.done, self.total = stage, done, total
        self.version += 1

    def _finish(self, event: Finished) -> None:
        if event.reason != "cancelled" or not self.reason:
            self.reason = event.reason
        self.figures.update(
            seed=event.seed,
            stop_string=event.stop_string,
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached_tokens,
            tokens=event.tokens,
            context_used=event.context_used,
            first_token_seconds=event.first_token_seconds,
            prompt_seconds=event.prompt_seconds,
            generation_seconds=event.generation_seconds,
            tokens_per_second=event.tokens_per_second,
        )
        self._move("done")

    def _own_clock(self) -> dict[str, Any]:
        if not self.figures:
            return {}
        return {
            "tokens": self.tokens,
            "context_used": int(self.figures["prompt_tokens"]) + self.tokens,
            "first_token_seconds": max(0.0, self.first_token - self.asked) if self.first_token else 0.0,
            "generation_seconds": max(0.0, self.latest_token - self.first_token),
            "tokens_per_second": self.speed,
        }


def _share(value: float) -> float:
    """Four digits are more than anyone reads."""
    return float(f"{value:.4g}")
