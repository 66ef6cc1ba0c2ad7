"""Models with the real worker behind it, on the FakeEngine: what a crash, a hang or an end means to whoever waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from webui.errors import BadValue, LoadCancelled, LoadFailed, NoModel
from webui.runtime.models import Models
from webui.settings import ROOT
from webui.types import Event, Failed, Finished, GenerationRequest, LoadSpec, Step, Token

REPLY = "one two three four five six seven eight nine ten"
SLOW: dict[str, Any] = {"reply": REPLY, "delay": 0.02}


def spec(**options: Any) -> LoadSpec:
    return LoadSpec("fake", engine="fake", name="fake", n_ctx=256, slots=2, options=options)


def request(prompt: str = "say it", **fields: Any) -> GenerationRequest:
    return GenerationRequest(prompt, (), **fields)


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token | Finished))


@pytest.fixture
async def models() -> AsyncIterator[Models]:
    models = Models()
    yield models
    await models.close()


async def until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.01)


def worker_of(models: Models) -> int:
    assert models._session is not None
    return models._session.worker.pid


async def test_load_generate_ask_unload(models: Models) -> None:
    assert models.status().stage == "none"
    info = await models.load(spec(reply=REPLY))
    assert models.status().info == info and info.n_ctx == 256
    events = [event async for event in models.generate(request(seed=4))]
    assert text(events) == REPLY
    assert isinstance(events[-1], Finished) and (events[-1].reason, events[-1].seed) == ("stop", 4)
    tokens = await models.tokenize("one two")
    assert await models.detokenize(tokens) == "one two"
    assert await models.pieces(tokens) == ["one", " two"]
    ids, row = await models.logits("one two")
    assert ids[-2:] == tokens and row.shape == (info.n_vocab,)
    await models.unload()
    assert models.status().stage == "none"
    with pytest.raises(NoModel):
        models.generate(request())


async def test_progress_is_told_and_a_load_can_be_cancelled(models: Models) -> None:
    loading = asyncio.create_task(models.load(spec(load_seconds=30, load_steps=100)))
    await until(lambda: models.status().progress > 0)
    status = models.status()
    assert status.stage == "loading" and "fake" in status.sentence
    with pytest.raises(NoModel) as caught:
        models.generate(request())
    assert caught.value.code == "model_loading"
    await models.cancel_load()
    with pytest.raises(LoadCancelled):
        await loading
    assert models.status().stage == "none"


async def test_a_load_that_fails_says_why(models: Models) -> None:
    with pytest.raises(LoadFailed, match="the disk is wet"):
        await models.load(spec(load_error="the disk is wet"))
    assert models.status().stage == "failed" and "the disk is wet" in models.status().sentence
    await models.load(spec())
    assert models.status().stage == "ready"


async def test_stop_keeps_what_was_said(models: Models) -> None:
    await models.load(spec(**SLOW))
    generation = models.generate(request())
    said: list[Event] = []
    async for event in generation:
        said.append(event)
        if sum(isinstance(e, Token) for e in said) == 3:
            generation.cancel()
    assert isinstance(said[-1], Finished) and said[-1].reason == "cancelled"
    assert REPLY.startswith(text(said)) and len(text(said)) < len(REPLY)


async def test_requests_run_side_by_side_and_never_mix(models: Models) -> None:
    await models.load(spec(rules=[{"contains": f"q{n}", "reply": f"answer {n} " * 10} for n in range(6)]))

    async def one(number: int) -> str:
        return text([event async for event in models.generate(request(f"q{number}"))])

    assert await asyncio.gather(*map(one, range(6))) == [f"answer {n} " * 10 for n in range(6)]


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGKILL", "SIGABRT", "SIGBUS", "SIGILL", "exit:0", "exit:1"])
@pytest.mark.parametrize(("at", "after"), [("prompt", 0), ("token", 3), ("load", 2), ("idle", 0.2)])
async def test_every_death_in_every_phase_is_survived(
    models: Models, how: str, at: str, after: float, tmp_path: Path
) -> None:
    """One sentence for whoever waited, what was said is kept, and the next message works."""
    fault = {"at": at, "after": after, "how": how, "once": str(tmp_path / "once")}
    load = models.load(spec(faults=[fault], **SLOW))
    if at == "load":
        with pytest.raises(LoadFailed) as caught:
            await load
        assert caught.value.message.endswith((".", "model.")) and caught.value.code.startswith("engine_")
    else:
        await load
    if at in ("prompt", "token"):
        events = [event async for event in models.generate(request())]
        failure = events[-1]
        assert isinstance(failure, Failed) and failure.code == "engine_stopped"
        assert failure.message.count("\n") == 0
        if at == "token":
            assert text(events) and REPLY.startswith(text(events))
    elif at == "idle":
        await until((tmp_path / "once").exists)
        await until(lambda: models.status().stage != "ready" or models.status().restarting)
    assert text([event async for event in models.generate(request())]) == REPLY
    assert models.status().stage == "ready"


async def test_the_engines_own_last_words_are_told(models: Models) -> None:
    words = "ggml.c:17: GGML_ASSERT(a->ne[2] == 1) failed"
    await models.load(spec(faults=[{"at": "token", "after": 1, "how": "SIGABRT", "words": words}]))
    events = [event async for event in models.generate(request())]
    assert isinstance(events[-1], Failed) and "GGML_ASSERT(a->ne[2] == 1) failed" in events[-1].message


async def test_a_frozen_worker_is_noticed(models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("webui.runtime.supervisor.HEARTBEAT_LIMIT", 2.0)
    fault = {"at": "token", "after": 2, "how": "freeze", "once": str(tmp_path / "once")}
    await models.load(spec(faults=[fault], reply=REPLY))
    events = [event async for event in models.generate(request())]
    assert isinstance(events[-1], Failed) and "stopped answering" in events[-1].message
    assert text([event async for event in models.generate(request())]) == REPLY


async def test_a_hang_ends_when_stop_is_not_obeyed(
    models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("webui.runtime.supervisor.CANCEL_LIMIT", 1.0)
    fault = {"at": "token", "after": 2, "how": "hang", "once": str(tmp_path / "once")}
    await models.load(spec(faults=[fault], reply=REPLY))
    generation = models.generate(request())
    while not isinstance(await anext(generation), Token):
        pass
    await asyncio.sleep(0.3)  # by now it hangs
    generation.cancel()
    events = [event async for event in generation]
    assert isinstance(events[-1], Failed) and "Stop" in events[-1].message
    assert text([event async for event in models.generate(request())]) == REPLY


async def test_killing_from_outside_three_times_ends_the_restarts(models: Models) -> None:
    await models.load(spec(reply=REPLY))
    for _ in range(3):
        pid = worker_of(models)
        os.kill(pid, signal.SIGKILL)
        await until(
            lambda pid=pid: (
                models.status().stage == "failed" or (models._session is not None and worker_of(models) not in (0, pid))
            )
        )
        await until(lambda: models.status().stage in ("ready", "failed"))
    assert models.status().code == "engine_crash_loop"
    await models.load(spec(reply=REPLY))
    assert text([event async for event in models.generate(request())]) == REPLY


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": (1, 10**9)}, "prompt"),
        ({"prompt": "x" * 200_000}, "prompt"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": 2**80}, "seed"),
        ({"n": 0}, "n"),
        ({"n": 10**9}, "n"),
        ({"stop": ("",)}, "stop"),
        ({"stop": ("x",) * 1000}, "stop"),
        ({"stop_tokens": (-1,)}, "stop_tokens"),
        ({"chain": (Step("temperature", {"temperature": float("nan")}),)}, "temperature"),
        ({"chain": (Step("nonsense"),)}, "nonsense"),
    ],
)
async def test_nonsense_is_refused_before_it_reaches_the_worker(
    models: Models, fields: dict[str, Any], param: str
) -> None:
    await models.load(spec(reply=REPLY))
    with pytest.raises(BadValue) as caught:
        models.generate(GenerationRequest(**{"prompt": "x", "chain": (), **fields}))
    assert caught.value.param == param
    assert text([event async for event in models.generate(request())]) == REPLY


async def test_a_prompt_that_does_not_fit_fails_with_both_numbers(models: Models) -> None:
    await models.load(spec(reply=REPLY))
    events = [event async for event in models.generate(request("word " * 300))]
    assert len(events) == 1
    assert isinstance(events[0], Failed) and events[0].code == "context_length_exceeded"
    assert "256" in events[0].message and "302" in events[0].message


@pytest.mark.parametrize(("field", "value"), [("n_ctx", -1), ("threads", 100_000), ("n_batch", -1), ("path", "a\0b")])
async def test_bad_load_values_never_start_a_worker(models: Models, field: str, value: Any) -> None:
    with pytest.raises(BadValue) as caught:
        await models.load(LoadSpec(**{"path": "x", "engine": "fake", field: value}))
    assert caught.value.param == field
    assert models.status().stage == "none"


PARENT = """
import asyncio, sys
from webui.runtime.models import Models
from webui.types import LoadSpec, GenerationRequest
async def main():
    models = Models()
    await models.load(LoadSpec("fake", engine="fake", options={"delay": 0.02, "end": False}))
    print(models._session.worker.pid, flush=True)
    async for event in models.generate(GenerationRequest("x", (), max_tokens=None)):
        pass
