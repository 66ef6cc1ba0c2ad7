"""A reply that another model writes because the first one does not: what is kept, and that Stop works meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from anyio import fail_after

from tests.chat.standin import Fleet, Runtime, Stream, order
from webui.chat.conversation import Conversations, ReplySettings
from webui.chat.history import History, Node
from webui.runtime.fallback import Fallback, Order
from webui.types import Failed, Step, Token


class Bench:
    def __init__(self, folder: Path, fleet: Fleet, order: Order) -> None:
        self.fleet = fleet
        self.history = History(folder / "chats.sqlite3")
        settings = ReplySettings(chain=(Step("top_k", {"top_k": 3}),), seed=7)
        fallback = Fallback(fleet, lambda: order)  # type: ignore[arg-type]
        self.talk = Conversations(fleet, self.history, lambda: settings, fallback=fallback)  # type: ignore[arg-type]
        self.chat = self.history.create()

    async def stream(self, name: str) -> Stream:
        with fail_after(5):
            while not self.fleet.models[name].streams:
                await asyncio.sleep(0.005)
        return self.fleet.models[name].streams[-1]

    async def reply(self) -> Node:
        with fail_after(5):
            while self.talk.running():
                await self.talk.changed(0.05)
        assert not self.fleet.held
        return self.history.path(self.chat)[-1]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Bench] = []

    def bench(*names: str, order: Order) -> Bench:
        made.append(Bench(tmp_path, Fleet(*names), order))
        return made[-1]

    yield bench
    for one in made:
        await one.talk.close()


async def test_the_next_model_writes_and_the_reply_tells_of_it(make: Any) -> None:
    bench = make("a", "b", order=order("a", "broken", "b"))
    await bench.talk.send(bench.chat, "hello")
    first = await bench.stream("a")
    first.put(Failed("The engine crashed.", "engine_stopped"))
    second = await bench.stream("b")
    second.say("Hi")
    second.finish()
    node = await bench.reply()
    assert first.closed and node.content == "Hi" and node.meta["model"] == "b"
    tried = [(miss["model"], miss["code"], miss["message"]) for miss in node.meta["fallback"]]
    assert tried == [("a", "engine_stopped", "The engine crashed."), ("broken", "load_failed", "broken is broken.")]
    assert node.meta["tokens"] == 1 and node.meta["reason"] == "stop" and "problem" not in node.meta


async def test_a_model_over_its_time_is_let_go(make: Any) -> None:
    bench = make("a", "b", order=order("a", "b", seconds=0.1))
    await bench.talk.send(bench.chat, "hello")
    second = await bench.stream("b")
    assert (await bench.stream("a")).closed
    second.say("Hi")
    await asyncio.sleep(0.25)
    second.say(" there")
    second.finish()
    node = await bench.reply()
    assert node.content == "Hi there", "once it has begun there is no clock"
    assert node.meta["fallback"][0]["code"] == "over_time"


async def test_the_page_begins_with_the_current_model(make: Any) -> None:
    for current, asked in (("b", "b"), ("x", "x")):
        bench = make(current, "a", order=order("a", "b"))
        await bench.talk.send(bench.chat, "hello")
        stream = await bench.stream(asked)
        stream.say("Hi")
        stream.finish()
        assert "fallback" not in (await bench.reply()).meta
    bench = make(order=order("broken", "a"))
    bench.fleet.models["a"] = Runtime()
    await bench.talk.send(bench.chat, "nothing is loaded, and the order has something to load")
    stream = await bench.stream("a")
    stream.finish()
    assert (await bench.reply()).meta["fallback"][0]["model"] == "broken"


async def test_nobody_answers(make: Any) -> None:
    bench = make("a", order=order("a", text="Come back later."))
    await bench.talk.send(bench.chat, "hello")
    (await bench.stream("a")).put(Failed("It crashed.", "engine_stopped"))
    node = await bench.reply()
    assert node.content == "Come back later." and node.meta["reason"] == "fallback_text"
    assert node.meta["fallback"][0]["message"] == "It crashed." and "problem" not in node.meta
    bench = make("a", order=order("a"))
    await bench.talk.send(bench.chat, "hello")
    (await bench.stream("a")).put(Failed("It crashed.", "engine_stopped"))
    node = await bench.reply()
    assert node.meta["reason"] == "error" and node.meta["problem"]["code"] == "nobody_answered"
    assert "It crashed" in node.meta["problem"]["message"]


async def test_a_reply_that_is_continued_never_gets_the_fixed_text(make: Any) -> None:
    bench = make("a", order=order("a", text="Come back later."))
    await bench.talk.send(bench.chat, "hello")
    stream = await bench.stream("a")
    stream.say("Hi")
    stream.finish()
    node = await bench.reply()
    bench.fleet.models["a"].streams.clear()
    await bench.talk.go_on(node.id)
    (await bench.stream("a")).put(Failed("It crashed.", "engine_stopped"))
    node = await bench.reply()
    assert node.content == "Hi" and node.meta["problem"]["code"] == "nobody_answered"


async def test_after_the_first_token_a_failure_is_told_as_ever(make: Any) -> None:
    bench = make("a", "b", order=order("a", "b", text="Later."))
    await bench.talk.send(bench.chat, "hello")
    stream = await bench.stream("a")
    stream.put(Token(0, 1, "Hi"))
    stream.put(Failed("It crashed.", "engine_stopped"))
    stream.queue.put_nowait(None)
    node = await bench.reply()
    assert node.content == "Hi" and node.meta["problem"]["code"] == "engine_stopped"
    assert not bench.fleet.models["b"].streams and node.meta["model"] == "a"


async def test_stop_works_while_a_model_loads_and_while_it_reads(make: Any) -> None:
    bench = make("a", order=order("slow", "b", text="Later."))
    bench.fleet.current = "slow"
    bench.fleet.models["slow"] = Runtime()
    await bench.talk.send(bench.chat, "hello")
    with fail_after(5):
        while (reply := bench.talk.live(bench.chat)) is None or reply.stage != "loading":
            await asyncio.sleep(0.01)
        await bench.talk.stop(bench.chat)
    assert (await bench.reply()).meta["reason"] == "cancelled"
    bench.fleet.opening.set()
    await bench.talk.send(bench.chat, "again")
    stream = await bench.stream("slow")
    with fail_after(5):
        await bench.talk.stop(bench.chat)
    node = await bench.reply()
    assert stream.cancelled and node.meta["reason"] == "cancelled" and node.content == ""
    assert "fallback" not in node.meta
