"""text-generation-webui's own routes, as far as this server goes: health, and what is loaded."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from webui.api.body import StrictRoute
from webui.api.schemas import TextBody, TokensBody
from webui.services import Services


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/v1/internal", route_class=StrictRoute, tags=["text-generation-webui"])

    @routes.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/model/info", summary="What is loaded")
    async def model_info() -> dict[str, Any]:
        status = services.models.status()
        info = status.info
        return {
            "model_name": info.name if info else "None",
            "lora_names": [],
            "loader": info.engine if info else None,
            "n_ctx": info.n_ctx if info else 0,
            "stage": status.stage,
            "progress": status.progress,
        }

    @routes.post("/encode", summary="Text to tokens")
    async def encode(body: TextBody) -> dict[str, Any]:
        tokens = await services.models.tokenize(body.text)
        return {"tokens": tokens, "length": len(tokens)}

    @routes.post("/decode", summary="Tokens to text")
    async def decode(body: TokensBody) -> dict[str, str]:
        return {"text": await services.models.detokenize(body.tokens)}

    @routes.post("/token-count", summary="How many tokens a text has")
    async def token_count(body: TextBody) -> dict[str, int]:
        return {"length": len(await services.models.tokenize(body.text))}

    return routes
