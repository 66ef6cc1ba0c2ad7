"""The routes OpenAI's clients know: models, completions, chat completions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from webui.api.answers import Choice, Chunks, Head, whole
from webui.api.body import StrictRoute
from webui.api.choosing import listed
from webui.api.errors import ApiError
from webui.api.generations import Generations
from webui.api.logprobs import chat_logprobs, completion_logprobs
from webui.api.prepare import Prepared
from webui.api.schemas import ChatBody, CompletionBody
from webui.api.speech import Speech
from webui.api.stream import DONE, Answering, EventStream, error_event, stream
from webui.api.turns import ask
from webui.chat.tools import Text
from webui.runtime.client import failure
from webui.services import Services
from webui.types import Event, Failed, Finished, Token

Detail = Callable[[list[Token], int], Any]
"""The logprobs of tokens whose text begins at a place in the answer."""


def router(services: Services, generations: Generations) -> APIRouter:
    routes = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["OpenAI"])

    @routes.get("/models", summary="The models that can be named")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": listed(services)}

    @routes.get("/models/{name:path}", summary="One model")
    async def model(name: str) -> dict[str, Any]:
        for row in listed(services):
            if row["id"] == name:
                return row
        raise ApiError(404, f"There is no model {name[:100]!r}.", param="model", code="model_not_found")

    @routes.post("/completions", summary="Continue a text")
    async def completions(request: Request, body: CompletionBody) -> Response:
        return await answer(*await ask(services, generations, request, body))

    @routes.post("/chat/completions", summary="Answer a chat")
    async def chat(request: Request, body: ChatBody) -> Response:
        return await answer(*await ask(services, generations, request, body))

    return routes


async def answer(prepared: Prepared, answering: Answering) -> Response:
    """Streamed or whole."""
    head = Head.new(prepared.kind, prepared.model)
    if prepared.stream:
        return EventStream(stream(answering, _Writer(head, prepared, answering)))
    try:
        return Response(await _collect(answering, head, prepared), media_type="application/json")
    finally:
        await answering.close()


class _Writer:
    """Turns events into chunks, choice by choice."""

    def __init__(self, head: Head, prepared: Prepared, answering: Answering) -> None:
        self.chunks = Chunks(head, prepared.made())
        self._prepared = prepared
        self._finished: list[tuple[int, Finished]] = []
        self._n = prepared.n
        self._detail = _detail(prepared)
        self._placed = [len(prepared.echo(choice)) for choice in range(prepared.choices)]
        self._held: list[list[Token]] = [[] for _ in range(prepared.choices)]
        self._speeches = speeches(prepared, answering) if prepared.kind == "chat" else []

    def begin(self) -> bytes:
        choices = range(self._prepared.choices)
        return b"".join(self.chunks.begin(choice, self._prepared.echo(choice)) for choice in choices)

    def end(self) -> bytes:
        return (self.chunks.usage(self._finished) if self._prepared.include_usage else b"") + DONE

    def failed(self, event: Failed) -> bytes:
        return error_event(event)

    def write(self, number: int, event: Event, parts: list[bytes]) -> None:
        if isinstance(event, Token):
            choice = number * self._n + event.choice
            if self._speeches:
                self._spoken(choice, event, parts)
            else:
                self._text(choice, event.text, [event] if event.token >= 0 else [], parts)
        elif isinstance(event, Finished):
            choice = number * self._n + event.choice
            self._finished.append((number, event))
            if self._speeches:
                speech = self._speeches[choice]
                parts += [self.chunks.part(choice, part) for part in speech.end(event)]
                parts.append(self.chunks.end(choice, event, called=speech.called))
            else:
                self._text(choice, event.text, [], parts, last=True)
                parts.append(self.chunks.end(choice, event))

    def _text(self, choice: int, text: str, tokens: list[Token], parts: list[bytes], *, last: bool = False) -> None:
        """A piece of a completion with the probabilities of exactly its tokens: SillyTavern, which lets one go on from
        another candidate, takes the first ones for the piece's beginning."""
        if self._detail is None:
            if text:
                parts.append(self.chunks.text(choice, text))
            return
        held = self._held[choice]
        held += tokens
        if text or (last and held):
            logprobs = self._detail(held, self._placed[choice]) if held else None
            parts.append(self.chunks.text(choice, text, logprobs))
            self._placed[choice] += len(text)
            held.clear()

    def _spoken(self, choice: int, event: Token, parts: list[bytes]) -> None:
        logprobs = self._detail([event], 0) if self._detail is not None and event.token >= 0 else None
        said = self._speeches[choice].token(event) or ([Text("")] if logprobs is not None else [])
        for part in said:
            parts.append(self.chunks.part(choice, part, logprobs))
            logprobs = None


def speeches(prepared: Prepared, answering: Answering) -> list[Speech]:
    """One for each choice. Where all choices of a generation have said what may be told, it ends."""
    n = prepared.n
    return [Speech(prepared.tooling, partial(answering.over, choice // n, n)) for choice in range(prepared.choices)]


async def collect(answering: Answering, prepared: Prepared) -> tuple[list[Choice], list[tuple[int, Finished]]]:
    """All choices, complete."""
    choices = [Choice(speech) for speech in speeches(prepared, answering)]
    finished: list[tuple[int, Finished]] = []
    async for batch in answering.batches():
        for number, event in batch:
            if isinstance(event, Token):
                choices[number * prepared.n + event.choice].add(event)
            elif isinstance(event, Finished):
                choices[number * prepared.n + event.choice].finish(event)
                finished.append((number, event))
            elif isinstance(event, Failed):
                raise failure(event)
    if answering.gone or len(finished) < prepared.choices:
        raise ApiError(499, "The client closed the connection.", code="client_gone")
    return choices, finished


async def _collect(answering: Answering, head: Head, prepared: Prepared) -> bytes:
    choices, finished = await collect(answering, prepared)
    made = [prepared.choice(number, choice) for number, choice in enumerate(choices)]
    return whole(head, made, finished, prepared.made())


def _detail(prepared: Prepared) -> Detail | None:
    if prepared.top is None:
        return None
    top = prepared.top
    if prepared.kind == "chat":
        return lambda tokens, place: chat_logprobs(tokens, top)
    return lambda tokens, place: completion_logprobs(tokens, top, place)
