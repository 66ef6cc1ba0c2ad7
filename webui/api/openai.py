"""The routes OpenAI's clients know: models, completions, chat completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from webui.api.answers import Choice, Chunks, Head, whole
from webui.api.body import StrictRoute
from webui.api.errors import ApiError
from webui.api.logprobs import chat_logprobs, completion_logprobs
from webui.api.prepare import Prepared, chat_request, completion_requests
from webui.api.schemas import ChatBody, CompletionBody
from webui.api.stream import DONE, Answering, EventStream, error_event, vars_of
from webui.runtime.client import error_from
from webui.services import Services
from webui.types import Failed, Finished, Token

Describe = Callable[[Token, int], Any]
"""The logprobs of a token whose text begins at a place in the answer."""


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["OpenAI"])

    @routes.get("/models", summary="The loaded model")
    async def models() -> dict[str, Any]:
        info = services.models.status().info
        return {"object": "list", "data": [_model(info.name)] if info else []}

    @routes.get("/models/{name:path}", summary="One model")
    async def model(name: str) -> dict[str, Any]:
        info = services.models.status().info
        if info is None or name != info.name:
            raise ApiError(404, f"There is no model {name[:100]!r}.", param="model", code="model_not_found")
        return _model(name)

    @routes.post("/completions", summary="Continue a text")
    async def completions(request: Request, body: CompletionBody) -> Response:
        return await _answer(services, request, await completion_requests(services, body))

    @routes.post("/chat/completions", summary="Answer a chat")
    async def chat(request: Request, body: ChatBody) -> Response:
        return await _answer(services, request, await chat_request(services, body))

    return routes


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "user"}


async def _answer(services: Services, request: Request, prepared: Prepared) -> Response:
    generations = [services.models.generate(one) for one in prepared.requests]
    answering = Answering(generations, request.receive)
    await answering.begin()
    info = services.models.status().info
    head = Head.new(prepared.kind, info.name if info else "")
    if prepared.stream:
        return EventStream(_chunks(answering, head, prepared))
    try:
        return Response(await _collect(answering, head, prepared), media_type="application/json")
    finally:
        await answering.close()


async def _chunks(answering: Answering, head: Head, prepared: Prepared) -> AsyncGenerator[bytes, None]:
    """Server-sent events; all that arrived together goes out together."""
    chunks = Chunks(head, prepared.made())
    detail = _detail(prepared)
    placed = [0] * prepared.choices
    finished: list[tuple[int, Finished]] = []
    try:
        yield b"".join(
            chunks.begin(choice, prepared.echoes[choice // prepared.n]) for choice in range(prepared.choices)
        )
        async for batch in answering.batches():
            parts: list[bytes] = []
            for number, event in batch:
                if isinstance(event, Token):
                    choice = number * prepared.n + event.choice
                    if event.channel != "answer":
                        parts.append(chunks.thought(choice, event.text))
                    elif detail is not None:
                        parts.append(chunks.text(choice, event.text, detail(event, placed[choice])))
                        placed[choice] += len(event.text)
                    elif event.text:
                        parts.append(chunks.text(choice, event.text))
                elif isinstance(event, Finished):
                    choice = number * prepared.n + event.choice
                    finished.append((number, event))
                    if event.text:
                        parts.append(chunks.text(choice, event.text))
                    parts.append(chunks.end(choice, event))
                elif isinstance(event, Failed):
                    yield b"".join([*parts, error_event(event)])
                    return
            if parts:
                yield b"".join(parts)
        if answering.gone:
            return
        yield (chunks.usage(finished) if prepared.include_usage else b"") + DONE
    finally:
        await answering.close()


async def _collect(answering: Answering, head: Head, prepared: Prepared) -> bytes:
    choices = [Choice() for _ in range(prepared.choices)]
    finished: list[tuple[int, Finished]] = []
    async for batch in answering.batches():
        for number, event in batch:
            if isinstance(event, Token):
                choices[number * prepared.n + event.choice].add(event)
            elif isinstance(event, Finished):
                choice = choices[number * prepared.n + event.choice]
                choice.texts.append(event.text)
                choice.end = event
                finished.append((number, event))
            elif isinstance(event, Failed):
                raise error_from(vars_of(event))
    if answering.gone or len(finished) < prepared.choices:
        raise ApiError(499, "The client closed the connection.", code="client_gone")
    made = [prepared.choice(number, choice) for number, choice in enumerate(choices)]
    return whole(head, made, finished, prepared.made())


def _detail(prepared: Prepared) -> Describe | None:
    if prepared.top is None:
        return None
    if prepared.kind == "chat":
        return lambda token, place: chat_logprobs([token], prepared.top or 0)
    return lambda token, place: completion_logprobs([token], prepared.top or 0, place)