asyncio.run(main())
"""


def test_the_worker_goes_with_its_parent() -> None:
    """kill -9 of the parent in the middle of a generation."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        try:
            worker.wait(2)
        except psutil.TimeoutExpired:
            worker.kill()
            pytest.fail("the worker outlived its parent by two seconds")


async def test_closing_leaves_no_process(models: Models) -> None:
    await models.load(spec(end=False, **SLOW))
    pid = worker_of(models)
    generation = models.generate(request())
    await anext(generation)
    await asyncio.wait_for(models.close(), 5)
    assert not psutil.pid_exists(pid)
    assert [type(event) for event in await generation.batch()][-1] is Finished


async def test_a_file_that_went_bad_is_refused_before_it_is_loaded_again() -> None:
    """Once it is whole again, the next who asks gets it."""
    whole = True

    def check(given: LoadSpec) -> None:
        assert given.path == "fake"
        if not whole:
            raise LoadFailed("It is cut off.", code="bad_model_file")

    models = Models(check=check)
    try:
        await models.load(spec(reply=REPLY))
        whole = False
        old = worker_of(models)
        os.kill(old, signal.SIGKILL)
        await until(lambda: models.status().stage == "failed")
        assert models.status().sentence == "It is cut off." and models.pid == 0
        with pytest.raises(LoadFailed, match="cut off"):
            await models.tokenize("one")
        whole = True
        assert text([event async for event in models.generate(request())]) == REPLY
        assert models.pid not in (0, old)
    finally:
        await models.close()
