"""text-generation-webui's own routes: health, tokens, logits, prompts, and what is loaded; and ours to score a text."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from webui.api.body import StrictRoute
from webui.api.choosing import chosen, model_of
from webui.api.distribution import chain_over, next_tokens, scores
from webui.api.errors import ApiError
from webui.api.fitting import fitted
from webui.api.generations import Generations
from webui.api.loading import adapters_of, load_model, set_adapters
from webui.api.schemas import (
    AdaptersBody,
    ChainBody,
    ChatBody,
    LoadBody,
    LogitsBody,
    ScoreBody,
    TextBody,
    TokensBody,
    UnloadBody,
)
from webui.api.stream import while_here
from webui.services import Services


def router(services: Services, generations: Generations) -> APIRouter:
    routes = APIRouter(prefix="/v1/internal", route_class=StrictRoute, tags=["text-generation-webui"])

    @routes.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.post("/chat-prompt", summary="The prompt a chat request would be sent to the model as")
    async def chat_prompt(body: ChatBody) -> dict[str, str]:
        async with chosen(services, body.model) as models:
            info = await model_of(models)
            rendered, _ = await fitted(models, body, info, services.settings.data_dir)
        return {"prompt": rendered.text}

    @routes.post("/stop-generation", summary="Stop everything the API is generating")
    async def stop_generation() -> str:
        generations.stop_all()
        return "OK"

    _add_tokens(routes, services)
    _add_distributions(routes, services)
    _add_models(routes, services)
    _add_adapters(routes, services)
    return routes


def _add_tokens(routes: APIRouter, services: Services) -> None:
    async def tokens_of(body: TextBody) -> list[int]:
        async with chosen(services, body.model) as models:
            return await models.tokenize(body.text, add_bos=bool(body.add_bos_token))

    @routes.post("/encode", summary="Text to tokens")
    async def encode(body: TextBody) -> dict[str, Any]:
        tokens = await tokens_of(body)
        return {"tokens": tokens, "length": len(tokens)}

    @routes.post("/decode", summary="Tokens to text")
    async def decode(body: TokensBody) -> dict[str, str]:
        async with chosen(services, body.model) as models:
            return {"text": await models.detokenize(body.tokens)}

    @routes.post("/token-count", summary="How many tokens a text has")
    async def token_count(body: TextBody) -> dict[str, int]:
        return {"length": len(await tokens_of(body))}


def _add_distributions(routes: APIRouter, services: Services) -> None:
    """What the model and the samplers think of a text."""

    @routes.post("/logits", summary="The likeliest next tokens, by the model alone or after the samplers")
    async def logits(request: Request, body: LogitsBody) -> dict[str, float]:
        return await while_here(request, next_tokens(services, body))

    @routes.post("/chain", summary="Run a sampler chain over given logits, probabilities or a prompt")
    async def chain(request: Request, body: ChainBody) -> Any:
        return await while_here(request, chain_over(services, body))

    @routes.post("/score", summary="How likely each token of a text is to the model")
    async def score(request: Request, body: ScoreBody) -> dict[str, Any]:
        return await while_here(request, scores(services, body))


def _add_models(routes: APIRouter, services: Services) -> None:
    models = services.models

    @routes.get("/model/info", summary="What is loaded")
    async def model_info() -> dict[str, Any]:
        status = models.status()
        info = status.info
        return {
            "model_name": info.name if info else "None",
            "lora_names": list(adapters_of(services)),
            "loader": info.engine if info else None,
            "n_ctx": info.n_ctx if info else 0,
            "slots": info.slots if info else 0,
            "stage": status.stage,
            "progress": status.progress,
            "message": status.sentence,
            "active": models.active,
        }

    @routes.get("/model/list", summary="What could be loaded")
    async def model_list() -> dict[str, list[str]]:
        return {"model_names": [entry.name for entry in services.library.scan() if entry.loadable]}

    @routes.post("/model/load", summary="Load a model; returns when it is ready")
    async def model_load(body: LoadBody) -> str:
        await load_model(services, body)
        return "OK"

    @routes.post("/model/unload", summary="Unload a model: the one that is named, else the current one")
    async def model_unload(body: UnloadBody | None = None) -> str:
        await models.unload(body.model_name if body is not None else None)
        return "OK"


def _add_adapters(routes: APIRouter, services: Services) -> None:
    @routes.get("/lora/list", summary="What LoRAs there are")
    async def lora_list() -> dict[str, list[str]]:
        return {"lora_names": [entry.name for entry in services.library.scan() if entry.kind == "lora"]}

    @routes.post("/lora/load", summary="Load the model again with these LoRAs")
    async def lora_load(body: AdaptersBody) -> str:
        if not body.lora_names:
            raise ApiError(400, "lora_names must name at least one LoRA.", param="lora_names")
        await set_adapters(services, body.lora_names)
        return "OK"

    @routes.post("/lora/unload", summary="Load the model again without LoRAs")
    async def lora_unload() -> str:
        await set_adapters(services, [])
        return "OK"
