"""The API server's application: routes, errors, keys and the guard, put together."""

from __future__ import annotations

from fastapi import FastAPI

import webui
from webui.api import errors, internal, openai
from webui.api.keys import KeyGuard
from webui.services import Services


def build_api(services: Services) -> FastAPI:
    """All routes behind the key. The server puts the OriginGuard in front of it."""
    app = FastAPI(
        title="Sampler Lab",
        version=getattr(webui, "__version__", "0"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    app.include_router(openai.router(services))
    app.include_router(internal.router(services))
    if services.settings.api_key:
        app.add_middleware(KeyGuard, key=services.settings.api_key)
    return app
