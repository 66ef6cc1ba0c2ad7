"""Writing on a plain text, without chats or templates: what Default and Notebook share.

Text and figures are yielded at most fifteen times a second. Closing the generator (Stop, a closed page) stops the
engine, and what was written so far is kept by whoever called.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from webui.chat.conversation import ReplySettings
from webui.errors import WebUIError
from webui.runtime.models import Models
from webui.tabs.words import Words
from webui.types import Failed, Finished, GenerationRequest, PromptProgress, Queued, Token

FRAME_SECONDS = 1 / 15


@dataclass
class Writing:
    """How far it has come: the new text, and a line that says how it goes."""

    text: str = ""
    line: str = ""
    problem: bool = False
    parts: list[str] = field(default_factory=list)


async def write_on(models: Models, settings: ReplySettings, words: Words, prompt: str) -> AsyncGenerator[Writing, None]:
    """Everything the model writes after `prompt`."""
    state = Writing(line=words("writing.waiting"))
    yield state
    stream = None
    try:
        stream = models.generate(
            GenerationRequest(
                prompt=prompt,
                chain=settings.chain,
                seed=settings.seed,
                max_tokens=settings.max_tokens,
                stop=settings.stop,
            )
        )
        shown, tokens = 0.0, 0
        async for event in stream:
            if isinstance(event, Token):
                tokens += 1
                state.parts.append(event.text)
                state.line = words.count("writing.tokens", tokens)
            elif isinstance(event, Finished):
                state.parts.append(event.text)
                state.line = finished_line(words, event)
            elif isinstance(event, Failed):
                state.line, state.problem = words.problem(event.code, event.message, event.values), True
            elif isinstance(event, Queued):
                state.line = words("stage.queued", n=event.place)
            elif isinstance(event, PromptProgress):
                state.line = words("stage.prompt", done=event.done, total=event.total)
            if isinstance(event, (Finished, Failed)) or time.monotonic() - shown >= FRAME_SECONDS:
                shown = time.monotonic()
                state.text = "".join(state.parts)
                yield state
    except WebUIError as error:
        state.line, state.problem = words.problem(error.code, error.message, error.values), True
        yield state
    finally:
        state.text = "".join(state.parts)
        if stream is not None:
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
