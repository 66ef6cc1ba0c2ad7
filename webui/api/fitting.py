"""Prompts that a request wants no longer than `truncation_length`: the beginning of a text goes, or the oldest turns of
a chat. What is too long for the model itself is an error, not something to lose silently; so a length beyond the
model's context asks for nothing."""

from __future__ import annotations

from pathlib import Path

from webui.api.messages import Rendered, render_chat
from webui.api.options import limit_of
from webui.api.schemas import ChatBody, GenerationBody
from webui.errors import ContextExceeded
from webui.runtime.models import Models
from webui.types import ModelInfo

REPLY = 512
"""Room for a chat's answer whose length nobody said."""


def room_for(body: GenerationBody, info: ModelInfo, limit: int) -> int | None:
    """How many tokens the prompt may have; None where no length was asked for."""
    length = body.truncation_length or 0
    if not 0 < length <= info.n_ctx:
        return None
    room = length - max(limit, 0)
    if room < 1:
        message = f"truncation_length ({length}) leaves no room for max_tokens ({limit})."
        raise ContextExceeded(message, param="truncation_length")
    return room


async def cut(
    models: Models, prompt: str | tuple[int, ...], body: GenerationBody, limit: int, info: ModelInfo
) -> str | tuple[int, ...]:
    """The end of a prompt that leaves room for the answer."""
    room = room_for(body, info, limit)
    if room is None or surely_fits(prompt, room):
        return prompt
    bos = body.add_bos_token is not False and info.add_bos
    tokens = tuple(await models.tokenize(prompt, add_bos=bos) if isinstance(prompt, str) else prompt)
    if len(tokens) <= room:
        return prompt
    return (tokens[0], *tokens[len(tokens) - room + 1 :]) if bos and room > 1 else tokens[-room:]


def surely_fits(prompt: str | tuple[int, ...], room: int) -> bool:
    """Without counting: no text has more tokens than bytes, but for a leading one."""
    return len(prompt.encode() if isinstance(prompt, str) else prompt) < room


async def fitted(models: Models, body: ChatBody, info: ModelInfo, data_dir: Path) -> tuple[Rendered, tuple[str, ...]]:
    """The chat as a prompt, without the oldest turns if they have no room, and a note of that."""
    whole = await render_chat(body, info, data_dir)
    limit = limit_of(body.max_tokens)
    length = body.truncation_length or 0
    room = room_for(body, info, min(REPLY, length // 4) if limit is None else limit)
    if room is None or await _fits(models, whole, info, room):
        return whole, ()
    said = [place for place, message in enumerate(body.messages) if message.role not in ("system", "developer")]
    starts = [place for place in said[1:] if body.messages[place].role == "user"]
    low, high, best = 0, len(starts) - 1, None
    while low <= high:
        middle = (low + high) // 2
        tried = await render_chat(_from(body, starts[middle]), info, data_dir)
        if await _fits(models, tried, info, room):
            best, high = (tried, starts[middle]), middle - 1
        else:
            low = middle + 1
    if best is None:
        message = f"Even the last message has no room in truncation_length ({length}): shorten it, or raise the length."
        raise ContextExceeded(message, param="truncation_length")
    rendered, start = best
    gone = sum(1 for place in said if place < start)
    return rendered, (f"truncation_length: the {gone} oldest messages were left out",)


def _from(body: ChatBody, start: int) -> ChatBody:
    """The same chat without the turns before; what the system says stays."""
    kept = [m for place, m in enumerate(body.messages) if place >= start or m.role in ("system", "developer")]
    return body.model_copy(update={"messages": kept})


async def _fits(models: Models, rendered: Rendered, info: ModelInfo, room: int) -> bool:
    text = rendered.text
    return surely_fits(text, room) or len(await models.tokenize(text, add_bos=info.needs_bos(text))) <= room
