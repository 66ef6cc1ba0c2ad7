"""Reads a text that arrives in pieces as if it were there already.

A parser is written as a generator straight down the text; whenever it needs characters that have not come yet it
yields, and goes on when there are more or the text has ended. Whatever it does depends on the text only, never on how
it was cut. Pure; knows nothing of tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
Reading = Generator[None, None, T]
Sink = Callable[[str], None]

MAX_HELD = 1 << 20
"""What may wait for a decision, in characters; beyond it is text."""


class Reader:
    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.ended = False

    def feed(self, text: str) -> None:
        self.text += text

    def forget(self) -> None:
        """Drop what has been read; positions taken before are void."""
        self.text, self.at = self.text[self.at :], 0

    @property
    def rest(self) -> str:
        return self.text[self.at :]

    def peek(self) -> Reading[str]:
        """The next character, "" at the end."""
        while self.at >= len(self.text):
            if self.ended:
                return ""
            yield
        return self.text[self.at]

    def skip_space(self) -> Reading[str]:
        """The next character that is no white space, "" at the end; not consumed."""
        while (c := (yield from self.peek())) and c.isspace():
            self.at += 1
        return c

    def take_if(self, word: str) -> Reading[bool]:
        """Consume `word` if the text goes on with it."""
        while len(self.text) - self.at < len(word):
            if self.ended or not word.startswith(self.rest):
                return False
            yield
        if not self.text.startswith(word, self.at):
            return False
        self.at += len(word)
        return True

    def take_until(self, marks: Iterable[str], sink: Sink) -> Reading[str]:
        """Give the text before the first of `marks` to `sink`, as it comes; consume and return the mark, at the end "".
        Positions taken before are void."""
        known = tuple(marks)
        while True:
            found = [(place, -len(mark), mark) for mark in known if (place := self.text.find(mark, self.at)) >= 0]
            if found:
                place, _, mark = min(found)
                sink(self.text[self.at : place])
                self.at = place + len(mark)
                return mark
            keep = 0 if self.ended else held_back(self.rest, known)
            end = len(self.text) - keep
            sink(self.text[self.at : end])
            self.at = end
            if self.ended:
                return ""
            self.forget()
            yield

    def json_string(self) -> Reading[str | None]:
        """A JSON text in quotes; None if it is broken or never ends."""
        start = self.at
        if not (yield from self.json_value(lambda _: None)) or self.text[start] != '"':
            return None
        try:
            value = json.loads(self.text[start : self.at], strict=False)
        except ValueError:
            return None
        return value if isinstance(value, str) else None

    def json_raw(self) -> Reading[str | None]:
        """The characters of one JSON value; None if it never ends."""
        parts: list[str] = []
        return "".join(parts) if (yield from self.json_value(parts.append)) else None

    def json_value(self, sink: Sink) -> Reading[bool]:
        """Give one JSON value to `sink` as it comes. Looks at brackets and quotes only; False if it never ends."""
        depth, quoted, escaped = 0, False, False
        begin = start = self.at
        while True:
            if self.at >= len(self.text):
                sink(self.text[start : self.at])
                start = self.at
                if not (yield from self.peek()):
                    return depth == 0 and not quoted and self.at > begin
            c = self.text[self.at]
            closed = False
            if quoted:
                closed = c == '"' and not escaped
                quoted, escaped = not closed, c == "\\" and not escaped
            elif c == '"':
                quoted = True
            elif c in "{[":
                depth += 1
            elif c in "}]" and depth:
                depth -= 1
                closed = True
            elif depth == 0 and (c in ",}]" or c.isspace()):
                sink(self.text[start : self.at])
                return self.at > begin
            self.at += 1
            if closed and depth == 0:
                sink(self.text[start : self.at])
                return True


def held_back(text: str, marks: Iterable[str]) -> int:
    """How many characters at the end could still become one of `marks`."""
    longest = max((len(mark) for mark in marks), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        tail = text[-size:]
        if any(mark.startswith(tail) for mark in marks):
            return size
    return 0
