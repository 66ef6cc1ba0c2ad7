"""Models against a scripted peer: what the real worker never does on purpose."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from webui.errors import BadValue, LoadFailed, NoModel, WorkerDied
from webui.runtime import supervisor
from webui.runtime.models import Models
from webui.types import Failed, Finished, GenerationRequest, LoadSpec, Token

PEER = (sys.executable, str(Path(__file__).with_name("peer.py")))
ASK = GenerationRequest("hi", ())


def token(text: str) -> dict[str, Any]:
    return {"kind": "token", "choice": 0, "token": 1, "text": text}


def finished(**more: Any) -> dict[str, Any]:
    return {"kind": "finished", "choice": 0, "reason": "stop", "seed": 7, **more}


def spec(*script: list[Any], **options: Any) -> LoadSpec:
    return LoadSpec("p", engine="fake", options={"script": list(script), **options})


@pytest.fixture
async def models() -> AsyncIterator[Models]:
    models = Models(command=PEER)
    yield models
    await models.close()


async def until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)


async def test_events_arrive_in_order_and_end(models: Models) -> None:
    await models.load(spec(["events", [token("a"), token("b")]], ["events", [token("c"), finished()]]))
    events = [event async for event in models.generate(ASK)]
    assert [e.text for e in events if isinstance(e, Token)] == ["a", "b", "c"]
    assert isinstance(events[-1], Finished) and events[-1].seed == 7
    assert models.active == 0


async def test_closing_cancels_exactly_once(models: Models) -> None:
    await models.load(spec(["events", [token("a")]]))
    generation = models.generate(ASK)
    await anext(generation)
    generation.cancel()
    generation.cancel()
    events = [event async for event in generation]
    # The peer counts cancels and tells the count as `tokens`.
    assert [e.tokens for e in events if isinstance(e, Finished)] == [1]
    await generation.aclose()
    second = models.generate(ASK)
    await anext(second)
    await second.aclose()
    assert [e async for e in second] == []
    await until(lambda: models.active == 0)


async def test_a_dropped_generation_is_cancelled(models: Models) -> None:
    await models.load(spec(["events", [token("a")]]))
    async for _ in models.generate(ASK):
        break
    await until(lambda: models.active == 0)


async def test_a_slow_reader_holds_up_nobody(models: Models) -> None:
    await models.load(spec(["events", [token("x")] * 500], ["events", [finished()]]))
    slow = models.generate(ASK)
    await anext(slow)
    assert len([e async for e in models.generate(ASK)]) == 501
    assert len(await slow.batch()) == 500


async def test_calls_answer_fail_and_are_cleared(models: Models) -> None:
    await models.load(spec())
    assert await models.tokenize("four") == [4]
    with pytest.raises(BadValue) as caught:
        await models.tokenize("bad")
    assert caught.value.param == "text"
    waiting = asyncio.create_task(models.tokenize("never"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await models.tokenize("again") == [5]


@pytest.mark.parametrize(
    ("steps", "code", "words"),
    [
        ([["signal", "SIGKILL"]], "engine_killed", "out of memory"),
        ([["signal", "SIGSEGV"]], "engine_segv", "crashed"),
        ([["signal", "SIGBUS"]], "engine_sigbus", "model file changed on disk"),
        ([["signal", "SIGILL"]], "engine_sigill", "processor"),
        (
            [["words", "x.cpp:3: GGML_ASSERT(n > 0) failed"], ["signal", "SIGABRT"]],
            "engine_assert",
            "GGML_ASSERT(n > 0)",
        ),
        ([["words", "CUDA error: out of memory"], ["signal", "SIGABRT"]], "engine_device", "graphics card"),
        ([["exit", 0]], "engine_ended", "without being asked"),
        ([["words", "boom went it"], ["exit", 3]], "engine_exit", "boom went it"),
        ([["raw", "ff" * 16]], "engine_garbled", "unreadable"),
        ([["events", [{"kind": "nonsense"}]]], "engine_garbled", "unreadable"),
        ([["close"]], "engine_killed", "killed"),
    ],
)
async def test_a_death_is_one_sentence_and_the_next_request_works(
    models: Models, steps: list[Any], code: str, words: str, tmp_path: Path
) -> None:
    await models.load(spec(["events", [token("part")]], *steps))
    events = [event async for event in models.generate(ASK)]
    assert isinstance(events[0], Token)
    last = events[-1]
    assert isinstance(last, Failed) and last.code == WorkerDied.code
    assert words in last.message and last.values["cause"] == code
    assert models.status().restarting
    assert await models.tokenize("four") == [4]
    assert models.status().stage == "ready"


async def test_a_silent_worker_is_killed(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HEARTBEAT_LIMIT", 1.0)
    await models.load(spec(["silent"]))
    events = [event async for event in models.generate(ASK)]
    assert isinstance(events[-1], Failed) and "stopped answering" in events[-1].message
    await until(lambda: models.status().stage == "ready")


async def test_three_crashes_in_a_minute_are_enough(models: Models) -> None:
    await models.load(spec(["exit", 5]))
    for _ in range(3):
        events = [event async for event in models.generate(ASK)]
        assert isinstance(events[-1], Failed)
    assert models.status().stage == "failed"
    assert models.status().code == "engine_crash_loop"
    with pytest.raises(NoModel, match="three times"):
        models.generate(ASK)
    await models.load(spec(["events", [finished()]]))
    assert len([e async for e in models.generate(ASK)]) == 1


async def test_requests_during_a_restart_wait_for_it(models: Models) -> None:
    await models.load(spec(["exit", 5]))
    first = [event async for event in models.generate(ASK)]
    assert isinstance(first[-1], Failed)
    waiting = [asyncio.create_task(models.tokenize("abc")) for _ in range(5)]
    dropped = models.generate(ASK)
    dropped.cancel()
    assert [type(e) for e in await dropped.batch()] == [Finished]
    assert await asyncio.gather(*waiting) == [[3]] * 5


async def test_a_load_that_crashes_fails_and_is_tried_again_when_asked_for(models: Models, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed) as caught:
        await models.load(spec(load=[["words", "GGML_ASSERT(n_layer > 0) failed"], ["signal", "SIGABRT"]]))
    assert caught.value.code == "engine_assert"
    assert models.status().stage == "failed"
    # The retry dies in the same way: the request says so, and no third try follows.
    events = [event async for event in models.generate(ASK)]
    assert isinstance(events[-1], Failed) and "GGML_ASSERT" in events[-1].message
    with pytest.raises(NoModel, match="GGML_ASSERT"):
        models.generate(ASK)


async def test_a_deaf_worker_is_ended_on_unload(models: Models) -> None:
    await models.load(spec(deaf=True))
    session = models._session
    assert session is not None
    started = time.monotonic()
    await models.unload()
    assert session.worker.ended.is_set()
    assert time.monotonic() - started < 5
    assert models.status().stage == "none"
    with pytest.raises(NoModel):
        await models.tokenize("x")


async def test_unloading_ends_what_runs(models: Models) -> None:
    await models.load(spec(["events", [token("a")]]))
    generation = models.generate(ASK)
    await anext(generation)
    await models.unload()
    events = [event async for event in generation]
    assert isinstance(events[-1], Finished) and events[-1].reason == "cancelled"


async def test_the_latest_load_wins(models: Models) -> None:
    first = asyncio.create_task(models.load(spec(load=[["silent"], ["close"]])))
    await asyncio.sleep(0.3)
    second = await models.load(spec())
    assert second.name == "peer"
    with pytest.raises(LoadFailed) as caught:
        await first
    assert caught.value.code == "load_cancelled"
    assert models.status().stage == "ready"


async def test_a_cancelled_load_leaves_nothing(models: Models) -> None:
    load = asyncio.create_task(models.load(spec(load=[["close"]])))
    await asyncio.sleep(0.3)
    await models.cancel_load()
    with pytest.raises(LoadFailed):
        await load
    assert models.status().stage == "none"
