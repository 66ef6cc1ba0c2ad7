"""Writing on a plain text, without chats or templates: what Default and Notebook share.

The current model writes; where it cannot, those that follow it in the fallback order are asked. Text and figures are
yielded at most fifteen times a second. Closing the generator (a closed page) stops the engine, and what was written so
far is kept by whoever called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webui.chat.conversation import ReplySettings
from webui.errors import WebUIError
from webui.runtime.client import Generation, failure
from webui.runtime.fallback import LOOK_SECONDS, Miss, NobodyAnswered, Round
from webui.runtime.models import Models
from webui.tabs.chat_words import loras_line, missed_line
from webui.tabs.words import Words
from webui.types import Event, Failed, Finished, GenerationRequest, PromptProgress, Queued, Token

FRAME_SECONDS = 1 / 15


@dataclass(eq=False)
class Writing:
    """How far it has come: the new text, a line that says how it goes, and who else was asked before, in vain."""

    words: Words
    line: str = ""
    problem: bool = False
    tokens: int = 0
    model: str = ""
    loras: Sequence[Mapping[str, Any]] = ()
    parts: list[str] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    version: int = 0
    stream: Generation | None = None
    task: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def notice(self) -> str:
        """Who did not answer, and why."""
        return " ".join(missed_line(self.words, m.model, m.code, m.message, m.values) for m in self.misses)

    def stop(self) -> None:
        """Ask for an end: a model that writes still tells its figures, one that is only waited for is let go."""
        if self.stream is not None:
            self.stream.cancel()
        elif self.task is not None:
            self.task.cancel()

    def take(self, event: Event) -> None:
        words = self.words
        if isinstance(event, Token):
            self.tokens += 1
            self.parts.append(event.text)
            self._say(words.count("writing.tokens", self.tokens))
        elif isinstance(event, Finished) and event.reason == "cancelled" and not self.tokens:
            self.stopped()
        elif isinstance(event, Finished):
            self.parts.append(event.text)
            self._say(finished_line(words, self.model, self.loras, event))
        elif isinstance(event, Failed):
            self.fail(event.code, event.message, event.values)
        elif isinstance(event, (Queued, PromptProgress)):
            self._say(waiting_line(words, event))

    def loading(self, progress: float) -> None:
        self._say(self.words("stage.loading", n=round(progress * 100)))

    def say_instead(self, text: str) -> None:
        """No model answered, and this is what the fallback order says then."""
        self.parts.append(text)
        self._say(self.words("reason.fallback_text.help"))

    def stopped(self) -> None:
        """Broken off before a model had begun."""
        self._say(self.words("reason.cancelled"))

    def fail(self, code: str, message: str, values: Mapping[str, Any]) -> None:
        self.problem = True
        self._say(self.words.problem(code, message, values))

    def _say(self, line: str) -> None:
        self.line = line
        self.version += 1


def waiting_line(words: Words, event: Queued | PromptProgress) -> str:
    """What a request waits for, before its first token."""
    if isinstance(event, Queued):
        return words("stage.queued", n=event.place)
    return words("stage.prompt", done=event.done, total=event.total)


async def write_on(
    round_: Round, settings: ReplySettings, prompt: str, state: Writing, running: set[Writing], *, instead: bool
) -> AsyncGenerator[None, None]:
    """Let a model write after `prompt` and tell whenever there is something to show in `state`.

    `instead`: the order's fixed text may stand where the model's would (not where a text goes on). While it writes,
    what can be stopped stands in `running`.
    """
    state.line = state.words("writing.waiting")
    state.misses = round_.misses
    yield
    state.task = asyncio.create_task(_write(round_, settings, prompt, state, instead), name="writing")
    running.add(state)
    shown = state.version
    try:
        over = False
        while not over:
            over = bool((await asyncio.wait({state.task}, timeout=FRAME_SECONDS))[0])
            if state.version != shown:
                shown = state.version
                yield
    finally:
        running.discard(state)
        state.task.cancel()
        await asyncio.wait({state.task})
    if not state.task.cancelled():
        state.task.result()


async def _write(round_: Round, settings: ReplySettings, prompt: str, state: Writing, instead: bool) -> None:
    request = GenerationRequest(
        prompt=prompt,
        chain=settings.chain,
        seed=settings.seed,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        deterministic=settings.seed >= 0,
    )
    try:
        stream = await round_.ask(lambda models: _begin(models, request, state), state.loading)
        async for event in stream:
            state.take(event)
    except NobodyAnswered as error:
        if error.text and instead:
            state.say_instead(error.text)
        else:
            state.misses = []  # the problem names them
            state.fail(error.code, error.message, error.values)
    except WebUIError as error:
        state.fail(error.code, error.message, error.values)
    except asyncio.CancelledError:
        state.stopped()
        raise
    finally:
        if state.stream is not None:
            await state.stream.aclose()


async def _begin(models: Models, request: GenerationRequest, state: Writing) -> Generation:
    """Ask one model; returns when its first token is there. A model that is still being loaded is waited for."""
    while (status := models.status()).stage == "loading":
        state.loading(status.progress)
        await asyncio.sleep(LOOK_SECONDS)
    stream = state.stream = models.generate(request)
    try:
        async for event in stream:
            if isinstance(event, Failed):
                raise failure(event)
            if info := models.status().info:
                state.model, state.loras = info.name, info.extra.get("loras", ())
            state.take(event)
            if isinstance(event, Token | Finished):
                break
        return stream
    except BaseException:
        state.stream = None
        await stream.aclose()
        raise


def finished_line(words: Words, model: str, loras: Sequence[Mapping[str, Any]], event: Finished) -> str:
    """Who wrote a finished text, and its figures, in one line."""
    return " · ".join(
        (
            model,
            *([loras_line(words, loras)] if loras else []),
            words.count("writing.tokens", event.tokens),
            words("figure.speed", n=words.number(event.tokens_per_second, 1)),
            words("figure.first", n=words.number(event.first_token_seconds, 2)),
            words(f"reason.{event.reason}"),
            words("figure.seed", n=event.seed),
        )
    )
