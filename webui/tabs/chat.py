"""The Chat tab: one server function that the page's script talks to, and the piece that draws it.

The browser asks (open, send, stop, ...) and, while anything is being written, waits in `watch` for what is new: at most
twenty answers a second, each with only what changed. A lost connection is simply asked again.
"""

from __future__ import annotations

import asyncio
import time

import gradio as gr

from webui.chat.history import Node
from webui.errors import BadValue, Busy
from webui.services import Services
from webui.tabs.asking import Answer, Asked, number, server_function, text
from webui.tabs.chat_words import ChatWords
from webui.tabs.markdown import Markdown
from webui.tabs.pieces import ChatView
from webui.tabs.words import Words

WATCH_SECONDS = 2.5
FRAME_SECONDS = 0.05
LONGEST_MESSAGE = 1_000_000


class ChatServer:
    """What the page's script may ask. Every answer is plain JSON; errors are sentences, never exceptions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._talk = services.conversations
        self._history = services.conversations.history
        self._markdown = Markdown()

    # looking

    async def _ask_open(self, words: Words, asked: Asked) -> Answer:
        """A chat with its messages; 0 is the chat that does not exist yet, -1 the one that was open last."""
        chat = number(asked, "chat")
        if chat == -1:
            chat = self._services.preferences["last_chat"]
            known = {info.id for info in await self._talk.stored(self._history.chats)}
            chat = chat if chat in known else 0
        title = ""
        messages: list[Answer] = []
        if chat:
            info = await self._talk.stored(lambda: self._history.chat(chat))
            title = self._drawn(words).chat(info, False)["title"]
            messages = await self._messages(words, chat)
        await self._remember(chat)
        draft = await self._talk.stored(lambda: self._history.draft(chat))
        return {"chat": chat, "title": title, "messages": messages, "draft": draft, "running": self._talk.running()}

    async def _ask_list(self, words: Words, asked: Asked) -> Answer:
        search = text(asked, "search", 1000) if "search" in asked else ""
        chats = await self._talk.stored(lambda: self._history.chats(search))
        running, drawn = self._talk.running(), self._drawn(words)
        return {"chats": [drawn.chat(info, info.id in running) for info in chats]}

    async def _ask_watch(self, words: Words, asked: Asked) -> Answer:
        """Wait until the reply in `chat` has moved beyond `version`, or the set of running chats is not `running`."""
        chat, version, blocks = number(asked, "chat"), number(asked, "version"), number(asked, "blocks")
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
        return {"running": self._talk.running(), "live": self._drawn(words).live(reply, blocks) if reply else None}

    async def _ask_messages(self, words: Words, asked: Asked) -> Answer:
        """The last `last` messages of the branch, for instance the reply that has just been finished."""
        chat, last = number(asked, "chat"), number(asked, "last")
        return {"messages": await self._messages(words, chat, last)}

    async def _ask_trace(self, words: Words, asked: Asked) -> Answer:
        """How each token of a reply was chosen."""
        node = number(asked, "node")
        return {"tokens": await self._talk.stored(lambda: self._history.trace(node))}

    # doing

    async def _ask_send(self, words: Words, asked: Asked) -> Answer:
        chat, typed = number(asked, "chat"), text(asked, "text", LONGEST_MESSAGE)
        new = chat == 0
        if new:
            self._talk.require_ready(0)
            if not typed.strip():
                raise BadValue("Write a message first.", param="text", code="empty_message")
            chat = await self._talk.stored(self._history.create)
        await self._talk.send(chat, typed)
        if new:
            await self._talk.stored(lambda: self._history.set_draft(0, ""))
        return await self._opened(words, chat)

    async def _ask_stop(self, words: Words, asked: Asked) -> Answer:
        await self._talk.stop(number(asked, "chat"))
        return {}

    async def _ask_regenerate(self, words: Words, asked: Asked) -> Answer:
        return await self._opened(words, (await self._talk.regenerate(number(asked, "node"))).chat)

    async def _ask_go_on(self, words: Words, asked: Asked) -> Answer:
        return await self._opened(words, (await self._talk.go_on(number(asked, "node"))).chat)

    async def _ask_edit(self, words: Words, asked: Asked) -> Answer:
        node, typed = number(asked, "node"), text(asked, "text", LONGEST_MESSAGE)
        old = await self._talk.stored(lambda: self._history.node(node))
        await self._talk.edit(node, typed)
        return await self._opened(words, old.chat)

    async def _ask_select(self, words: Words, asked: Asked) -> Answer:
        node = number(asked, "node")
        chosen = await self._talk.stored(lambda: self._history.node(node))
        if self._talk.live(chosen.chat):
            raise Busy("A reply is still being written in this chat: stop it first.", code="reply_running")
        await self._talk.stored(lambda: self._history.select(node))
        return await self._opened(words, chosen.chat)

    async def _ask_draft(self, words: Words, asked: Asked) -> Answer:
        chat, typed = number(asked, "chat"), text(asked, "text", LONGEST_MESSAGE)
        await self._talk.stored(lambda: self._history.set_draft(chat, typed))
        return {}

    async def _ask_rename(self, words: Words, asked: Asked) -> Answer:
        chat, title = number(asked, "chat"), text(asked, "title", 1000)
        if title.strip():
            await self._talk.stored(lambda: self._history.rename(chat, title))
        return await self._ask_list(words, {})

    async def _ask_delete(self, words: Words, asked: Asked) -> Answer:
        await self._talk.delete(number(asked, "chat"))
        return await self._ask_list(words, {})

    async def _ask_restore(self, words: Words, asked: Asked) -> Answer:
        chat = number(asked, "chat")
        await self._talk.stored(lambda: self._history.restore(chat))
        return await self._ask_list(words, {})

    async def _ask_keep_seed(self, words: Words, asked: Asked) -> Answer:
        """Use a reply's seed for what comes, or -1 to draw one each time again."""
        seed = number(asked, "seed")
        await asyncio.to_thread(self._services.preferences.set, seed=seed)
        return {}

    # helpers

    def _drawn(self, words: Words) -> ChatWords:
        return ChatWords(words, self._markdown)

    async def _opened(self, words: Words, chat: int) -> Answer:
        opened = await self._ask_open(words, {"chat": chat})
        opened.pop("draft")
        return opened

    async def _messages(self, words: Words, chat: int, last: int = 0) -> list[Answer]:
        path: list[Node] = await self._talk.stored(lambda: self._history.path(chat))
        reply = self._talk.live(chat)
        shown, drawn = path[-last:] if last else path, self._drawn(words)
        return await asyncio.to_thread(
            lambda: [drawn.message(node, live=reply is not None and node.id == reply.node) for node in shown]
        )

    async def _remember(self, chat: int) -> None:
        if self._services.preferences["last_chat"] != chat:
            await asyncio.to_thread(self._services.preferences.set, last_chat=chat)


def build(services: Services) -> None:
    """The tab's content."""
    with gr.Column(elem_id="chat-column"):
        ChatView(elem_id="chat", server_functions=[server_function("chat", services, ChatServer(services))])
