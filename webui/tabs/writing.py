"""Writing on a plain text, without chats or templates: what Default and Notebook share.

Text and figures are yielded at most fifteen times a second. Closing the generator (Stop, a closed page) stops the
engine, and what was written so far is kept by whoever called.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from webui.chat.conversation import ReplySettings
from webui.errors import WebUIError
from webui.runtime.client import Generation
from webui.runtime.fleet import Fleet
from webui.tabs.words import Words
from webui.types import Event, Failed, Finished, GenerationRequest, PromptProgress, Queued, Token

FRAME_SECONDS = 1 / 15


@dataclass
class Writing:
    """How far it has come: the new text, and a line that says how it goes."""

    words: Words
    line: str = ""
    problem: bool = False
    tokens: int = 0
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def take(self, event: Event) -> None:
        words = self.words
        if isinstance(event, Token):
            self.tokens += 1
            self.parts.append(event.text)
            self.line = words.count("writing.tokens", self.tokens)
        elif isinstance(event, Finished):
            self.parts.append(event.text)
            self.line = finished_line(words, event)
        elif isinstance(event, Failed):
            self.fail(event.code, event.message, event.values)
        elif isinstance(event, Queued):
            self.line = words("stage.queued", n=event.place)
        elif isinstance(event, PromptProgress):
            self.line = words("stage.prompt", done=event.done, total=event.total)

    def fail(self, code: str, message: str, values: Mapping[str, Any]) -> None:
        self.line, self.problem = self.words.problem(code, message, values), True


async def write_on(
    models: Fleet, settings: ReplySettings, prompt: str, state: Writing, running: set[Generation]
) -> AsyncGenerator[None, None]:
    """Let the model write after `prompt` and tell whenever there is something to show in `state`.

    While it writes, what can be cancelled stands in `running`.
    """
    state.line = state.words("writing.waiting")
    yield
    stream = None
    try:
        request = GenerationRequest(
            prompt=prompt,
            chain=settings.chain,
            seed=settings.seed,
            max_tokens=settings.max_tokens,
            stop=settings.stop,
            deterministic=settings.seed >= 0,
        )
        stream = models.generate(request)
        running.add(stream)
        shown = 0.0
        async for event in stream:
            state.take(event)
            if isinstance(event, (Finished, Failed)) or time.monotonic() - shown >= FRAME_SECONDS:
                shown = time.monotonic()
                yield
    except WebUIError as error:
        state.fail(error.code, error.message, error.values)
        yield
    finally:
        if stream is not None:
            running.discard(stream)
            await stream.aclose()


def finished_line(words: Words, event: Finished) -> str:
    """The figures of a finished text in one line."""
    return " · ".join(
        (
            words.count("writing.tokens", event.tokens),
            words("figure.speed", n=words.number(event.tokens_per_second, 1)),
            words("figure.first", n=words.number(event.first_token_seconds, 2)),
            words(f"reason.{event.reason}"),
            words("figure.seed", n=event.seed),
        )
    )
