"""Bytes of tokens become text that may be shown. Pure: knows nothing of engines, requests or frames.

`Utf8Joiner` never lets half a character out; `StopMatcher` never lets out the beginning of a stop string.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from webui.errors import BadValue


class Utf8Joiner:
    """Joins the bytes of tokens to characters. What is incomplete waits, and is dropped if nothing completes it."""

    __slots__ = ("_decoder", "waiting")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.waiting = False
        """Whether the first bytes of a character are here and the others are not."""

    def feed(self, data: bytes) -> str:
        if not self.waiting and data.isascii():
            return data.decode("ascii")
        text = self._decoder.decode(data)
        self.waiting = bool(self._decoder.getstate()[0])
        return text

    def copy(self) -> Utf8Joiner:
        other = Utf8Joiner()
        other._decoder.setstate(self._decoder.getstate())
        other.waiting = self.waiting
        return other


class StopMatcher:
    """Cuts a text, given in pieces of any size, before the stop string that begins earliest in it.

    The result never depends on how the text was cut into pieces. While a stop string that began earlier could still
    become complete, one that is complete already has to wait for it.
    """

    __slots__ = ("_first", "_held", "_longest", "stop_string", "stops")

    def __init__(self, stops: Iterable[str]) -> None:
        self.stops = tuple(dict.fromkeys(stops))
        if any(not stop for stop in self.stops):
            raise BadValue("stop must not contain an empty string.", param="stop")
        self._first = frozenset(stop[0] for stop in self.stops)
        self._longest = max(map(len, self.stops), default=0)
        self._held = ""
        self.stop_string: str | None = None

    @property
    def held(self) -> str:
        return self._held

    def feed(self, text: str) -> str:
        """The text that may be shown now. Once `stop_string` is set, nothing more comes."""
        if self.stop_string is not None:
            return ""
        if not self.stops:
            return text
        text = self._held + text
        complete, found = self._complete(text)
        partial = self._partial(text, complete)
        if partial < complete:
            self._held = text[partial:]
            return text[:partial]
        self._held = ""
        self.stop_string = found
        return text[:complete]

    def end(self) -> str:
        """The text ends here: what was held back, or what stands before a stop string that had to wait."""
        if self.stop_string is not None:
            return ""
        complete, self.stop_string = self._complete(self._held)
        text, self._held = self._held[:complete], ""
        return text

    def _complete(self, text: str) -> tuple[int, str | None]:
        """Where the earliest complete stop string begins (the end of the text if there is none)."""
        best, found = len(text), None
        for stop in self.stops:
            place = text.find(stop)
            if 0 <= place < best or place == best and found is not None and len(stop) < len(found):
                best, found = place, stop
        return best, found

    def _partial(self, text: str, before: int) -> int:
        """Where the earliest beginning of a stop string stands that reaches the end of the text and is not complete."""
        for place in range(max(0, len(text) - self._longest + 1), before):
            if text[place] in self._first:
                tail = text[place:]
                if any(len(stop) > len(tail) and stop.startswith(tail) for stop in self.stops):
                    return place
        return before
