"""Default and Notebook without a page: who writes, who was asked before, what Stop does at every stage."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from anyio import fail_after

from tests.chat.standin import Fleet, Status, Stream, order
from webui.chat.conversation import ReplySettings
from webui.runtime.fallback import Fallback, Order
from webui.tabs.words import Words
from webui.tabs.writing import Writing, write_on
from webui.types import Failed, Step, Token


class Bench:
    """One text that is being written; `shown` are the lines and `texts` the texts a page was given, which takes `slow`
    seconds for each."""

    def __init__(
        self, fleet: Fleet, order: Order, language: str = "en", *, instead: bool = True, slow: float = 0
    ) -> None:
        self.fleet = fleet
        self.slow = slow
        self.texts: list[str] = []
        self.state = Writing(Words(language))
        self.running: set[Writing] = set()
        self.shown: list[str] = []
        round_ = Fallback(fleet, lambda: order).round_of_page()  # type: ignore[arg-type]
        settings = ReplySettings(chain=(Step("top_k", {"top_k": 3}),), seed=7, max_tokens=9, stop=("x",))
        self.frames = write_on(round_, settings, "Once", self.state, self.running, instead=instead)
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for _ in self.frames:
            self.shown.append(self.state.line)
            self.texts.append(self.state.text)
            await asyncio.sleep(self.slow)

    async def stream(self, name: str) -> Stream:
        with fail_after(5):
            while not self.fleet.models[name].streams:
                await asyncio.sleep(0.005)
        return self.fleet.models[name].streams[-1]

    async def over(self) -> Writing:
        with fail_after(5):
            await self.task
        assert not self.running and not self.fleet.held
        return self.state


async def test_the_current_model_writes_and_is_named() -> None:
    bench = Bench(Fleet("a", "b"), Order())
    stream = await bench.stream("a")
    asked = stream.request
    assert (asked.prompt, asked.seed, asked.max_tokens, asked.stop) == ("Once", 7, 9, ("x",)) and asked.deterministic
    stream.say(" upon", " a")
    await asyncio.sleep(0.2)
    stream.finish()
    state = await bench.over()
    assert state.text == " upon a" and state.line.startswith("a · 2 tokens · ") and "seed 7" in state.line
    assert "2 tokens" in bench.shown and bench.shown[-1] == state.line, "told while it was written, and at the end"
    assert state.notice == "" and not state.problem and not bench.fleet.models["b"].streams


async def test_what_comes_while_the_page_is_busy_is_shown_too() -> None:
    bench = Bench(Fleet("a"), Order(), slow=0.1)
    stream = await bench.stream("a")
    stream.say(" upon")
    with fail_after(5):
        while " upon" not in bench.texts:
            await asyncio.sleep(0.005)
    stream.say(" a")
    stream.finish()
    state = await bench.over()
    assert bench.texts[-1] == state.text == " upon a" and bench.shown[-1] == state.line


async def test_the_next_model_of_the_order_writes_and_the_line_says_why() -> None:
    bench = Bench(Fleet("a", "b"), order("a", "broken", "b"))
    first = await bench.stream("a")
    first.put(Failed("The engine crashed.", "engine_stopped"))
    second = await bench.stream("b")
    second.say(" upon")
    second.finish()
    state = await bench.over()
    assert first.closed and state.text == " upon" and state.line.startswith("b · 1 token · ") and not state.problem
    assert state.notice == "a did not answer: The engine crashed. broken did not answer: broken is broken."


async def test_without_an_order_a_failure_is_told_as_ever() -> None:
    bench = Bench(Fleet("a", "b"), Order())
    (await bench.stream("a")).put(Failed("It crashed.", "engine_stopped"))
    state = await bench.over()
    assert state.problem and state.line == "It crashed." and state.text == "" and not bench.fleet.models["b"].streams


async def test_after_the_first_token_nobody_takes_its_place() -> None:
    bench = Bench(Fleet("a", "b"), order("a", "b", text="Later."))
    stream = await bench.stream("a")
    stream.put(Token(0, 1, " upon"))
    stream.put(Failed("It crashed.", "engine_stopped"))
    stream.queue.put_nowait(None)
    state = await bench.over()
    assert state.text == " upon" and state.problem and state.line == "It crashed."
    assert not bench.fleet.models["b"].streams


async def test_the_fixed_text_stands_alone_and_never_goes_on_with_a_text() -> None:
    for instead in (True, False):
        bench = Bench(Fleet("a"), order("a", text="Come back later."), "ru", instead=instead)
        (await bench.stream("a")).put(Failed("It crashed.", "engine_stopped"))
        state = await bench.over()
        if instead:
            assert state.text == "Come back later." and not state.problem and "Ни одна модель" in state.line
            assert state.notice.startswith("a не ответила: ")
        else:
            assert state.text == "" and state.problem and "a:" in state.line and state.notice == ""


async def test_a_model_that_is_still_loading_is_waited_for() -> None:
    fleet = Fleet("a")
    ready = fleet.models["a"].state
    fleet.models["a"].state = replace(ready, stage="loading", progress=0.4, info=None)
    bench = Bench(fleet, Order())
    with fail_after(5):
        while "Waiting for the model: 40 %" not in bench.shown:
            await asyncio.sleep(0.01)
    assert not fleet.models["a"].streams
    fleet.models["a"].state = ready
    (await bench.stream("a")).finish()
    assert not (await bench.over()).problem


async def test_stop_ends_it_at_every_stage_and_so_does_a_closed_page() -> None:
    fleet = Fleet("slow", "b")
    fleet.models["slow"].state = Status("none", info=None)
    bench = Bench(fleet, order("slow", "b"))
    with fail_after(5):
        while not bench.running:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    bench.state.stop()
    state = await bench.over()
    assert state.line == "stopped" and not state.problem and not fleet.models["b"].streams, "while a model is loaded"
    for said in ((), (" upon",)):
        bench = Bench(Fleet("a"), order("a"))
        stream = await bench.stream("a")
        stream.say(*said)
        await asyncio.sleep(0.1)
        bench.state.stop()
        state = await bench.over()
        assert stream.cancelled and stream.closed and state.text == "".join(said) and "stopped" in state.line
    bench = Bench(Fleet("a"), order("a"))
    stream = await bench.stream("a")
    stream.answers_cancel = False
    bench.task.cancel()
    await asyncio.wait({bench.task})
    await bench.frames.aclose()
    assert stream.closed and not bench.running and not bench.fleet.held
