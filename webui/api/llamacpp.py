"""Routes of llama.cpp's server that clients use beside OpenAI's: completion, infill, tokens, properties, health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from webui.api.answers import timings
from webui.api.body import StrictRoute
from webui.api.choosing import chosen, model_of
from webui.api.errors import ApiError
from webui.api.generations import Generations
from webui.api.infill import InfillBody, infill_prompt
from webui.api.logprobs import chat_logprobs
from webui.api.openai import collect
from webui.api.prepare import Prepared, prepare
from webui.api.schemas import MAX_TEXT, CompletionBody, NamingBody
from webui.api.stream import Answering, EventStream, error_event, stream
from webui.api.turns import ask
from webui.chat.templates import template_of
from webui.errors import NoModel
from webui.runtime.models import Models
from webui.services import Services
from webui.types import Event, Failed, Finished, Token

STOP_TYPES: Mapping[str, str] = {"stop": "eos", "stop_string": "word", "length": "limit", "time": "limit"}


class TokenizeBody(NamingBody):
    """`prompt` is how clients of vLLM ask."""

    content: str | None = Field(None, max_length=MAX_TEXT)
    prompt: str | None = Field(None, max_length=MAX_TEXT)
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeBody(NamingBody):
    tokens: list[int] = Field(max_length=1 << 20)


def router(services: Services, generations: Generations) -> APIRouter:
    routes = APIRouter(route_class=StrictRoute, tags=["llama.cpp"])
    models = services.models

    @routes.get("/health", summary="Whether a model is ready")
    async def health() -> dict[str, str]:
        status = models.status()
        if status.stage == "ready":
            return {"status": "ok"}
        code = "model_loading" if status.stage == "loading" else "model_not_loaded"
        raise NoModel(status.sentence or "No model is loaded.", code=code)

    @routes.get("/props", summary="What the loaded model is")
    async def props(model: str | None = None) -> dict[str, Any]:
        info = await model_of(await models.seat_for(models.knows(model)))
        return {
            "default_generation_settings": {"n_ctx": info.n_ctx},
            "total_slots": info.slots,
            "model_alias": info.name,
            "model_path": info.name,
            "chat_template": template_of(info),
            "bos_token": info.bos_token,
            "eos_token": info.eos_token,
            "modalities": {"vision": False, "audio": False},
            "build_info": "sampler-lab",
        }

    _add_tokens(routes, services)
    _add_generating(routes, services, generations)
    return routes


def _add_tokens(routes: APIRouter, services: Services) -> None:
    @routes.post("/tokenize", summary="Text to tokens")
    async def tokenize(body: TokenizeBody) -> dict[str, Any]:
        text = body.content if body.content is not None else body.prompt
        if text is None:
            raise ApiError(400, "content is required.", param="content")
        async with chosen(services, body.model) as models:
            tokens = await models.tokenize(text, add_bos=body.add_special, special=body.parse_special)
            pieces = await models.pieces(tokens) if body.with_pieces else []
        if body.with_pieces:
            return {"tokens": [{"id": id, "piece": piece} for id, piece in zip(tokens, pieces, strict=True)]}
        return {"tokens": tokens, "count": len(tokens)}

    @routes.post("/detokenize", summary="Tokens to text")
    async def detokenize(body: DetokenizeBody) -> dict[str, str]:
        async with chosen(services, body.model) as models:
            return {"content": await models.detokenize(body.tokens)}


def _add_generating(routes: APIRouter, services: Services, generations: Generations) -> None:
    async def complete(request: Request, body: CompletionBody) -> Response:
        if body.max_tokens is None:
            body.max_tokens = -1
        return await _answer(*await ask(services, generations, request, body))

    @routes.post("/completion", summary="Continue a text")
    async def completion(request: Request, body: CompletionBody) -> Response:
        return await complete(request, body)

    @routes.post("/completions", summary="Continue a text", include_in_schema=False)
    async def completions(request: Request, body: CompletionBody) -> Response:
        return await complete(request, body)

    @routes.post("/infill", summary="Fill in what stands between two texts")
    async def infill(request: Request, body: InfillBody) -> Response:
        async def prepared(models: Models) -> Prepared:
            prompt = await infill_prompt(models, body)
            fields = body.model_dump(exclude_unset=True, by_alias=False, exclude={"prompt"})
            fields = {"max_tokens": -1, **fields, "prompt": [prompt]}
            return await prepare(services, models, CompletionBody.model_validate(fields))

        return await _answer(*await ask(services, generations, request, body, prepared))


async def _answer(prepared: Prepared, answering: Answering) -> Response:
    if prepared.stream:
        return EventStream(stream(answering, _Writer(prepared)))
    try:
        choices, _ = await collect(answering, prepared)
    finally:
        await answering.close()
    answers = []
    for number, choice in enumerate(choices):
        assert choice.end is not None
        data = {**_end(prepared, number, choice.end), "content": choice.said.text}
        if prepared.top is not None:
            data["completion_probabilities"] = chat_logprobs(choice.tokens, prepared.top)["content"]
        answers.append(data)
    return Response(orjson.dumps(answers[0] if len(answers) == 1 else answers), media_type="application/json")


def _end(prepared: Prepared, index: int, event: Finished) -> dict[str, Any]:
    """How llama.cpp ends an answer, with our extras."""
    return {
        "index": index,
        "content": event.text,
        "stop": True,
        "model": prepared.model,
        "tokens_predicted": event.tokens,
        "tokens_evaluated": event.prompt_tokens,
        "tokens_cached": event.context_used,
        "truncated": False,
        "stop_type": STOP_TYPES.get(event.reason, "none"),
        "stopping_word": event.stop_string or "",
        "seed": event.seed,
        **prepared.made(),
        "timings": timings(event),
    }


class _Writer:
    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._held: list[list[Token]] = [[] for _ in range(prepared.choices)]

    def begin(self) -> bytes:
        return b""

    def write(self, number: int, event: Event, parts: list[bytes]) -> None:
        if isinstance(event, Token):
            self._text(number * self._prepared.n + event.choice, event, parts)
        elif isinstance(event, Finished):
            index = number * self._prepared.n + event.choice
            parts.append(_event({**_end(self._prepared, index, event), **self._probabilities(index)}))

    def _text(self, index: int, event: Token, parts: list[bytes]) -> None:
        """Tokens without a text of their own go with the next that has one."""
        held = self._held[index]
        if event.token >= 0:
            held.append(event)
        if event.text:
            tokens = [token.token for token in held]
            data = {"index": index, "content": event.text, "tokens": tokens, "stop": False}
            parts.append(_event({**data, **self._probabilities(index)}))
            held.clear()

    def _probabilities(self, index: int) -> dict[str, Any]:
        held, top = self._held[index], self._prepared.top
        return {"completion_probabilities": chat_logprobs(held, top)["content"]} if held and top is not None else {}

    def end(self) -> bytes:
        return b""

    def failed(self, event: Failed) -> bytes:
        return error_event(event)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
