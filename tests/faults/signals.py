"""Six signals that end the engine, in four phases of its work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil

from tests.faults.case import Case, must
from tests.faults.house import MODEL, House, has_open, refusal, wait_stopped

WORDS = {
    "SIGSEGV": "invalid memory access",
    "SIGABRT": "stopped itself",
    "SIGBUS": "model file changed on disk",
    "SIGFPE": "in a calculation",
    "SIGKILL": "ran out of memory",
    "SIGTERM": "stopped from outside",
}
"""What people are told, by signal."""

PHASES = ("idle", "load", "prompt", "token")
LONG_PROMPT = "The sea was wide and the ship was old. " * 180


def idle(house: House, name: str) -> str:
    """Nobody waits: the reason stands in the log, and the engine is started again by itself."""
    seen = len(house.log)
    old = house.worker()
    house.strike(name)
    must(house.until(lambda: WORDS[name] in house.log[seen:]), f"the log does not say why: {house.log[seen:]}")
    must(house.until(lambda: house.info()["stage"] == "ready" and house.worker() != old), "no new engine was started")
    line = next(line for line in house.log[seen:].splitlines() if WORDS[name] in line)
    return line.partition(": ")[2]


def load(house: House, name: str) -> str:
    """Whoever loads is told; the next request starts the load again."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            old = house.worker()
            loading = pool.submit(refusal, house.load)
            worker = stop_while_loading(house, old)
            if house.info()["stage"] == "loading":
                break
            os.kill(worker.pid, signal.SIGCONT)  # it was quicker than we
            must(loading.exception() is not None, "a load that was let go did not end")
        else:
            raise AssertionError("the load was never caught at work")
        os.kill(worker.pid, signal.Signals[name])
        os.kill(worker.pid, signal.SIGCONT)
        return loading.result().sentence


def stop_while_loading(house: House, old: psutil.Process) -> psutil.Process:
    """Halt the new engine as soon as it has the model file in its hands."""
    path = house.models / f"{MODEL}.gguf"
    found: list[psutil.Process] = []

    def caught() -> bool:
        found[:] = [worker for worker in house.workers() if worker != old and has_open(worker, path)]
        return bool(found)

    assert house.until(caught), "no new engine opens the model"
    wait_stopped(found[0])
    return found[0]


def prompt(house: House, name: str) -> str:
    with house.stream(LONG_PROMPT) as reply:
        house.strike(name)
        sentence = reply.rest().sentence
    must(not reply.text, "it was not reading any more")
    return sentence


def token(house: House, name: str, count: int) -> str:
    """What was said before stays said."""
    with house.stream(house.question) as reply:
        reply.tokens(count)
        before = reply.text
        house.strike(name)
        sentence = reply.rest().sentence
    must(before and reply.text.startswith(before), "what was said is lost")
    return sentence


def _cell(act: Callable[[House], str], words: str, house: House) -> str:
    house.load()  # forgives the crashes before: the third within a minute would be the last
    sentence = act(house)
    must(words in sentence, f"{words!r} is not said: {sentence}")
    return sentence


def _cases() -> tuple[Case, ...]:
    acts: dict[str, Callable[..., str]] = {"idle": idle, "load": load, "prompt": prompt, "token": token}
    cases = []
    for row, (name, words) in enumerate(WORDS.items()):
        for column, phase in enumerate(PHASES):
            place = {"count": 2**row} if phase == "token" else {}
            what = f"{name} while it {_DOING[phase]}" + (f" (token {2**row})" if place else "")
            act = partial(_cell, partial(acts[phase], name=name, **place), words)
            after = "told why in a sentence, started again by itself"
            # CI kills with every signal once, and in every phase at least once.
            cases.append(Case(f"{name[3:].lower()}-{phase}", what, after, act, short=column == row % len(PHASES)))
    return tuple(cases)


_DOING = {"idle": "is idle", "load": "loads", "prompt": "reads a prompt", "token": "writes"}
CASES = _cases()
