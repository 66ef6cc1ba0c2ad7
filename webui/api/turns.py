"""Who answers a request: the model it names, or those of the fallback order in turn until one has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import Request

from webui.api.choosing import known_name
from webui.api.errors import ApiError
from webui.api.generations import Generations
from webui.api.prepare import Prepared, prepare
from webui.api.schemas import ChatBody, CompletionBody, GenerationBody
from webui.api.stream import Answering
from webui.errors import WebUIError
from webui.leaving import until_gone
from webui.runtime.client import Generation
from webui.runtime.fallback import NobodyAnswered
from webui.runtime.models import Models
from webui.services import Services
from webui.types import Finished, GenerationRequest, Token

FIXED_NAME = "fallback-text"
"""What answers as `model` when no model did."""

Asked = tuple[Prepared, Answering]
Prepare = Callable[[Models], Awaitable[Prepared]]


async def ask(
    services: Services,
    generations: Generations,
    request: Request,
    body: GenerationBody,
    prepared_for: Prepare | None = None,
) -> Asked:
    """An answer that has begun, and all that is known about it. A client that leaves ends it at every stage."""
    if prepared_for is None:
        assert isinstance(body, ChatBody | CompletionBody)
        prepared_for = _usual(services, body)
    round_ = services.fallback.round(known_name(services, body.model))
    gone = asyncio.ensure_future(until_gone(request.receive))

    async def attempt(models: Models) -> Asked:
        waiting.asked = False
        prepared = await prepared_for(models)
        waiting.asked = True
        return prepared, await _begin(generations, models, prepared, gone, first_token=not round_.plain)

    answer = asyncio.ensure_future(round_.ask(attempt))
    waiting = generations.wait_for(answer)
    try:
        prepared, answering = await _unless_gone(gone, answer)
    except NobodyAnswered as error:
        if not error.text or _constrained(body):
            gone.cancel()
            raise
        prepared, answering = _fixed(body, error.text, gone)
    except BaseException:
        gone.cancel()
        raise
    return replace(prepared, misses=tuple(round_.misses)), answering


def _usual(services: Services, body: ChatBody | CompletionBody) -> Prepare:
    async def prepared(models: Models) -> Prepared:
        return await prepare(services, models, body)

    return prepared


async def _begin(
    generations: Generations, models: Models, prepared: Prepared, gone: asyncio.Future[None], *, first_token: bool
) -> Answering:
    """Start generating; what is wrong is raised with the names the client used."""
    try:
        answering = Answering(generations.start(models, prepared.requests), gone)
        try:
            await answering.begin(first_token=first_token)
        except BaseException:
            await answering.stop()
            raise
    except WebUIError as error:
        if error.param is not None:
            error.param = prepared.params.get(error.param, error.param)
        raise
    return answering


async def _unless_gone(gone: asyncio.Future[None], answer: asyncio.Future[Asked]) -> Asked:
    """The answer, unless its client leaves before it begins or somebody stops everything."""
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not answer.done():
            answer.cancel()
            await asyncio.wait((answer,))
    if answer.cancelled():
        if gone.done():
            raise ApiError(499, "The client closed the connection.", code="client_gone")
        raise ApiError(503, "It was stopped before a model had begun to answer.", type="stopped", code="stopped")
    return answer.result()


def _constrained(body: GenerationBody) -> bool:
    """Whether the client reads the answer as something other than words, which a fixed text is not."""
    forced = isinstance(body, ChatBody) and body.tool_choice not in (None, "auto", "none")
    json = body.response_format is not None and body.response_format.type != "text"
    return forced or json or any((body.grammar, body.json_schema, body.regex))


def _fixed(body: GenerationBody, text: str, gone: asyncio.Future[None]) -> Asked:
    """The fixed text in the place of every choice."""
    prompts = body.prompt if isinstance(body, CompletionBody) else ("",)
    echoes = [prompt if isinstance(prompt, str) and getattr(body, "echo", False) else "" for prompt in prompts]
    n = body.n or 1
    said = [Generation(n) for _ in prompts]
    for generation in said:
        for choice in range(n):
            generation.push(Token(choice, -1, text))
            generation.push(Finished(choice, "stop", seed=-1))
    prepared = Prepared(
        "chat" if isinstance(body, ChatBody) else "completion",
        FIXED_NAME,
        tuple(GenerationRequest("", ()) for _ in prompts),
        (),
        (),
        n,
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
        tuple(echoes),
    )
    return prepared, Answering(said, gone)
