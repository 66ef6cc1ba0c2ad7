"""Questions that nobody waits for any more: the worker stops reading for them, tells them so, and serves the others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.worker.bench import Bench
from tests.worker.harness import WorkerProcess, worker
from webui.engines.base import AbortFlag, EngineError
from webui.engines.llamacpp import open_llamacpp
from webui.errors import WebUIError
from webui.types import LoadSpec
from webui.worker.calls import Calls
from webui.worker.jobs import Job
from webui.worker.slots import as_tokens

KINDS = ("logits", "score", "embed")
LONG = " ".join(f"w{2100 + place % 1900}" for place in range(1500))


def cancel(process: WorkerProcess, id: str) -> dict[str, Any]:
    """The answer of a question that is cancelled; the engine is done with it."""
    process.send("cancel", id=id)
    header, _ = process.wait_for("reply", id=id, seconds=30)
    error: dict[str, Any] = header["error"]
    return error


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_that_is_cancelled_is_read_no_further(kind: str) -> None:
    with worker() as process:
        # 1 500 tokens would take five minutes, one batch of them half a minute.
        process.load(n_ctx=4096, slots=1, options={"prompt_delay": 0.2})
        process.send(kind, id="asked", prompt=LONG)
        time.sleep(0.3)
        assert cancel(process, "asked")["code"] == "cancelled"
        process.send("cancel", id="asked")
        told = process.generate([300], max_tokens=1, seconds=30)
        assert told[-1]["reason"] == "length"
        assert not [one for one in process.kept if one.get("id") == "asked"], "one answer is enough"


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_that_waits_for_its_turn_can_be_cancelled(kind: str) -> None:
    with worker() as process:
        process.load(n_ctx=4096, slots=1, options={"prompt_delay": 0.02})
        first = "embed" if kind == "embed" else "score"
        process.send(first, id="first", prompt=LONG)
        process.send(kind, id="second", prompt=LONG)
        time.sleep(0.3)
        assert cancel(process, "second")["code"] == "cancelled"
        assert not any(one.get("id") == "first" for one in process.kept)
        assert cancel(process, "first")["code"] == "cancelled"


def test_what_cannot_be_answered_is_told_to_who_asked_and_to_nobody_else() -> None:
    bench = Bench(slots=1, faults=[{"at": "prompt", "after": 2, "how": "error"}])
    errors: list[WebUIError] = []
    bench.scheduler.add(Job("rows", as_tokens([65] * 9), on_rows=lambda *_: None, on_error=errors.append))
    bench.scheduler.add(Job("row", as_tokens([65] * 9), on_row=lambda *_: None, on_error=errors.append))
    bench.run()
    assert [error.code for error in errors] == ["engine_refused", "engine_refused"]
    assert bench.events == []


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_scored_text_is_not_read_again_while_nobody_waits(cancelled: bool) -> None:
    bench = Bench(slots=1)
    bench.scheduler.add(Job("score", as_tokens([65] * 500), on_rows=lambda *_: None, on_error=lambda _: None))
    if cancelled:
        bench.scheduler.turn(wait=False)
        bench.scheduler.cancel("score")
    bench.run()
    assert bench.engine.prompt_tokens == (bench.engine.chunk if cancelled else 500)


@pytest.mark.model
def test_the_real_model_stops_in_the_middle_of_each_kind_of_reading(starter_path: Path) -> None:
    """And what is asked afterwards is answered as if nothing had been broken off."""
    with worker() as process:
        process.load(path=str(starter_path), engine="llamacpp", n_ctx=8192, slots=1)
        tokens = [place % 40_000 + 100 for place in range(8000)]
        before = {kind: process.ask(kind, prompt="The sun rises")[1] for kind in KINDS}
        for kind in KINDS:
            process.send(kind, id=kind, prompt=tokens)
            time.sleep(0.2)
            assert cancel(process, kind)["code"] == "cancelled"
        assert process.ask("embed", id="again", prompt="The sun rises")[1] == before["embed"]
        assert process.ask("logits", id="again", prompt="The sun rises")[1] == before["logits"]


@pytest.mark.model
def test_a_piece_of_a_text_to_embed_is_broken_off_inside(starter_path: Path) -> None:
    abort = AbortFlag()
    engine = open_llamacpp(LoadSpec(str(starter_path), n_ctx=512, slots=1), lambda done: True, abort)
    embedder = engine.embedder(512)
    calls = Calls(engine, abort)
    refused: list[str] = []

    def read() -> None:
        calls.break_off("somebody else")
        calls.break_off("it")
        try:
            embedder.read(list(range(100, 200)), 0)
        except EngineError as error:
            refused.append(str(error))

    calls.timed(read, frozenset(["it"]))
    assert refused == ["aborted"]
    calls.timed(lambda: refused.append(str(embedder.read(list(range(100, 200)), 0).shape)), frozenset(["it"]))
    assert refused[1:] == ["(100, 576)"]
    embedder.close()
    engine.close()
