"""How a piece's script asks the server: one function a piece, a dict in, a dict out, sentences, never exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from gradio import Request

from webui.errors import BadValue, WebUIError
from webui.leaving import NotWanted, until_gone, while_wanted
from webui.services import Services
from webui.tabs.words import Words, language_of

Asked = Mapping[str, Any]
Answer = dict[str, Any]
Ask = Callable[[Words, Asked], Awaitable[Answer]]
MAX_NUMBER = 1 << 53


def words_for(services: Services, request: Request) -> Words:
    """The visitor's language."""
    return Words(language_of(services.preferences["language"], request.headers.get("accept-language", "")))


def asks_of(owner: object) -> Mapping[str, Ask]:
    """All methods called _ask_<name>, by name."""
    return {name.removeprefix("_ask_"): getattr(owner, name) for name in dir(owner) if name.startswith("_ask_")}


async def unless_left(request: Request, work: Coroutine[Any, Any, Answer], unwanted: asyncio.Event) -> Answer:
    """An answer that is only looked at: when its page is closed or loaded again meanwhile, or says that it is not
    wanted, nothing works for it any more."""
    try:
        return await while_wanted(work, until_gone(request.receive), unwanted.wait())
    except NotWanted:
        return {"stopped": True}


async def answer(asks: Mapping[str, Ask], words: Words, asked: Any) -> Answer:
    """Do what `asked["ask"]` names."""
    try:
        if not isinstance(asked, dict) or asked.get("ask") not in asks:
            raise old_page("ask")
        return await asks[asked["ask"]](words, asked)
    except WebUIError as error:
        return {"error": words.problem(error.code, error.message, error.values), "code": error.code}


def server_function(name: str, services: Services, owner: object) -> Callable[..., Awaitable[Answer]]:
    """What a piece is given as `server_functions`; its script calls it by `name`."""
    asks = asks_of(owner)

    async def ask(asked: dict[str, Any], request: Request) -> Answer:
        return await answer(asks, words_for(services, request), asked)

    ask.__name__ = name
    return ask


def old_page(param: str) -> BadValue:
    return BadValue("This page is older than the program: reload it.", param=param, code="old_page")


def number(asked: Asked, name: str, low: int = -1, high: int = MAX_NUMBER) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise old_page(name)
    if not low <= value <= high:
        raise BadValue(
            f"{name} must be a whole number from {low} to {high}, not {value}.",
            param=name,
            code="out_of_range",
            values={"name": name, "low": low, "high": high, "value": value},
        )
    return value


def text(asked: Asked, name: str, longest: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise old_page(name)
    if len(value) > longest:
        raise BadValue(
            f"This text has {len(value)} characters, at most {longest} are allowed.",
            param=name,
            code="text_too_long",
            values={"length": len(value), "limit": longest},
        )
    return value
