"""Send, regenerate, continue, edit, stop: with a stand-in runtime that does what each test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from anyio import fail_after

from tests.chat.standin import INFO, Runtime, Stream
from webui.chat import conversation
from webui.chat.conversation import Conversations, ReplySettings
from webui.chat.history import History, Node, StorageFailed
from webui.errors import BadValue, Busy, NoModel, WorkerDied
from webui.types import Alternative, Failed, Step, Token


class Bench:
    """One history, one runtime, one conversation."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "chats.sqlite3"
        self.runtime = Runtime()
        self.history = History(self.file)
        self.settings = ReplySettings(chain=(Step("top_k", {"top_k": 3}),), seed=7)
        self.talk = Conversations(self.runtime, self.history, lambda: self.settings)
        self.chat = self.history.create()

    async def stream(self, number: int = 0) -> Stream:
        """The n-th request, once it is made."""
        with fail_after(5):
            while len(self.runtime.streams) <= number:
                await asyncio.sleep(0.005)
        return self.runtime.streams[number]

    async def quiet(self) -> None:
        """Until no reply is being written."""
        with fail_after(5):
            while self.talk.running():
                await self.talk.changed(0.05)

    async def exchange(self, text: str, answer: str) -> None:
        number = len(self.runtime.streams)
        await self.talk.send(self.chat, text)
        stream = await self.stream(number)
        stream.say(answer)
        stream.finish()
        await self.quiet()

    @property
    def path(self) -> list[Node]:
        return self.history.path(self.chat)

    @property
    def texts(self) -> list[str]:
        return [node.content for node in self.path]


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.talk.close()


async def test_a_reply_streams_and_keeps_all_that_explains_it(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "hello there")
    stream = await bench.stream()
    assert stream.request.prompt.endswith("<|im_start|>user\nhello there<|im_end|>\n<|im_start|>assistant\n")  # type: ignore[union-attr]
    stream.say("Hi", " you")
    with fail_after(5):
        while (reply := bench.talk.live(bench.chat)) and reply.text != "Hi you":
            await bench.talk.changed(1)
    assert reply is not None and reply.stage == "writing"
    stream.say("!")
    stream.finish()
    await bench.quiet()
    assert bench.texts == ["hello there", "Hi you!"]
    meta = bench.path[1].meta
    assert bench.path[1].state == "done"
    assert (meta["seed"], meta["reason"], meta["model"], meta["tokens"]) == (7, "stop", "stand-in", 3)
    assert meta["chain"] == [{"sampler": "top_k", "values": {"top_k": 3}}]
    assert (meta["context_used"], meta["n_ctx"]) == (8, 200)


