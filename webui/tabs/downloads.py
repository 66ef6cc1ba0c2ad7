"""Get models: search a hub, see what fits this machine, download it, and watch the queue.

The server's side of static/downloads.js. The token that somebody enters is kept in memory for this run and is never
part of an answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from webui.errors import BadValue, WebUIError
from webui.hub.advice import Offer, Overview, offers
from webui.hub.facts import ModelFacts
from webui.hub.faults import HubFault
from webui.hub.machine import machine_now
from webui.hub.peek import peek
from webui.hub.reference import MAIN, Reference, parse
from webui.hub.search import Hub, RepoView
from webui.hub.transfer import new_client
from webui.services import Services
from webui.tabs.asking import Answer, Asked, old_page, server_function, text
from webui.tabs.downloads_words import found_row, job_rows, key_of, offer_row
from webui.tabs.pieces import Piece
from webui.tabs.words import Words

MOST_BRANCHES = 16
MOST_OFFERS = 2000
_COMMAND = re.compile(r"^(?:huggingface-cli|hf)\s+download\s", re.IGNORECASE)


class DownloadsView(Piece):
    """Search, what a model offers, the queue. Talks to one server function."""

    draws = "downloads"


class DownloadsServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._queue = services.downloads
        self._offers: dict[str, Offer] = {}

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        """The queue, and where token, address and offline mode stand."""
        hub, views = self._queue.hub, self._queue.views()
        entries = await asyncio.to_thread(self._services.library.entries)
        return {
            "jobs": job_rows(words, views, {entry.path for entry in entries if entry.loadable}),
            "active": any(view.state in ("waiting", "running", "checking") for view in views),
            "hub": {
                "endpoint": hub.endpoint,
                "host": hub.host,
                "token": words(f"downloads.token.{hub.token_from or ('variable' if hub.token else 'none')}"),
                "has_token": bool(hub.token),
                "offline": hub.offline,
                "fixed": self._services.settings.listen,
            },
        }

    async def _ask_search(self, words: Words, asked: Asked) -> Answer:
        """A repository id or an address opens the model; anything else is searched for."""
        given = text(asked, "text", 2000).strip()
        hub = self._queue.hub
        if "://" in given or _COMMAND.match(given) or ("/" in given and " " not in given):
            return await self._open(words, parse(given, hub.endpoint))
        kind, sort = asked.get("kind"), asked.get("sort")
        if kind not in ("gguf", "exl2", "lora", "any") or sort not in ("downloads", "likes", "last_modified"):
            raise old_page("kind")
        found = await hub.find(given, kind=kind, sort=sort)
        return {"found": [found_row(words, one) for one in found]}

    async def _ask_open(self, words: Words, asked: Asked) -> Answer:
        reference = Reference(text(asked, "repo", 200), text(asked, "revision", 200))
        return await self._open(words, parse(str(reference), self._queue.hub.endpoint))

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        """Put one offer in the queue."""
        repo, key = text(asked, "repo", 200), text(asked, "key", 1000)
        if f"{repo}:{key}" not in self._offers:
            _, found = await self._look(parse(f"{repo}:{key.partition(':')[0]}"))
            self._remember(found.offers)
        offer = self._offers.get(f"{repo}:{key}")
        if offer is None:
            raise BadValue("This file is no longer on the list: open the model again.", param="key", code="offer_gone")
        await self._queue.add(offer)
        return await self._ask_state(words, {})

    async def _ask_change(self, words: Words, asked: Asked) -> Answer:
        """Pause, resume, cancel, forget, or one place up."""
        queue, id = self._queue, text(asked, "id", 64)
        actions = {
            "pause": queue.pause,
            "resume": queue.resume,
            "cancel": queue.cancel,
            "forget": queue.forget,
            "sooner": queue.sooner,
        }
        action = actions.get(text(asked, "action", 20))
        if action is None:
            raise old_page("action")
        await action(id)
        return await self._ask_state(words, {})

    async def _ask_connect(self, words: Words, asked: Asked) -> Answer:
        """Another token or address, for this run. An address is not taken over a network: it decides who is asked."""
        hub, kept = self._queue.hub, self._services.hub
        address, token = text(asked, "endpoint", 500).strip(), text(asked, "token", 1000)
        if address and address.rstrip("/") != hub.endpoint:
            if self._services.settings.listen:
                sentence = "With --listen the hub's address is set by HF_ENDPOINT only."
                raise BadValue(sentence, param="endpoint", code="endpoint_fixed")
            hub = kept if address.rstrip("/") == kept.endpoint else hub.at(address)
        if token.strip() or asked.get("forget") is True:
            hub = hub.with_token(token)
        self._queue.use(hub)
        return await self._ask_state(words, {})

    async def _open(self, words: Words, reference: Reference) -> Answer:
        """What a model offers; of one that keeps its quantisations in branches, all of them."""
        hub = self._queue.hub
        (view, found), branches = await asyncio.gather(self._look(reference), self._branches(hub, reference.repo))
        everything = list(found.offers)
        if reference.revision == MAIN and not everything and len(branches) > 1:
            others = [Reference(reference.repo, name) for name in branches if name != MAIN][:MOST_BRANCHES]
            looked = await asyncio.gather(*(self._look(other) for other in others), return_exceptions=True)
            for result in looked:
                if isinstance(result, BaseException):
                    if not isinstance(result, WebUIError):
                        raise result
                    continue  # a branch that cannot be read is simply not offered
                everything += result[1].offers
        if not everything and found.problem is not None:
            raise found.problem
        self._remember(everything)
        facts = await self._facts(hub, everything)
        machine = await asyncio.to_thread(machine_now)
        context = int(self._services.preferences["n_ctx"] or self._services.settings.n_ctx)
        waiting = {job.path for job in self._queue.views() if job.state != "done"}
        root = self._queue.folder
        busy = {key_of(one) for one in everything if root / (one.folder or one.files[0].name) in waiting}
        return {
            "repo": view.repo,
            "revision": view.revision,
            "licence": view.licence,
            "gated": view.gated,
            "branches": list(branches),
            "refused": list(found.refused),
            "page": f"{hub.endpoint}/{view.repo}",
            "offers": [offer_row(words, one, machine, facts, context, root, busy) for one in everything],
        }

    async def _look(self, reference: Reference) -> tuple[RepoView, Overview]:
        view = await self._queue.hub.look(reference)
        return view, offers(view)

    async def _branches(self, hub: Hub, repo: str) -> tuple[str, ...]:
        try:
            return await hub.branches(repo)
        except HubFault:
            return ()  # the look at the model itself says what is wrong

    async def _facts(self, hub: Hub, found: Iterable[Offer]) -> ModelFacts | None:
        """The model's dimensions, out of the beginning of the first file that tells them."""
        first = next((offer for offer in found if offer.kind == "gguf"), None)
        if first is None:
            return None
        async with new_client() as client:
            return await peek(hub, client, first)

    def _remember(self, found: Iterable[Offer]) -> None:
        for offer in found:
            self._offers[f"{offer.repo}:{key_of(offer)}"] = offer
        while len(self._offers) > MOST_OFFERS:
            del self._offers[next(iter(self._offers))]


def build(services: Services) -> None:
    DownloadsView(
        elem_id="downloads", server_functions=[server_function("downloads", services, DownloadsServer(services))]
    )
