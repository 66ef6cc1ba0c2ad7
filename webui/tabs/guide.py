"""The first-run guide: with nothing but the starter model, a model that suits this machine, one click away.

The server's side of static/guide.js. What suits the machine is hub/catalogue.py's affair.
"""

from __future__ import annotations

import asyncio

from webui.errors import BadValue
from webui.hub.advice import offers
from webui.hub.catalogue import CONTEXT, Suggestion, read_catalogue, suggest, verdicts
from webui.hub.machine import Machine, machine_now
from webui.hub.reference import Reference
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function, text
from webui.tabs.model_words import short_number, size_text, verdict_text
from webui.tabs.pieces import Piece
from webui.tabs.words import Words


class GuideView(Piece):
    """What to download first. Talks to one server function."""

    draws = "guide"


class GuideServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalogue = {entry.name: entry for entry in read_catalogue()}

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        """Whether the guide shows itself; with `open`, or when it does, what it suggests."""
        entries = await asyncio.to_thread(self._services.library.entries)
        fresh = not any(entry.loadable and entry.origin != "starter" for entry in entries)
        shown = fresh and not self._services.preferences["guide_seen"]
        if not shown and asked.get("open") is not True:
            return {"shown": False}
        return {"shown": shown, **await asyncio.to_thread(self._suggestions, words)}

    async def _ask_seen(self, words: Words, asked: Asked) -> Answer:
        """It is not shown by itself any more."""
        await asyncio.to_thread(lambda: self._services.preferences.set(guide_seen=True))
        return {"shown": False}

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        """Put one quantisation of a suggested model in the queue."""
        entry, quantisation = self._catalogue.get(text(asked, "name", 200)), text(asked, "quantisation", 40)
        if entry is None or quantisation not in entry.sizes:
            raise BadValue("This model is no longer suggested: reload the page.", param="name", code="old_page")
        queue = self._services.downloads
        wanted = Reference(entry.repos.get(quantisation, entry.repo), quantisation)
        found = offers(await queue.hub.look(wanted))
        offer = next((one for one in found.offers if one.quantisation == quantisation), None)
        if offer is None:
            raise found.problem or BadValue(
                f"{wanted.repo} offers no {quantisation} any more: search for the model below.",
                param="quantisation",
                code="guide_gone",
                values={"repo": wanted.repo, "quantisation": quantisation},
            )
        await queue.add(offer)
        return {"queued": True}

    def _suggestions(self, words: Words) -> Answer:
        machine = machine_now()
        rows = [_row(words, one, machine) for one in suggest(list(self._catalogue.values()), machine)]
        parts = [words("guide.ram", n=size_text(words, machine.ram_free))]
        parts += [words("guide.gpu", name=gpu.name, n=size_text(words, gpu.free)) for gpu in machine.gpus]
        return {"machine": ", ".join(parts), "models": rows, "context": CONTEXT}


def _row(words: Words, one: Suggestion, machine: Machine) -> Answer:
    entry = one.entry
    sizes = [
        {
            "quantisation": name,
            "label": f"{name} · {size_text(words, entry.sizes[name])}",
            "fits": verdict.fits,
            "title": verdict_text(words, verdict),
            "chosen": name == one.quantisation,
        }
        for name, verdict in verdicts(entry, machine).items()
    ]
    return {
        "name": entry.name,
        "about": entry.about[words.language],
        "parameters": short_number(words, entry.parameters),
        "licence": entry.licence,
        "code": one.code,
        "sizes": sizes,
    }


def build(services: Services, elem_id: str) -> None:
    GuideView(elem_id=elem_id, server_functions=[server_function("guide", services, GuideServer(services))])
