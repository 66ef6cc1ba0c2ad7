"""The engine's life and death around the requests: hangs, crash loops, the program's own death, loads and unloads in
the middle of everything, and a machine with too little memory."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil

from tests.faults.case import Case, must
from tests.faults.house import MODEL, House, refusal, wait_stopped
from tests.faults.signals import LONG_PROMPT, stop_while_loading
from tests.program import gone
from webui.runtime.models import Models
from webui.types import Failed, GenerationRequest, LoadSpec, Token


def hang(house: House) -> str:
    with house.stream(house.question) as reply:
        reply.tokens(3)
        worker = house.worker()
        wait_stopped(worker)
        halted = time.monotonic()
        sentence = reply.rest().sentence
    must("stopped answering" in sentence, f"told was: {sentence}")
    must(time.monotonic() - halted > 9, "it was ended before its heart had stopped for ten seconds")
    must(gone([worker], 10), "the halted engine is still there")
    return sentence


def pause(house: House) -> tuple[str, ...]:
    with house.stream(house.question, max_tokens=40) as reply:
        reply.tokens(3)
        worker = house.worker()
        wait_stopped(worker)
        time.sleep(4)
        os.kill(worker.pid, signal.SIGCONT)
        reply.rest()
    must(reply.reason == "length" and reply.error is None, f"the reply did not end well: {reply.error}")
    must(house.worker() == worker, "it was ended although it only paused")
    return ()


def deaf(house: House) -> str:
    """Only a FakeEngine can stay inside a call while the heart beats; the limits are the real ones."""
    return asyncio.run(_deaf())


async def _deaf() -> str:
    models = Models()
    try:
        faults = [{"at": "token", "after": 2, "how": "hang", "contains": "trap"}]
        await models.load(LoadSpec("fake", engine="fake", options={"faults": faults, "reply": "one two three four"}))
        generation = models.generate(GenerationRequest("trap", ()))
        while not isinstance(await anext(generation), Token):
            pass
        await asyncio.sleep(2)  # by now it is inside that call
        generation.cancel()
        end = [event async for event in generation][-1]
        must(isinstance(end, Failed), f"a call that never ends was ended with {end}")
        good = [event async for event in models.generate(GenerationRequest("fine", ()))]
        must("".join(e.text for e in good if isinstance(e, Token)) == "one two three four", "no new engine")
        return end.message if isinstance(end, Failed) else ""
    finally:
        await models.close()


def crash_loop(house: House) -> str:
    house.load()
    for crash in range(3):
        old = house.worker()
        house.strike("SIGKILL")
        must(gone([old], 10), "it lives on after kill -9")
        stage = "ready" if crash < 2 else "failed"
        must(
            house.until(partial(_moved_on, house, old, stage)), f"after crash {crash + 1} it is {house.info()['stage']}"
        )
    sentence = house.refused_request().sentence
    must("three times within a minute" in sentence, f"told was: {sentence}")
    must(not house.workers(), "an engine was started all the same")
    house.load()
    return sentence


def _moved_on(house: House, old: psutil.Process, stage: str) -> bool:
    """The engines first: until the program has noticed a death it says what was true before."""
    workers = house.workers()
    return old not in workers and bool(workers) == (stage == "ready") and house.info()["stage"] == stage


def parent_killed(house: House) -> tuple[str, ...]:
    other = House(house.folder / "other")
    try:
        other.ready()
        with other.stream(other.question) as reply:
            reply.tokens(3)
            workers = other.workers()
            other.program.process.kill()
            must(gone(workers, 2), "the engine outlived the program by two seconds")
            other.program.process.wait(10)
        answer = other.answer
        other.ready()
        must(other.answer == answer, "started again, it gives another reply")
    finally:
        other.abandon()
    return ()


def context_too_large(house: House) -> tuple[str, ...]:
    """On a machine that has half a gigabyte left; the size that is suggested must be one that loads."""
    house.free_memory.write_text(str(512 << 20))
    try:
        refused = house.refused_load(n_ctx=1 << 20)
        found = re.search(r"(\d+) tokens would fit", refused.sentence)
        must(found and refused.param == "n_ctx", f"no size is suggested: {refused.sentence}")
        assert found is not None
        fits = int(found[1])
        must(1024 <= fits < 1 << 20, f"{fits} is no useful suggestion")
        house.load(n_ctx=fits)
        must(house.info()["n_ctx"] == fits, "the suggested size was not used")
        must(house.complete(house.question, max_tokens=4), "the suggested size does not generate")
        refused_again = house.refused_load(n_ctx=fits * 2)
        return refused.sentence, refused_again.sentence
    finally:
        house.free_memory.unlink()
        house.load()


def model_deleted(house: House) -> tuple[str, ...]:
    """What is mapped stays; what is started again is told that the file is gone."""
    path = house.models / f"{MODEL}.gguf"
    whole = house.complete(house.question, max_tokens=40, ignore_eos=True)
    try:
        with house.stream(house.question, max_tokens=40) as reply:
            reply.tokens(2)
            path.unlink()
            reply.rest()
        must(reply.text == whole, "without its file the reply went on in another way")
        must(house.complete(house.question, max_tokens=8) == house.answer, "without its file it does not generate")
        listed = house.http.get("/v1/internal/model/list").json()["model_names"]
        must(MODEL not in listed, "a deleted file is still offered")
        gone_from_list = house.refused_load()
        must(gone_from_list.status == 404, "a deleted file can be asked for")
        house.strike("SIGKILL")
        must(house.until(lambda: house.info()["stage"] == "failed"), f"it is {house.info()}")
        no_model = house.refused_request()
        must("no file" in no_model.sentence or "No such file" in no_model.sentence, no_model.sentence)
        return gone_from_list.sentence, no_model.sentence
    finally:
        house.put_model()
        house.load()


def unload_in_reply(house: House) -> str:
    with house.stream(house.question) as reply:
        reply.tokens(3)
        house.unload()
        reply.rest()
    must(reply.reason or reply.error, "the stream just stopped")
    must(not house.workers(), "the engine is still there")
    sentence = house.refused_request().sentence
    house.load()
    return sentence


def switch_in_reply(house: House) -> tuple[str, ...]:
    second = house.put_model("second")
    try:
        with house.stream(LONG_PROMPT) as reading, house.stream(house.question) as writing:
            writing.tokens(2)
            house.load("second")
            reading.rest()
            writing.rest()
        for reply in (reading, writing):
            must(reply.reason or reply.error, "a stream just stopped")
        must(house.info()["model_name"] == "second", "the new model is not the loaded one")
        must(house.complete(house.question, max_tokens=8) == house.answer, "the new model does not generate")
    finally:
        house.load()
        second.unlink()
    return ()


def while_loading(house: House, then: Callable[[], None], workers_after: int) -> str:
    """Something else is asked for while a load is under way: whoever waits for that load is told."""
    with ThreadPoolExecutor(1) as pool:
        old = house.worker()
        loading = pool.submit(refusal, house.load)
        stop_while_loading(house, old)
        then()
        sentence = loading.result().sentence
    stage = "ready" if workers_after else "none"
    must(house.info()["stage"] == stage, f"it is {house.info()}")
    must(len(house.workers()) == workers_after, f"there are {len(house.workers())} engines")
    house.load()
    return sentence


def load_over_load(house: House) -> str:
    return while_loading(house, house.load, 1)


def unload_in_load(house: House) -> str:
    return while_loading(house, house.unload, 0)


CASES = (
    Case("hang", "the engine is halted in mid-reply", "ended after 10 s without a heartbeat, not before", hang),
    Case("pause", "the engine is halted for 4 s", "nothing is ended, the reply goes on", pause),
    Case("deaf", "an engine call never ends and Stop is pressed", "ended after 10 s, started again", deaf),
    Case("crash-loop", "three crashes within a minute", "not started again until somebody loads", crash_loop, True),
    Case("parent-killed", "kill -9 of the program in mid-reply", "the engine is gone within 2 s", parent_killed),
    Case("context-too-large", "a context beyond the free memory", "a size that fits is told, and fits",
         context_too_large, True),
    Case("model-deleted", "the model file is deleted in mid-reply", "the reply goes on; a restart says what is missing",
         model_deleted, True),
    Case("unload-in-reply", "unload in mid-reply", "the reply ends, the memory is back", unload_in_reply, True),
    Case("switch-in-reply", "another model while one reply is written and one prompt read", "both end, the new answers",
         switch_in_reply, True),
    Case("load-over-load", "a load while another is under way", "the later wins", load_over_load),
    Case("unload-in-load", "unload while a load is under way", "nothing is loaded, whoever waited is told",
         unload_in_load, True),
)  # fmt: skip
