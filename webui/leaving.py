"""Work for somebody who may leave before it is done. Knows nothing of what is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""What an HTTP request's client sends next, as ASGI has it."""


class NotWanted(Exception):
    """Nobody waits for the answer any more, and nothing works for it."""


async def until_gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_wanted(work: Coroutine[Any, Any, T], *ends: Coroutine[Any, Any, object]) -> T:
    """The answer; NotWanted if one of the ends comes first."""
    task = asyncio.ensure_future(work)
    watches = [asyncio.ensure_future(end) for end in ends]
    try:
        await asyncio.wait((task, *watches), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watch in watches:
            watch.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if task.cancelled():
        raise NotWanted
    return task.result()
