"""Which model answers a request: the one it names if that is here (or comes when asked for), else the current one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from webui.api.errors import ApiError
from webui.errors import NoModel
from webui.runtime.fleet import Fleet, SeatStatus
from webui.runtime.models import Models
from webui.services import Services
from webui.types import ModelInfo


@contextlib.asynccontextmanager
async def chosen(services: Services, wanted: Any) -> AsyncIterator[Models]:
    """The model that answers, held awake meanwhile."""
    models = await services.models.seat_for(known_name(services, wanted))
    with services.models.hold(models):
        yield models


def known_name(services: Services, wanted: Any) -> str | None:
    """Which model a request names. None for a name nobody knows, which the current one answers; 404 with
    --strict-model."""
    known = services.models.knows(wanted if isinstance(wanted, str) else None)
    if known is None and services.settings.strict_model:
        message = f"There is no model {str(wanted)[:100]!r} here; /v1/models has the names."
        if not wanted:
            message = "Name a model of /v1/models in the field model: this server answers for no other."
        raise ApiError(404, message, param="model", code="model_not_found")
    return known


async def model_of(models: Models | Fleet) -> ModelInfo:
    """What is loaded; waits while the engine is being restarted, NoModel when there is nothing to wait for."""
    info = models.status().info
    if info is None:
        await models.tokenize("")
        info = models.status().info
    if info is None:
        raise NoModel("No model is loaded: choose one and load it.")
    return info


def listed(services: Services) -> list[dict[str, Any]]:
    """Every model a request can name. `status` is llama.cpp's way to tell those that are loaded from the others."""
    rows = [_row(seat) for seat in services.models.seats()]
    here = {row["id"] for row in rows}
    return rows + [_model(name, "unloaded") for name in services.depot.loadable() if name not in here]


def _row(seat: SeatStatus) -> dict[str, Any]:
    value = {"ready": "loaded", "none": "sleeping"}.get(seat.status.stage, seat.status.stage)
    return {**_model(seat.name, value), "current": seat.current}


def _model(name: str, status: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "user", "status": {"value": status}}
