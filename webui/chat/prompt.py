"""A branch of a chat to the prompt that fits the context.

Knows messages, the template and how many tokens a text has (asked of whoever passes `count`); nothing of
storage or pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from webui.chat.history import Node
from webui.chat.templates import render, template_of
from webui.errors import ContextExceeded
from webui.types import Message, ModelInfo

Count = Callable[[str, bool], Awaitable[int]]
"""Tokens of a text; the second argument asks for a leading BOS token."""

ROOM_LEAST = 16
KEEP_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Prompt:
    """`dropped` messages at the front did not fit; `first` is the id of the first message that was sent."""

    text: str
    add_bos: bool
    tokens: int
    dropped: int
    first: int


async def build_prompt(
    nodes: Sequence[Node],
    info: ModelInfo,
    count: Count,
    *,
    system: str = "",
    continue_last: bool = False,
    max_tokens: int | None = None,
) -> Prompt:
    """Render the branch; if it is too long for the context beside the reply, drop the oldest turns.

    Once turns were dropped, later replies start at the same message as long as that fits, so that the prompt's
    beginning stays the same and need not be read again.
    """
    turns = [node for node in nodes if node.content or node.role == "user"]

    async def measure(start: int) -> Prompt:
        text = await asyncio.to_thread(_render, turns[start:], info, system, continue_last)
        add_bos = info.needs_bos(text)
        return Prompt(text, add_bos, await count(text, add_bos), start, turns[start].id if turns else 0)

    reply = min(max_tokens or info.n_ctx, info.n_ctx // 4)
    limit = info.n_ctx - max(reply, ROOM_LEAST)
    whole = await measure(0)
    if whole.tokens <= limit:
        return whole
    starts = [i for i, node in enumerate(turns) if node.role == "user" and i > 0]
    before = next((i for i in starts if turns[i].id == _first_of_last_reply(turns)), None)
    if before is not None:
        again = await measure(before)
        if again.tokens <= limit:
            return again
    return await _shortened(measure, starts, whole, limit, info.n_ctx)


async def _shortened(
    measure: Callable[[int], Awaitable[Prompt]], starts: list[int], whole: Prompt, limit: int, n_ctx: int
) -> Prompt:
    """Leave room for some turns to come: the earliest start that takes at most KEEP_SHARE of the limit."""
    low, high, best = 0, len(starts) - 1, whole
    while low <= high:
        middle = (low + high) // 2
        tried = await measure(starts[middle])
        if tried.tokens <= limit * KEEP_SHARE or middle == len(starts) - 1:
            best, high = tried, middle - 1
        else:
            low = middle + 1
    if best.tokens > n_ctx - ROOM_LEAST:
        raise ContextExceeded(
            f"This message needs {best.tokens} tokens, but the context holds {n_ctx}: shorten it, or load the model "
            "with a larger context.",
            values={"tokens": best.tokens, "n_ctx": n_ctx},
        )
    return best


def _render(turns: Sequence[Node], info: ModelInfo, system: str, continue_last: bool) -> str:
    messages = [Message(node.role, node.content) for node in turns]
    tail = messages.pop().content if continue_last and messages and messages[-1].role == "assistant" else ""
    if system.strip():
        messages.insert(0, Message("system", system.strip()))
    return render(messages, template_of(info), bos=info.bos_token, eos=info.eos_token) + tail


def _first_of_last_reply(turns: Sequence[Node]) -> int | None:
    for node in reversed(turns):
        if node.role == "assistant" and node.meta.get("dropped"):
            return int(node.meta.get("first", 0)) or None
    return None
