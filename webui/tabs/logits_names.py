"""What tokens are called, read from the model only as far as somebody asks: a vocabulary of 262k takes seconds to read.

Knows how to wait for texts that are still missing; nothing of rows, pages or where the texts come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from webui.lab.texts import Texts

AT_ONCE = 16_384
TEXT_BYTES = 160
"""A short text, its number and their place in a dict, roughly."""
Read = Callable[[Sequence[int]], Awaitable[list[str]]]


class Names(Texts, Protocol):
    """Texts by id. What was not asked for with `know` may be waited for, so that must be read off the loop."""

    @property
    def nbytes(self) -> int: ...
    async def know(self, tokens: Iterable[int]) -> None: ...
    async def know_all(self) -> None: ...


class ReadNames:
    """Of a loaded model."""

    def __init__(self, size: int, read: Read) -> None:
        self._size = size
        self._read = read
        self._known: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()
        self._whole = asyncio.Lock()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return (self[token] for token in range(self._size))

    def __getitem__(self, token: int, /) -> str:
        found = self._known.get(token)
        if found is None:
            asyncio.run_coroutine_threadsafe(self.know([token]), self._loop).result()
            found = self._known[token]
        return found

    async def know(self, tokens: Iterable[int]) -> None:
        """Have these at hand; those that are there cost nothing."""
        missing = [token for token in dict.fromkeys(tokens) if token not in self._known]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            self._known.update(zip(some, await self._read(some), strict=True))

    async def know_all(self) -> None:
        async with self._whole:
            if len(self._known) < self._size:
                await self.know(range(self._size))

    @property
    def nbytes(self) -> int:
        """Roughly what they weigh."""
        return TEXT_BYTES * len(self._known)


class GivenNames:
    """Of an opened file, which has the texts of the tokens it is about; the others go by their number."""

    def __init__(self, size: int, texts: Mapping[int, str]) -> None:
        self._size = size
        self._texts = texts

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return (self[token] for token in range(self._size))

    def __getitem__(self, token: int, /) -> str:
        return self._texts.get(token, f"⟨{token}⟩")

    @property
    def nbytes(self) -> int:
        return TEXT_BYTES * len(self._texts)

    async def know(self, tokens: Iterable[int]) -> None:
        """They are all here."""

    async def know_all(self) -> None:
        """They are all here."""
