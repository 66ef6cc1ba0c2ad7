"""The editor of the fallback order: which models answer for one another, how long each may take, the text at the end.

Reads and writes the order's own file through FallbackSettings; knows nothing of how models are asked.
"""

from __future__ import annotations

import asyncio

from webui.errors import BadValue
from webui.fallback_settings import FILE, LONGEST_SECONDS, LONGEST_TEXT, MOST_MODELS
from webui.runtime.fleet import key_of
from webui.services import Services
from webui.tabs.asking import Answer, Asked, old_page, server_function, text
from webui.tabs.pieces import Piece
from webui.tabs.words import Words


class FallbackView(Piece):
    """The order as rows to add, move and remove. Talks to one server function."""

    draws = "fallback"


class FallbackServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._order = services.fallback_settings

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        return await asyncio.to_thread(self._told, words)

    async def _ask_keep(self, words: Words, asked: Asked) -> Answer:
        """The whole order anew; one that cannot be changes nothing."""
        models, seconds, enabled = asked.get("models"), asked.get("seconds"), asked.get("enabled") is True
        if not isinstance(models, list) or isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise old_page("models")
        last = text(asked, "text", LONGEST_TEXT)

        def keep() -> Answer:
            self._order.keep(models, enabled=enabled, seconds=seconds, text=last)
            return self._told(words)

        return await asyncio.to_thread(keep)

    def _told(self, words: Words) -> Answer:
        order, problem = self._order.order(), self._order.problem
        names = [entry.name for entry in self._services.library.entries() if entry.loadable]
        here = {key_of(name) for name in names} | {key_of(seat.name) for seat in self._services.models.seats()}
        return {
            "enabled": order.enabled,
            "models": [
                {"name": model.name, "seconds": model.seconds, "here": key_of(model.name) in here}
                for model in order.models
            ],
            "seconds": order.seconds,
            "text": order.text,
            "names": names,
            "most": MOST_MODELS,
            "longest": LONGEST_SECONDS,
            "problem": self._problem(words, problem) if problem is not None else "",
            "file": words("fallback.file", name=FILE),
        }

    def _problem(self, words: Words, problem: BadValue) -> str:
        return words("fallback.problem", reason=words.problem(problem.code, problem.message, problem.values))


def build(services: Services) -> None:
    FallbackView(elem_id="fallback", server_functions=[server_function("fallback", services, FallbackServer(services))])
