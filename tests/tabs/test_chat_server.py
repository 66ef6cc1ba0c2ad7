"""What the chat's script asks, answered without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tests.chat.standin import INFO, Runtime
from webui.chat.conversation import Conversations
from webui.chat.history import History
from webui.chosen import reply_settings
from webui.preferences import Preferences
from webui.tabs.asking import answer, asks_of
from webui.tabs.chat import ChatServer
from webui.tabs.words import Words


class Bench:
    def __init__(self, folder: Path) -> None:
        self.runtime = Runtime()
        self.preferences = Preferences(folder / "settings.json")
        self.talk = Conversations(
            self.runtime, History(folder / "chats.sqlite3"), lambda: reply_settings(self.preferences)
        )
        services: Any = SimpleNamespace(conversations=self.talk, preferences=self.preferences)
        self.asks = asks_of(ChatServer(services))
        self.words = Words("en")

    async def ask(self, ask: str, **values: Any) -> dict[str, Any]:
        return await answer(self.asks, self.words, {"ask": ask, **values})

    async def reply(self, *pieces: str) -> None:
        stream = self.runtime.streams[-1]
        stream.say(*pieces)
        stream.finish()
        while self.talk.running():
            await self.talk.changed(0.05)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.talk.close()


async def started(bench: Bench, number: int = 1) -> None:
    while len(bench.runtime.streams) < number:
        await asyncio.sleep(0.005)


async def test_sending_to_no_chat_makes_one_and_uses_up_the_draft(bench: Bench) -> None:
    await bench.ask("draft", chat=0, text="hel")
    assert (await bench.ask("open", chat=0))["draft"] == "hel"
    sent = await bench.ask("send", chat=0, text="hello")
    assert sent["title"] == "hello" and [m["role"] for m in sent["messages"]] == ["user", "assistant"]
    assert sent["messages"][1]["live"] is True
    assert (await bench.ask("open", chat=0))["draft"] == ""
    await started(bench)
    await bench.reply("<b>hi</b> **there**")
    (message,) = (await bench.ask("messages", chat=sent["chat"], last=1))["messages"]
    assert message["html"] == "<p>&lt;b&gt;hi&lt;/b&gt; <strong>there</strong></p>\n"
    assert message["text"] == "<b>hi</b> **there**"


async def test_watch_tells_only_what_is_new(bench: Bench) -> None:
    chat = (await bench.ask("send", chat=0, text="go"))["chat"]
    await started(bench)
    stream = bench.runtime.streams[0]
    stream.say("First *block*.\n\nSecond")
    while (bench.talk.live(chat) or pytest.fail("ended")).tokens < 1:
        await bench.talk.changed(1)
    first = await bench.ask("watch", chat=chat, version=0, blocks=0, running=[chat])
    assert first["live"]["blocks"] == ["<p>First <em>block</em>.</p>\n"] and first["live"]["tail"] == "Second"
    stream.say(" one <i>")
    version = first["live"]["version"]
    second = await bench.ask("watch", chat=chat, version=version, blocks=1, running=[chat])
    assert second["live"]["blocks"] == [] and second["live"]["tail"] == "Second one <i>"
    stream.finish()
    last = {"running": [chat], "live": {"version": second["live"]["version"]}}
    while chat in last["running"]:
        last = await bench.ask(
            "watch", chat=chat, version=(last["live"] or {"version": 0})["version"], blocks=1, running=[chat]
        )
    assert last["live"] is None


async def test_errors_are_sentences(bench: Bench) -> None:
    bench.runtime.state.stage = "none"
    assert "Model tab" in (await bench.ask("send", chat=0, text="x"))["error"]
    assert (await bench.ask("list"))["chats"] == [], "no chat is made for a message that was not taken"
    assert (await bench.ask("open", chat=99))["code"] == "no_such_chat"
    assert (await bench.ask("regenerate", node=99))["code"] == "no_such_message"


@pytest.mark.parametrize(
    "asked",
    [None, [], "open", {}, {"ask": "nothing"}, {"ask": "__init__"}, {"ask": "open"}, {"ask": "open", "chat": "1"}]
    + [{"ask": "open", "chat": True}, {"ask": "open", "chat": 1.5}, {"ask": "open", "chat": -2}]
    + [{"ask": "send", "chat": 0, "text": None}, {"ask": "send", "chat": 0, "text": "x" * 1_000_001}]
    + [{"ask": "keep_seed", "seed": 1 << 40}, {"ask": "rename", "chat": 1, "title": 3}],
)
async def test_nonsense_is_answered_with_a_sentence(bench: Bench, asked: Any) -> None:
    answered = await answer(bench.asks, bench.words, asked)
    assert answered["error"].endswith((".", "reload it.")) and answered["code"]
    assert (await bench.ask("list"))["chats"] == []


async def test_the_last_chat_is_found_again(bench: Bench) -> None:
    chat = (await bench.ask("send", chat=0, text="one"))["chat"]
    await started(bench)
    await bench.reply("ok")
    assert (await bench.ask("open", chat=-1))["chat"] == chat
    await bench.ask("delete", chat=chat)
    assert (await bench.ask("open", chat=-1))["chat"] == 0
    restored = await bench.ask("restore", chat=chat)
    assert [c["title"] for c in restored["chats"]] == ["one"]


async def test_figures_speak_the_visitors_language(bench: Bench) -> None:
    bench.words = Words("ru")
    bench.runtime.state.info = replace(INFO, extra={"loras": [{"name": "small.gguf", "scale": 0.5}]})
    chat = (await bench.ask("send", chat=0, text="раз"))["chat"]
    await started(bench)
    await bench.reply("два")
    figures = (await bench.ask("open", chat=chat))["messages"][1]["figures"]
    assert {"конец ответа", "6 из 200", "LoRA-адаптер small.gguf × 0,50"} <= {figure["text"] for figure in figures}


async def test_versions_cannot_be_switched_while_a_reply_is_written(bench: Bench) -> None:
    sent = await bench.ask("send", chat=0, text="one")
    await started(bench)
    assert (await bench.ask("select", node=sent["messages"][0]["id"]))["code"] == "reply_running"
    await bench.ask("stop", chat=sent["chat"])
    assert "error" not in await bench.ask("select", node=sent["messages"][0]["id"])
