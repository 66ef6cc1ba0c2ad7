"""What a reply consists of for clients that offer tools: text, thoughts and calls, in pieces.

Pure; knows nothing of how models write them.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

ToolFormat = Literal["hermes", "llama3", "mistral", "mistral_args", "harmony", "json"]
"""How a model writes its calls; "mistral_args" is Mistral's later form ([TOOL_CALLS]NAME[ARGS]{...}), "json" is what we
teach models whose template knows no tools."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thoughts:
    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """`index` counts the calls of one reply from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of the arguments of call `index`, as JSON text."""

    index: int
    text: str


Part = Text | Thoughts | CallStart | CallArguments


def new_call_id(format: ToolFormat) -> str:
    """Mistral's templates insist on nine letters and digits."""
    if format in ("mistral", "mistral_args"):
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9))
    return f"call_{secrets.token_hex(12)}"


class Parts:
    """Collects parts, neighbours of one kind as one, until they are taken."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._parts: list[Part] = []
        self._space = ""
        self._pause = ""
        self._said = False
        self.calls = 0

    def take(self) -> list[Part]:
        taken, self._parts = self._parts, []
        return taken

    def say(self, text: str) -> None:
        """Text; white space at its end waits, for it is dropped before and after a call."""
        text = self._space + text
        if self.calls and not self._said:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        if kept:
            self._said = True
            self._add(Text(kept))

    def part(self) -> None:
        """What is said next is a paragraph of its own."""
        if self._said:
            self._space = "\n\n"

    def think(self, text: str) -> None:
        text = self._pause + text
        kept = text.rstrip()
        self._pause = text[len(kept) :]
        self._add(Thoughts(kept))

    def start(self, name: str) -> int:
        self._space, self._said = "", False
        self._add(CallStart(self.calls, self._new_id(), name))
        self.calls += 1
        return self.calls - 1

    def argue(self, text: str) -> None:
        self._add(CallArguments(self.calls - 1, text))

    def end(self) -> None:
        if self._space and (self._said or not self.calls):
            self._add(Text(self._space))
        self._space = ""

    def _add(self, part: Part) -> None:
        if not isinstance(part, CallStart):
            if not part.text:
                return
            last = self._parts[-1] if self._parts else None
            if last is not None and type(last) is type(part) and not isinstance(last, CallStart):
                part = replace(part, text=last.text + part.text)
                self._parts.pop()
        self._parts.append(part)
