"""The Chat tab: one server function that the page's script talks to, and the piece that draws it.

The browser asks (open, send, stop, ...) and, while anything is being written, waits in `watch` for what is new: at most
twenty answers a second, each with only what changed. A lost connection is simply asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import gradio as gr
from gradio import Request

from webui.chat.history import Node
from webui.errors import BadValue, Busy, WebUIError
from webui.services import Services
from webui.tabs.chat_words import ChatWords
from webui.tabs.markdown import Markdown
from webui.tabs.pieces import ChatView
from webui.tabs.words import Words, language_of

WATCH_SECONDS = 2.5
FRAME_SECONDS = 0.05
LONGEST_MESSAGE = 1_000_000

Answer = dict[str, Any]


class ChatServer:
    """What the page's script may ask. Every answer is plain JSON; errors are sentences, never exceptions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._talk = services.conversations
        self._history = services.conversations.history
        self._markdown = Markdown()
        self._asks: Mapping[str, Callable[[ChatWords, Mapping[str, Any]], Awaitable[Answer]]] = {
            name.removeprefix("_ask_"): getattr(self, name) for name in dir(self) if name.startswith("_ask_")
        }

    async def answer(self, asked: Any, accept_language: str = "") -> Answer:
        words = Words(language_of(self._services.preferences["language"], accept_language))
        chat_words = ChatWords(words, self._markdown)
        try:
            if not isinstance(asked, dict) or asked.get("ask") not in self._asks:
                raise BadValue("This page is older than the program: reload it.", code="old_page")
            return await self._asks[asked["ask"]](chat_words, asked)
        except WebUIError as error:
            return {"error": words.problem(error.code, error.message, error.values), "code": error.code}

    # looking

    async def _ask_open(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        """A chat with its messages; 0 is the chat that does not exist yet, -1 the one that was open last."""
        chat = _number(asked, "chat")
        if chat == -1:
            chat = self._services.preferences["last_chat"]
            known = {info.id for info in await self._talk.stored(self._history.chats)}
            chat = chat if chat in known else 0
        title = ""
        messages: list[Answer] = []
        if chat:
            info = await self._talk.stored(lambda: self._history.chat(chat))
            title = words.chat(info, False)["title"]
            messages = await self._messages(words, chat)
        await self._remember(chat)
        draft = await self._talk.stored(lambda: self._history.draft(chat))
        return {"chat": chat, "title": title, "messages": messages, "draft": draft, "running": self._talk.running()}

    async def _ask_list(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        search = _text(asked, "search", 1000) if "search" in asked else ""
        chats = await self._talk.stored(lambda: self._history.chats(search))
        running = self._talk.running()
        return {"chats": [words.chat(info, info.id in running) for info in chats]}

    async def _ask_watch(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        """Wait until the reply in `chat` has moved beyond `version`, or the set of running chats is not `running`."""
        chat, version, blocks = _number(asked, "chat"), _number(asked, "version"), _number(asked, "blocks")
        known = asked.get("running")
        began = time.monotonic()
        while True:
            reply, running = self._talk.live(chat), self._talk.running()
            moved = (reply.version if reply else 0) != version or list(running) != known
            if moved or time.monotonic() - began > WATCH_SECONDS:
                break
            await self._talk.changed(WATCH_SECONDS)
        await asyncio.sleep(max(0.0, FRAME_SECONDS - (time.monotonic() - began)))
        reply = self._talk.live(chat)
        return {"running": self._talk.running(), "live": words.live(reply, blocks) if reply else None}

    async def _ask_messages(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        """The last `last` messages of the branch, for instance the reply that has just been finished."""
        chat, last = _number(asked, "chat"), _number(asked, "last")
        return {"messages": await self._messages(words, chat, last)}

    # doing

    async def _ask_send(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        chat, text = _number(asked, "chat"), _text(asked, "text", LONGEST_MESSAGE)
        new = chat == 0
        if new:
            self._talk.require_ready(0)
            if not text.strip():
                raise BadValue("Write a message first.", param="text", code="empty_message")
            chat = await self._talk.stored(self._history.create)
        await self._talk.send(chat, text)
        if new:
            await self._talk.stored(lambda: self._history.set_draft(0, ""))
        return await self._opened(words, chat)

    async def _ask_stop(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        await self._talk.stop(_number(asked, "chat"))
        return {}

    async def _ask_regenerate(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        return await self._opened(words, (await self._talk.regenerate(_number(asked, "node"))).chat)

    async def _ask_go_on(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        return await self._opened(words, (await self._talk.go_on(_number(asked, "node"))).chat)

    async def _ask_edit(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        node, text = _number(asked, "node"), _text(asked, "text", LONGEST_MESSAGE)
        old = await self._talk.stored(lambda: self._history.node(node))
        await self._talk.edit(node, text)
        return await self._opened(words, old.chat)

    async def _ask_select(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        node = _number(asked, "node")
        chosen = await self._talk.stored(lambda: self._history.node(node))
        if self._talk.live(chosen.chat):
            raise Busy("A reply is still being written in this chat: stop it first.", code="reply_running")
        await self._talk.stored(lambda: self._history.select(node))
        return await self._opened(words, chosen.chat)

    async def _ask_draft(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        chat, text = _number(asked, "chat"), _text(asked, "text", LONGEST_MESSAGE)
        await self._talk.stored(lambda: self._history.set_draft(chat, text))
        return {}

    async def _ask_rename(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        chat, title = _number(asked, "chat"), _text(asked, "title", 1000)
        if title.strip():
            await self._talk.stored(lambda: self._history.rename(chat, title))
        return await self._ask_list(words, {})

    async def _ask_delete(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        await self._talk.delete(_number(asked, "chat"))
        return await self._ask_list(words, {})

    async def _ask_restore(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        chat = _number(asked, "chat")
        await self._talk.stored(lambda: self._history.restore(chat))
        return await self._ask_list(words, {})

    async def _ask_keep_seed(self, words: ChatWords, asked: Mapping[str, Any]) -> Answer:
        """Use a reply's seed for what comes, or -1 to draw one each time again."""
        seed = _number(asked, "seed")
        await asyncio.to_thread(self._services.preferences.set, seed=seed)
        return {}

    # helpers

    async def _opened(self, words: ChatWords, chat: int) -> Answer:
        opened = await self._ask_open(words, {"chat": chat})
        opened.pop("draft")
        return opened

    async def _messages(self, words: ChatWords, chat: int, last: int = 0) -> list[Answer]:
        path: list[Node] = await self._talk.stored(lambda: self._history.path(chat))
        reply = self._talk.live(chat)
        shown = path[-last:] if last else path
        return await asyncio.to_thread(
            lambda: [words.message(node, live=reply is not None and node.id == reply.node) for node in shown]
        )

    async def _remember(self, chat: int) -> None:
        if self._services.preferences["last_chat"] != chat:
            await asyncio.to_thread(self._services.preferences.set, last_chat=chat)


def _number(asked: Mapping[str, Any], name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 1 << 53:
        raise BadValue("This page is older than the program: reload it.", param=name, code="old_page")
    return value


def _text(asked: Mapping[str, Any], name: str, longest: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise BadValue("This page is older than the program: reload it.", param=name, code="old_page")
    if len(value) > longest:
        raise BadValue(
            f"This text has {len(value)} characters, at most {longest} are allowed.",
            param=name,
            code="text_too_long",
            values={"length": len(value), "limit": longest},
        )
    return value


def build(services: Services) -> None:
    """The tab's content."""
    server = ChatServer(services)

    async def chat(asked: dict[str, Any], request: Request) -> Answer:
        return await server.answer(asked, request.headers.get("accept-language", ""))

    with gr.Column(elem_id="chat-column"):
        ChatView(elem_id="chat", server_functions=[chat])
