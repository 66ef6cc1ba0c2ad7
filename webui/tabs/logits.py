"""The Logits tab: watch a model choose. One server function that the page's script talks to.

The browser sends where it is (look, node) and the whole chain, seed and coin with every question, so that a slider is
one small question without a model call. Everything is worked out in webui.lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import gradio as gr
import numpy as np
import orjson
from gradio import Request

from webui.chat.prompt import build_prompt
from webui.chosen import chosen_chain
from webui.errors import BadValue, NoModel, WebUIError
from webui.lab.draws import draw_many
from webui.lab.export import Saved, chain_data, from_json, to_json
from webui.lab.find import fate, matching
from webui.lab.funnel import Coin, Funnel, funnel
from webui.lab.handout import to_call, to_csv
from webui.lab.picture import Order, picture
from webui.samplers import BALANCED, Chain
from webui.services import Services
from webui.tabs import logits_answers as tell
from webui.tabs.asking import Answer, Asked, answer, asks_of, number, text, unless_left, words_for
from webui.tabs.declared import tell_samplers
from webui.tabs.logits_looks import Look, Looks
from webui.tabs.pieces import Piece
from webui.tabs.words import Words

LONGEST_PROMPT = 1_000_000
LONGEST_FILE = 256 << 20
MOST_SHOWN = 2000
SAVED_TEXTS = 4096
MOST_LINES = 1000
MOST_LIKELY = 256


class LogitsLab(Piece):
    """The whole tab: prompt, funnel, picture, draws, walk."""

    draws = "logits"


@dataclass(frozen=True, slots=True)
class View:
    """Where the page is and how it looks at it."""

    look: Look
    node: int
    chain: Chain
    seed: int
    coin: Coin
    shown: int
    order: Order
    focus: int


class LogitsServer:
    """What the page's script may ask. Every answer is plain JSON; errors are sentences, never exceptions."""

    def __init__(self, services: Services, looks: Looks | None = None) -> None:
        self._services = services
        self._models = services.models
        self._looks = looks or Looks(services.models)
        self._reading: dict[str, asyncio.Event] = {}

    async def _ask_open(self, words: Words, asked: Asked) -> Answer:
        """What the page needs once: words, samplers, the chain Chat uses."""
        preferences = self._services.preferences
        return {
            "words": words.starting_with("logits."),
            "language": words.language,
            "samplers": tell_samplers(words.language),
            "chain": chain_data(chosen_chain(preferences)),
            "balanced": chain_data(BALANCED),
            "seed": max(0, preferences["seed"]),
            "prompt": preferences["logits_prompt"] or words("logits.example"),
            "api": self._services.settings.api,
        }

    async def _ask_chain(self, words: Words, asked: Asked) -> Answer:
        """The chain that Chat and the other tabs use now."""
        return {"chain": chain_data(chosen_chain(self._services.preferences))}

    # looking

    async def _ask_look(self, words: Words, asked: Asked) -> Answer:
        """Read a prompt: the text given, that of another tab, or a chat through the model's template."""
        preferences, source = self._services.preferences, asked.get("source")
        if asked.get("message"):
            prompt, add_bos = await self._chat_prompt(number(asked, "message", 1))
        elif source == "chat":
            prompt, add_bos = await self._chat_prompt(0)
        else:
            if source == "default":
                prompt = preferences["default_prompt"] + preferences["default_output"]
            elif source == "notebook":
                prompt = preferences["notebook"]
            else:
                prompt = text(asked, "prompt", LONGEST_PROMPT)
                await asyncio.to_thread(preferences.set, logits_prompt=prompt)
            add_bos = self._wants_bos(prompt)
        if not prompt and not add_bos:
            raise BadValue("Write a prompt first.", param="prompt", code="empty_prompt")
        look = await self._looks.read(prompt, add_bos=add_bos)
        return await self._position(words, {**asked, "look": look.id, "node": 0})

    async def _ask_stop(self, words: Words, asked: Asked) -> Answer:
        """Read a prompt no further: that of the look with this ticket."""
        if unwanted := self._reading.get(str(asked.get("ticket"))):
            unwanted.set()
        return {}

    async def looking(self, request: Request, asked: Asked, work: Coroutine[Any, Any, Answer]) -> Answer:
        """A look, which may take long, as long as somebody waits for it."""
        ticket, unwanted = str(asked.get("ticket"))[:64], asyncio.Event()
        self._reading[ticket] = unwanted
        try:
            return await unless_left(request, work, unwanted)
        finally:
            if self._reading.get(ticket) is unwanted:
                del self._reading[ticket]

    async def _ask_see(self, words: Words, asked: Asked) -> Answer:
        """The same position with another chain, seed or view: no model call while its row is kept."""
        view = self._view(asked)
        return await self._tell(words, view, await self._funnel(view))

    async def _ask_go(self, words: Words, asked: Asked) -> Answer:
        """To another step of the walk; `node` -1 is one step back."""
        look = self._looks[asked.get("look")]
        node = number(asked, "node")
        tree = look.tree.back() if node < 0 else look.tree.go(node)
        look.tree = tree
        return await self._position(words, {**asked, "node": tree.current})

    async def _ask_step(self, words: Words, asked: Asked) -> Answer:
        """Append a token: the one given, or (token -1) the one the chain draws with this seed."""
        view = self._view(asked)
        look, token = view.look, number(asked, "token")
        row = await self._looks.row(look, view.node)
        situation = self._looks.situation(look, view.chain, view.seed, view.coin, view.node)
        drawn = token < 0
        if drawn:
            draws = await asyncio.to_thread(draw_many, row, view.chain, situation, 1)
            token = draws.first
        if token >= row.size:
            raise BadValue(f"There is no token {token}.", param="token", code="no_such_token")
        seen = await asyncio.to_thread(funnel, row, view.chain, situation)
        one = np.array([token])
        look.tree = look.tree.add(
            view.node,
            token,
            raw=float(row.raw(one)[0]),
            final=float(seen.final_probabilities(one)[0]),
            rank=row.rank(token),
            chain=view.chain.steps,
            drawn=drawn,
        )
        ended = token in look.lexicon.vocabulary.end_ids
        try:
            told = await self._position(words, {**asked, "node": look.tree.current})
        except WebUIError:
            look.tree = look.tree.go(view.node)
            raise
        return {**told, "ended": ended}

    # experiments

    async def _ask_draw(self, words: Words, asked: Asked) -> Answer:
        view = self._view(asked)
        row = await self._looks.row(view.look, view.node)
        situation = self._looks.situation(view.look, view.chain, view.seed, view.coin, view.node)
        draws = await asyncio.to_thread(draw_many, row, view.chain, situation, number(asked, "amount", 1))
        texts = view.look.lexicon.texts
        await texts.know([draws.first, *(drawn.token for drawn in draws.tokens)])
        return tell.tell_draws(draws, texts)

    async def _ask_find(self, words: Words, asked: Asked) -> Answer:
        """Tokens by their text, with rank and fate, however far down."""
        view, wanted = self._view(asked), text(asked, "text", 200)
        texts = view.look.lexicon.texts
        await texts.know_all()
        seen = await self._funnel(view)

        def find() -> list[Answer]:
            return [tell.tell_fate(fate(seen, token), texts) for token in matching(wanted, texts, seen.row.row)]

        return {"found": await asyncio.to_thread(find)}

    # taking away

    async def _ask_save(self, words: Words, asked: Asked) -> Answer:
        view = self._view(asked)
        look = view.look
        row = await self._looks.row(look, view.node)
        rows = {view.node: row.row}
        for place in (0, *(node.id for node in look.tree.path(view.node))):
            kept = self._looks.kept(look, place)
            if kept is not None:
                rows[place] = kept.row
        tree = look.tree.go(view.node)
        wanted = {*tree.prompt, *(node.token for node in tree.nodes[1:]), *row.head[:SAVED_TEXTS].tolist()}
        await look.lexicon.texts.know(wanted)
        texts = {token: look.lexicon.texts[token] for token in sorted(wanted)}
        saved = Saved(look.lexicon.model, look.prompt, tree, view.chain.steps, view.seed, rows, texts)
        return {"file": await asyncio.to_thread(to_json, saved)}

    async def _ask_load(self, words: Words, asked: Asked) -> Answer:
        """Open a file that was saved; no model is needed."""
        content = text(asked, "file", LONGEST_FILE)
        saved = await asyncio.to_thread(from_json, content)
        look = await asyncio.to_thread(self._looks.open, saved)
        chain = chain_data(saved.chain)
        mine = {**asked, "look": look.id, "node": saved.tree.current, "chain": chain, "seed": saved.seed}
        told = await self._position(words, mine)
        return {**told, "chain": chain, "seed": saved.seed, "prompt": saved.prompt, "model": saved.model.name}

    async def _ask_csv(self, words: Words, asked: Asked) -> Answer:
        view = self._view(asked)
        seen = await self._funnel(view)
        await view.look.lexicon.texts.know(seen.row.head[:MOST_LINES].tolist())
        return {"file": await asyncio.to_thread(to_csv, seen, view.look.lexicon.texts, rows=MOST_LINES)}

    async def _ask_call(self, words: Words, asked: Asked) -> Answer:
        view = self._view(asked)
        row = await self._looks.row(view.look, view.node)
        settings = self._services.settings
        url = f"http://127.0.0.1:{settings.api_port}"
        prompt = view.look.prompt if view.node == 0 else None
        call = to_call(row, view.chain, seed=view.seed, url=url, prompt=prompt)
        return {"call": call, "served": settings.api}

    async def _ask_keep(self, words: Words, asked: Asked) -> Answer:
        """Use this chain in Chat and everywhere else from now on."""
        chain = _chain(asked)
        same = chain.steps == Chain.parse(BALANCED).steps
        await asyncio.to_thread(self._services.preferences.set, chain=[] if same else chain_data(chain.steps))
        return {}

    # helpers

    def _view(self, asked: Asked) -> View:
        look = self._looks[asked.get("look")]
        node = number(asked, "node", 0)
        look.tree.go(node)
        coin, order = asked.get("coin", "dice"), asked.get("order", "raw")
        if coin not in ("dice", "strike", "spare") or order not in ("raw", "final"):
            raise BadValue("This page is older than the program: reload it.", param="coin", code="old_page")
        return View(
            look=look,
            node=node,
            chain=_chain(asked),
            seed=number(asked, "seed", 0),
            coin=cast(Coin, coin),
            shown=number(asked, "shown", 1, MOST_SHOWN),
            order=cast(Order, order),
            focus=number(asked, "focus"),
        )

    async def _funnel(self, view: View) -> Funnel:
        row = await self._looks.row(view.look, view.node)

        def run() -> Funnel:
            situation = self._looks.situation(view.look, view.chain, view.seed, view.coin, view.node)
            return funnel(row, view.chain, situation)

        return await asyncio.to_thread(run)

    async def _tell(self, words: Words, view: View, seen: Funnel) -> Answer:
        texts = view.look.lexicon.texts
        await texts.know(seen.row.head[: max(MOST_LIKELY, view.shown)].tolist())

        def draw() -> Answer:
            drawn = picture(seen, shown=view.shown, order=view.order, focus=view.focus)
            return tell.tell_position(seen, drawn, texts, words.language)

        return await asyncio.to_thread(draw)

    async def _position(self, words: Words, asked: Asked) -> Answer:
        """A position that the page does not know yet: also its row and the walk."""
        view = self._view(asked)
        look = view.look
        seen = await self._funnel(view)
        await look.lexicon.texts.know([*look.tree.prompt[-tell.STRIP :], *(node.token for node in look.tree.nodes[1:])])
        return {
            **await self._tell(words, view, seen),
            "look": look.id,
            "node": view.node,
            "row": tell.tell_row(seen.row),
            "walk": tell.tell_walk(look.tree, look.lexicon.texts, view.chain, words.language),
            "model": look.lexicon.model.name,
            "prompt": look.prompt,
        }

    def _wants_bos(self, prompt: str) -> bool:
        info = self._models.status().info
        return info is not None and info.needs_bos(prompt)

    async def _chat_prompt(self, reply: int) -> tuple[str, bool]:
        """A chat as far as the place where this reply began; 0 is where the last one of the open chat begins."""
        services = self._services
        talk = services.conversations
        status = self._models.status()
        if status.info is None:
            raise NoModel(status.sentence or "No model is loaded.", code=status.code or "model_not_loaded")
        if reply:
            node = await talk.stored(lambda: talk.history.node(reply))
            path = [before for before in await talk.stored(lambda: talk.history.path(node.chat)) if before.id < reply]
        else:
            chat = services.preferences["last_chat"]
            path = await talk.stored(lambda: talk.history.path(chat)) if chat else []
        while path and path[-1].role == "assistant":
            path = path[:-1]
        if not path:
            raise BadValue("There is no chat to look at: write a message in Chat first.", code="no_chat_to_look_at")

        async def count(content: str, add_bos: bool) -> int:
            return len(await self._models.tokenize(content, add_bos=add_bos))

        prompt = await build_prompt(path, status.info, count, system=services.preferences["system"])
        return prompt.text, prompt.add_bos


def _chain(asked: Asked) -> Chain:
    steps = asked.get("chain")
    if not isinstance(steps, list):
        raise BadValue("chain must be a list of [name, {parameter: value}].", param="chain")
    return Chain.parse(steps)


def server_function(services: Services, server: LogitsServer) -> Callable[..., Awaitable[str]]:
    """Answers as JSON text: with hundreds of numbers in each, and many a second, that is what is quickest."""
    asks = asks_of(server)

    async def logits(asked: dict[str, Any], request: Request) -> str:
        work = answer(asks, words_for(services, request), asked)
        reads = isinstance(asked, dict) and asked.get("ask") == "look"
        told = await (server.looking(request, asked, work) if reads else work)
        return orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()

    return logits


def build(services: Services, blocks: gr.Blocks | None = None) -> None:
    """The tab's content."""
    LogitsLab(elem_id="logits", server_functions=[server_function(services, LogitsServer(services))])
