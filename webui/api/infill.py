"""Prompts for models that were taught to fill in, put together as llama.cpp's server does.

Knows which tokens a model has for it from what its engine tells; nothing of how the answer is made and sent.
"""

from __future__ import annotations

from pydantic import Field

from webui.api.choosing import model_of
from webui.api.errors import ApiError
from webui.api.schemas import MAX_TEXT, Body, GenerationBody
from webui.runtime.models import Models

PROJECT, THIS_FILE = "myproject\n", "filename\n"
SNIPPET = "\n\n--- snippet ---\n\n"
"""What llama.cpp writes where a client gives no name, and between files for models without a token for that."""


class Extra(Body):
    text: str = Field("", max_length=MAX_TEXT)
    filename: str = Field("", max_length=1000)


class InfillBody(GenerationBody):
    input_prefix: str = Field("", max_length=MAX_TEXT)
    input_suffix: str = Field("", max_length=MAX_TEXT)
    input_extra: list[Extra] = Field([], max_length=256)
    prompt: str = Field("", max_length=MAX_TEXT)


async def infill_prompt(models: Models, body: InfillBody) -> list[int]:
    """The project and its other files, then what stands before and after; the middle is the model's."""
    info = await model_of(models)
    roles: dict[str, int] = dict(info.extra.get("infill") or {})
    if not {"prefix", "suffix", "middle"} <= roles.keys():
        message = (
            "The loaded model was not taught to fill in: it has no infill tokens. "
            "Load one that was, such as a base model for code."
        )
        raise ApiError(400, message, code="infill_not_supported")

    async def plain(text: str) -> list[int]:
        return await models.tokenize(text, special=False) if text else []

    prompt = [roles["project"], *await plain(PROJECT)] if "project" in roles else []
    for part in body.input_extra:
        if "file" in roles:
            prompt += [roles["file"], *await plain(f"{part.filename or 'tmp'}\n")]
        else:
            prompt += await plain(SNIPPET)
        prompt += await plain(part.text)
    if "file" in roles:
        prompt += [roles["file"], *await plain(THIS_FILE)]
    start = [info.bos_id] if info.add_bos and info.bos_id >= 0 else []
    before = await plain(body.input_prefix) + await plain(body.prompt)
    after = await plain(body.input_suffix)
    return [*prompt, *start, roles["prefix"], *before, roles["suffix"], *after, roles["middle"]]