async def test_a_reply_remembers_how_each_token_was_chosen_and_what_was_thought(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    assert stream.request.alternatives == 5
    others = (Alternative(8, " no", 0.25, 0.0), Alternative(7, " yes", 0.5, 1.0))
    stream.put(Token(0, 5, "Hm.", "Hm.", 0.9, 1.0, 1, 0.1, (), "reasoning"))
    stream.put(Token(0, 7, " yes", " yes", 0.5, 1.0, 1, 1.5, others))
    stream.sent = 2
    stream.finish()
    await bench.quiet()
    node = bench.path[1]
    assert (node.content, node.meta["thoughts"], node.meta["traced"]) == (" yes", "Hm.", True)
    trace = bench.history.trace(node.id)
    assert trace[1] == [7, " yes", 0.5, 1.0, 1, 1.5, [[" no", 0.25, 0.0]]]
    await bench.talk.go_on(node.id)
    stream = await bench.stream(1)
    stream.put(Token(0, 9, "!", "!", 0.1, 0.2, 3, 2.0))
    stream.finish()
    await bench.quiet()
    assert [token[1] for token in bench.history.trace(node.id)] == ["Hm.", " yes", "!"]
    assert "Hm." not in str(stream.request.prompt), "thoughts are not said again"


async def test_a_drawn_seed_is_reported(bench: Bench) -> None:
    bench.settings = replace(bench.settings, seed=-1)
    await bench.exchange("a", "b")
    assert bench.runtime.streams[0].request.seed == bench.path[1].meta["seed"] >= 0
    assert not bench.runtime.streams[0].request.deterministic


async def test_a_seed_that_was_chosen_gives_the_same_reply_whatever_else_runs(bench: Bench) -> None:
    await bench.exchange("a", "b")
    request = bench.runtime.streams[0].request
    assert request.seed == 7 and request.deterministic


async def test_stop_keeps_the_partial_and_its_figures(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.say("one", " two")
    while "two" not in (bench.talk.live(bench.chat) or pytest.fail("ended")).text:
        await bench.talk.changed(1)
    await bench.talk.stop(bench.chat)
    assert stream.cancelled and stream.closed
    assert bench.texts == ["go", "one two"]
    assert (bench.path[1].meta["reason"], bench.path[1].meta["tokens"]) == ("cancelled", 2)


async def test_stop_works_even_if_the_engine_does_not_answer(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.answers_cancel = False
    stream.say("one")
    while "one" not in (bench.talk.live(bench.chat) or pytest.fail("ended")).text:
        await bench.talk.changed(1)
    await asyncio.wait_for(asyncio.gather(bench.talk.stop(bench.chat), bench.talk.stop(bench.chat)), 2)
    assert stream.closed
    assert (bench.texts[1], bench.path[1].meta["reason"], bench.path[1].meta["tokens"]) == ("one", "cancelled", 1)


async def test_stop_at_once_leaves_nothing_running(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "go")
    await bench.talk.stop(bench.chat)
    assert bench.talk.running() == ()
    assert bench.path[1].state == "done"
    await bench.exchange("again", "works")
    assert bench.texts[-1] == "works"


async def test_regenerate_adds_a_version_and_edit_a_branch(bench: Bench) -> None:
    await bench.exchange("q", "first")
    first = bench.path[1].id
    await bench.talk.regenerate(first)
    stream = await bench.stream(1)
    stream.say("second")
    stream.finish()
    await bench.quiet()
    assert bench.texts == ["q", "second"]
    assert bench.path[1].versions[0] == first and len(bench.path[1].versions) == 2
    await bench.talk.edit(bench.path[0].id, "q, better")
    stream = await bench.stream(2)
    assert "q, better" in str(stream.request.prompt)
    stream.say("third")
    stream.finish()
    await bench.quiet()
    assert bench.texts == ["q, better", "third"]
    bench.history.select(bench.path[0].versions[0])
    assert bench.texts == ["q", "second"]
    assert await bench.talk.edit(bench.path[1].id, "my own words") is None
    assert bench.texts == ["q", "my own words"] and len(bench.path[1].versions) == 3


async def test_a_reply_keeps_the_loras_it_was_written_with(bench: Bench) -> None:
    half, full = ([{"name": "small.gguf", "scale": scale}] for scale in (0.5, 1.0))
    bench.runtime.state.info = replace(INFO, extra={"loras": half})
    await bench.talk.send(bench.chat, "hello")
    stream = await bench.stream()
    bench.runtime.state.info = replace(INFO, extra={"loras": full})
    stream.say("Hi")
    stream.finish()
    await bench.quiet()
    assert bench.path[1].meta["loras"] == half, "not those that came later"
    await bench.talk.go_on(bench.path[1].id)
    (await bench.stream(1)).finish()
    await bench.quiet()
    assert (bench.path[1].meta["loras"], bench.path[1].meta["earlier"]["loras"]) == (full, half)


async def test_continue_writes_on_in_the_same_reply(bench: Bench) -> None:
    await bench.exchange("q", "Once upon")
    await bench.talk.go_on(bench.path[1].id)
    stream = await bench.stream(1)
    assert str(stream.request.prompt).endswith("<|im_start|>assistant\nOnce upon")
    stream.say(" a time")
    stream.finish()
    await bench.quiet()
    assert bench.texts == ["q", "Once upon a time"]
    assert bench.path[1].meta["continued"] == 1


async def test_two_chats_at_once_do_not_mix(bench: Bench) -> None:
    other = bench.history.create()
    await bench.talk.send(bench.chat, "mine")
    mine = await bench.stream(0)
    await bench.talk.send(other, "other")
    others = await bench.stream(1)
    for n in range(20):
        mine.say(f"m{n} ")
        others.say(f"o{n} ")
    mine.finish()
    others.finish()
    await bench.quiet()
    assert bench.texts[1] == "".join(f"m{n} " for n in range(20))
    assert bench.history.path(other)[1].content == "".join(f"o{n} " for n in range(20))


async def test_one_reply_at_a_time_in_a_chat(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "one")
    with pytest.raises(Busy):
        await bench.talk.send(bench.chat, "two")
    with pytest.raises(Busy):
        await bench.talk.regenerate(bench.path[1].id)
    assert bench.texts == ["one", ""]


@pytest.mark.parametrize(
    "blow", [Failed("The engine stopped.", "engine_stopped", values={"cause": "x"}), WorkerDied("The engine stopped.")]
)
async def test_after_a_crash_the_partial_is_kept_and_the_next_message_works(
    bench: Bench, blow: Failed | WorkerDied
) -> None:
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.say("half a")
    stream.put(blow)
    if isinstance(blow, Failed):
        stream.queue.put_nowait(None)
    await bench.quiet()
    node = bench.path[1]
    assert (node.content, node.state, node.meta["reason"]) == ("half a", "done", "error")
    assert node.meta["problem"]["code"] == "engine_stopped"
    await bench.exchange("again", "fine")
    assert bench.texts[2:] == ["again", "fine"]


async def test_without_a_model_nothing_is_sent(bench: Bench) -> None:
    bench.runtime.state.stage = "none"
    with pytest.raises(NoModel):
        await bench.talk.send(bench.chat, "hello")
    assert bench.texts == []
    with pytest.raises(BadValue):
        await bench.talk.send(bench.chat, "  \n")


async def test_a_message_sent_while_the_model_loads_is_answered_when_it_is_there(bench: Bench) -> None:
    bench.runtime.state.stage, bench.runtime.state.progress = "loading", 0.4
    await bench.talk.send(bench.chat, "early")
    with fail_after(5):
        while (reply := bench.talk.live(bench.chat)) and reply.stage != "loading":
            await bench.talk.changed(0.05)
    assert reply is not None and reply.done == 0.4
    bench.runtime.state.stage = "ready"
    stream = await bench.stream()
    stream.say("late")
    stream.finish()
    await bench.quiet()
    assert bench.texts == ["early", "late"]


async def test_a_long_chat_drops_its_oldest_turns_and_then_keeps_its_beginning(bench: Bench) -> None:
    for n in range(12):
        await bench.exchange(f"question {n} " + "word " * 8, f"answer {n} " + "word " * 8)
    prompts = [str(stream.request.prompt) for stream in bench.runtime.streams]
    assert all(len(prompt.split()) <= 200 - 50 for prompt in prompts)
    assert "question 0 " in prompts[3]
    assert "question 0 " not in prompts[-1] and "question 11 " in prompts[-1]
    dropped = [node.meta["dropped"] for node in bench.path if node.role == "assistant"]
    assert dropped[0] == 0 and dropped[-1] > 0
    assert len(set(dropped)) < 6, "the beginning moves in steps, or the prompt would be read anew for each message"
    assert all(count % 2 == 0 for count in dropped), "whole turns"
    assert len(bench.texts) == 24, "nothing is dropped from the chat itself"


async def test_a_message_longer_than_the_context_says_both_numbers(bench: Bench) -> None:
    await bench.talk.send(bench.chat, "word " * 500)
    await bench.quiet()
    problem = bench.path[1].meta["problem"]
    assert problem["code"] == "context_length_exceeded"
    assert problem["values"] == {"tokens": 504, "n_ctx": 200}


async def test_the_system_text_is_sent_and_kept_when_turns_are_dropped(bench: Bench) -> None:
    bench.settings = replace(bench.settings, system="Be brief.")
    for _ in range(10):
        await bench.exchange("word " * 10, "word " * 10)
    assert all(
        str(s.request.prompt).startswith("<|im_start|>system\nBe brief.<|im_end|>") for s in bench.runtime.streams
    )


async def test_replies_are_saved_while_they_are_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AUTOSAVE_SECONDS", 0.02)
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.say("so far")
    with fail_after(5):
        while bench.path[1].content != "so far":
            await asyncio.sleep(0.01)
    assert bench.path[1].state == "writing"


async def test_a_full_disk_costs_no_reply(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AUTOSAVE_SECONDS", 0.02)
    real = bench.history.write
    full = True

    def write(*args: object, **kwargs: object) -> None:
        if full:
            raise StorageFailed("The disk is full.")
        real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.history, "write", write)
    await bench.talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.say("kept in memory")
    with fail_after(5):
        while (reply := bench.talk.live(bench.chat)) and reply.problem is None:
            await bench.talk.changed(0.05)
    assert reply is not None and reply.problem is not None and reply.problem["code"] == "storage_failed"
    full = False
    stream.finish()
    await bench.quiet()
    assert bench.texts[1] == "kept in memory"


async def test_a_reply_nobody_looks_at_is_stopped_and_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AUTOSAVE_SECONDS", 0.02)
    talk = Conversations(bench.runtime, bench.history, lambda: bench.settings, unwatched_seconds=0.1)
    await talk.send(bench.chat, "go")
    stream = await bench.stream()
    stream.say("part")
    with fail_after(5):
        while not stream.closed:
            await asyncio.sleep(0.02)
    with fail_after(5):
        while bench.path[1].state != "done":
            await asyncio.sleep(0.02)
    assert (bench.texts[1], bench.path[1].meta["reason"]) == ("part", "left")


async def test_closing_saves_what_is_running(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.talk.send(bench.chat, "go")
    (await bench.stream()).say("unfinished")
    while "unfinished" not in (bench.talk.live(bench.chat) or pytest.fail("ended")).text:
        await bench.talk.changed(1)
    await bench.talk.close()
    again = History(bench.file)
    assert [(n.content, n.state) for n in again.path(bench.chat)] == [("go", "done"), ("unfinished", "done")]
    meta = again.path(bench.chat)[1].meta
    assert (meta["n_ctx"], meta["reason"]) == (INFO.n_ctx, "interrupted")


async def test_a_model_without_a_template_of_its_own_gets_the_one_that_fits_its_name(bench: Bench) -> None:
    bench.runtime.state.info = replace(INFO, name="codellama-7b-instruct.Q4_K_M", bos_token="<s>", eos_token="</s>")
    await bench.exchange("hello", "hi")
    assert "[INST]" in str(bench.runtime.streams[0].request.prompt)
