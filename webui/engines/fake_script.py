"""What a FakeEngine is told to do: its options, read and checked. See `FakeEngine` for what each means to a test."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from webui.engines.base import ANYWHERE, EngineError
from webui.errors import LoadFailed

REPLY = "Hello! I am a scripted model. Я умею и по-русски, и 日本語, и 🙂🚀."


@dataclass(frozen=True, slots=True)
class Rule:
    """The reply to prompts that contain a text; the first rule that fits counts."""

    contains: str
    reply: str


@dataclass(frozen=True, slots=True)
class Fault:
    """How and when the engine goes wrong.

    at        load: while loading, after `after` progress steps. prompt: in the chunk that holds prompt token `after`.
              token: when reply token number `after` (from 0) is to be computed. idle: `after` seconds after the load,
              from a side thread. embed: in the piece of a text that holds token `after`.
    how       a signal's name (SIGSEGV, SIGKILL, SIGABRT, SIGBUS, SIGILL, SIGTERM...) sent to the own process;
              "exit:3": ends at once with this exit code; "hang": stays inside the call, deaf to the abort flag, while
              the heartbeat goes on with a rising `busy`; "freeze": the process stops itself (SIGSTOP), heartbeat and
              all; "error": the batch is refused with an EngineError, the worker lives.
    contains  only for prompts that contain this text ("" = any); without it a worker that is started again fails again.
    once      a file that is made when the fault happens; while it exists the fault does not happen again.
    words     printed to stderr just before.
    """

    at: Literal["load", "prompt", "token", "idle", "embed"]
    after: float = 0
    how: str = "SIGSEGV"
    contains: str = ""
    once: str = ""
    words: str = ""

    def strike(self) -> None:
        """Go wrong now (unless it did so already)."""
        if self.once:
            if Path(self.once).exists():
                return
            Path(self.once).touch()
        if self.words:
            print(self.words, file=sys.stderr, flush=True)
        if self.how == "hang":
            while True:
                time.sleep(3600)
        elif self.how == "error":
            raise EngineError(self.words or "the fake engine refuses this batch")
        elif self.how == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self.how.startswith("exit:"):
            os._exit(int(self.how.removeprefix("exit:")))
        else:
            number = signal.Signals[self.how]
            if threading.current_thread() is threading.main_thread() and self.how not in ("SIGKILL", "SIGSTOP"):
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            time.sleep(3600)


@dataclass(frozen=True, slots=True)
class Script:
    reply: str = REPLY
    rules: tuple[Rule, ...] = ()
    faults: tuple[Fault, ...] = ()
    split: Literal["words", "characters", "bytes"] = "words"
    end: bool = True
    sharpness: float = 20.0
    n_vocab: int = 4096
    delay: float = 0.0
    steps_file: str = ""
    prompt_delay: float = 0.0
    load_seconds: float = 0.0
    load_steps: int = 10
    load_error: str = ""
    chat_template: str | None = None
    n_ctx_train: int = 8192
    grid: int = ANYWHERE
    fills_cores: bool = False
    cache_mb: int = 64
    loras: Sequence[Any] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Script:
        """A script out of LoadSpec.options; names the option that is wrong."""
        values = dict(options)
        unknown = values.keys() - {f.name for f in fields(cls)}
        if unknown:
            raise LoadFailed(f"The fake engine has no option {sorted(unknown)[0]!r}.")
        try:
            values["rules"] = tuple(Rule(**rule) for rule in values.get("rules", ()))
            values["faults"] = tuple(Fault(**fault) for fault in values.get("faults", ()))
        except TypeError as error:
            raise LoadFailed(f"A rule or fault of the fake engine is not understood: {error}.") from error
        script = cls(**values)
        if not 300 <= script.n_vocab <= 1 << 20:
            raise LoadFailed("The fake engine's n_vocab lies between 300 and 1048576.")
        return script
