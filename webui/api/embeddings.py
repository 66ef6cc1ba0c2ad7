"""Vectors of texts, as OpenAI's and llama.cpp's clients ask for them. Any model that continues text can make some: the
mean of what it thinks at each token; models trained for it say in their file what they want instead.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import Field, model_validator

from webui.api.body import StrictRoute
from webui.api.choosing import chosen, model_of
from webui.api.errors import ApiError
from webui.api.fields import InputField, Prompts
from webui.api.schemas import Body
from webui.api.stream import while_here
from webui.services import Services

Vector = NDArray[np.float32]
Norm = Callable[[Vector], Vector]

EUCLIDEAN = 2


class EmbeddingsBody(Body):
    input: InputField
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="only the model's own number of dimensions")


class LlamaEmbeddingBody(Body):
    """`content` is llama.cpp's name, `input` OpenAI's: both are taken."""

    content: InputField
    model: str | None = None
    embd_normalize: int = Field(
        EUCLIDEAN, ge=-1, le=16, description="-1 and 2: length 1; 0: largest is 32760; 1: sum is 1; more: the p-norm"
    )

    @model_validator(mode="before")
    @classmethod
    def _either_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "content" not in data and "input" in data:
            return {**data, "content": data["input"]}
        return data


def router(services: Services) -> APIRouter:
    routes = APIRouter(route_class=StrictRoute)

    @routes.post("/v1/embeddings", summary="Vectors of texts", tags=["OpenAI"])
    async def embeddings(request: Request, body: EmbeddingsBody) -> Response:
        begun = time.monotonic()
        vectors, tokens, name = await while_here(request, _vectors(services, body.model, body.input, body.dimensions))
        data = [
            {"object": "embedding", "index": place, "embedding": _encoded(vector, body.encoding_format)}
            for place, vector in enumerate(vectors)
        ]
        answer = {
            "object": "list",
            "data": data,
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "timings": {"prompt_n": tokens, "prompt_ms": round((time.monotonic() - begun) * 1000, 3)},
        }
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    async def llama(request: Request, body: LlamaEmbeddingBody) -> Response:
        vectors, _, _ = await while_here(request, _vectors(services, body.model, body.content, None))
        norm = normaliser(body.embd_normalize)
        answer = [{"index": place, "embedding": [norm(vector)]} for place, vector in enumerate(vectors)]
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    @routes.post("/embedding", summary="Vectors of texts", tags=["llama.cpp"])
    async def embedding(request: Request, body: LlamaEmbeddingBody) -> Response:
        return await llama(request, body)

    @routes.post("/embeddings", include_in_schema=False)
    async def also(request: Request, body: LlamaEmbeddingBody) -> Response:
        return await llama(request, body)

    return routes


async def _vectors(
    services: Services, model: str | None, inputs: Prompts, dimensions: int | None
) -> tuple[list[Vector], int, str]:
    """The vectors, how many tokens they were made of, and by which model. One after another, so that other clients get
    theirs in between."""
    vectors: list[Vector] = []
    total = 0
    async with chosen(services, model) as models:
        for text in inputs:
            header, blob = await models.call("embed", prompt=text)
            vectors.append(np.frombuffer(blob, np.float32))
            total += int(header["tokens"])
            if dimensions is not None and dimensions != len(vectors[0]):
                message = f"dimensions must be {len(vectors[0])} (or left out): the loaded model has no others."
                raise ApiError(400, message, param="dimensions")
        return vectors, total, (await model_of(models)).name


def _encoded(vector: Vector, form: str) -> Any:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if form == "base64" else vector


def normaliser(kind: int) -> Norm:
    """llama.cpp's `embd_normalize`. Vectors arrive with length 1, so "as it is" (-1) is the same as 2 here."""

    def scaled(vector: Vector) -> Vector:
        size = np.abs(vector.astype(np.float64))
        if kind in (-1, EUCLIDEAN):
            return vector
        whole = float(size.max()) / 32760 if kind == 0 else float((size**kind).sum() ** (1 / kind))
        return (vector / whole if whole > 0 else vector).astype(np.float32)

    return scaled
