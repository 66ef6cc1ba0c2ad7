"""From the bytes of chosen tokens to the text events of one choice: characters, banned strings, stop strings, channels.

Pure: knows neither engine nor chain. A token's event leaves once its text is decided; until then it is held here, with
whatever the owner needs to go back to it (`Point`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webui.worker.channels import ANSWER, Splitter
from webui.worker.text import StopMatcher, Utf8Joiner

Event = dict[str, Any]


@dataclass(slots=True)
class Point:
    """The moment before a token was chosen: where it stands, and copies of what its choice changed."""

    position: int
    token: int
    state: Any = None


@dataclass(slots=True)
class _Held:
    point: Point
    event: Event
    text: str
    joiner: Utf8Joiner


class Reply:
    __slots__ = (
        "_banned",
        "_choice",
        "_held",
        "_joiner",
        "_least",
        "_longest",
        "_released",
        "_splitter",
        "out",
        "stops",
    )

    def __init__(
        self,
        choice: int = 0,
        stops: Sequence[str] = (),
        banned: Sequence[str] = (),
        splitter: Splitter | None = None,
        least: int = 0,
    ) -> None:
        """`least`: in the text of so many tokens at the beginning, stop strings are text like any other."""
        self._choice = choice
        self._least = least
        self._released = 0
        self._joiner = Utf8Joiner()
        self._banned = tuple(fold(phrase) for phrase in banned)
        self._longest = max(map(len, self._banned), default=0)
        self._held: list[_Held] = []
        self._splitter = splitter
        self.stops = StopMatcher(stops)
        self.out: list[Event] = []
        """Events that may leave; the owner takes them."""

    @property
    def watches(self) -> bool:
        """Whether tokens may have to be taken back, so that their Points need copies."""
        return bool(self._banned)

    @property
    def held(self) -> int:
        """How many tokens were chosen whose events have not left."""
        return len(self._held)

    def push(self, event: Event, data: bytes, point: Point | None = None) -> Point | None:
        """Take in a token. Returns the point to go back to if a banned string became complete with it."""
        if not self._banned or point is None:
            self._release(event, self._joiner.feed(data))
            return None
        before = self._joiner.copy()
        self._held.append(_Held(point, event, self._joiner.feed(data), before))
        text = fold("".join(held.text for held in self._held))
        places = [place for phrase in self._banned if (place := text.find(phrase)) >= 0]
        if places:
            return self._back_to(min(places))
        self._let_go(self._first_suspect(text))
        return None

    def _back_to(self, place: int) -> Point:
        """Forget the token in which a banned string begins, and all after it."""
        end = 0
        for index, held in enumerate(self._held):
            end += len(held.text)
            if end > place:
                # The first bytes of a character may have come with tokens before, which have no text of their own.
                while index and not self._held[index - 1].text and held.joiner.waiting:
                    index -= 1
                    held = self._held[index]
                break
        del self._held[index:]
        self._joiner = held.joiner
        return held.point

    def _first_suspect(self, text: str) -> int:
        for place in range(max(0, len(text) - self._longest + 1), len(text)):
            if any(phrase.startswith(text[place:]) for phrase in self._banned):
                return place
        return len(text)

    def _let_go(self, place: int) -> None:
        """Release the tokens whose text ends before a place; one without text waits for what it is the beginning of."""
        end = ready = 0
        for count, held in enumerate(self._held, 1):
            end += len(held.text)
            if end > place:
                break
            if held.text or not self._joiner.waiting:
                ready = count
        for held in self._held[:ready]:
            self._release(held.event, held.text)
        del self._held[:ready]

    def _release(self, event: Event, text: str) -> None:
        self._released += 1
        if self._released > self._least:
            text = self.stops.feed(text)
        event["text"] = text
        self.out.append(event)
        if self._splitter is None:
            return
        segments = self._splitter.feed(text)
        event["text"] = ""
        for index, (channel, part) in enumerate(segments):
            if index == 0:
                event["text"], event["channel"] = part, channel
            else:
                self._extra(channel, part)

    def _extra(self, channel: str, text: str) -> None:
        self.out.append(
            {"kind": "token", "choice": self._choice, "token": -1, "text": text, "piece": "", "channel": channel}
        )

    def end(self) -> str:
        """The reply is over: everything held leaves, and the rest of the answer is returned for the last event."""
        for held in self._held:
            if self.stops.stop_string is not None:
                break
            self._release(held.event, held.text)
        self._held.clear()
        text = self.stops.end()
        if self._splitter is None:
            return text
        segments = [*self._splitter.feed(text), *self._splitter.end()]
        rest = segments.pop()[1] if segments and segments[-1][0] == ANSWER else ""
        for channel, part in segments:
            self._extra(channel, part)
        return rest


def fold(text: str) -> str:
    """Lower case without changing the length, so that places stay places."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)
