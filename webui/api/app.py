"""The API server's application: routes, errors, keys and documents, put together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import webui
from webui.api import anthropic, documents, embeddings, errors, internal, llamacpp, openai, openapi
from webui.api.generations import Generations
from webui.api.keys import KeyGuard
from webui.services import Services


def build_api(services: Services) -> FastAPI:
    """All routes behind the key. The server puts the OriginGuard in front of it."""
    settings = services.settings
    app = FastAPI(
        title="Sampler Lab",
        version=webui.__version__,
        summary="OpenAI's, text-generation-webui's, llama.cpp's and Anthropic's routes over one local model.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    openapi.install(app)
    generations = Generations()
    for routes in (
        openai.router(services, generations),
        internal.router(services, generations),
        llamacpp.router(services, generations),
        anthropic.router(services, generations),
        embeddings.router(services),
        documents.router(app),
    ):
        app.include_router(routes)
    if settings.api_key:
        app.add_middleware(KeyGuard, key=settings.api_key, admin_key=settings.admin_key)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            # The official clients send headers of their own from a browser (x-stainless-*, anthropic-*).
            allow_headers=["*"],
        )
    return app
