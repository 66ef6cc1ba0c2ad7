"""Texts of tokens are read as far as they are asked for, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from webui.tabs.logits_names import GivenNames, ReadNames


class Vocabulary:
    def __init__(self) -> None:
        self.read: list[int] = []

    async def pieces(self, tokens: Sequence[int]) -> list[str]:
        self.read += tokens
        return [f"w{token}" for token in tokens]


async def test_only_what_is_asked_for_is_read_and_only_once() -> None:
    vocabulary = Vocabulary()
    names = ReadNames(50_000, vocabulary.pieces)
    await names.know([5, 7, 5])
    await names.know([7, 9])
    assert names[5] == "w5" and vocabulary.read == [5, 7, 9]
    assert await asyncio.to_thread(names.__getitem__, 40_000) == "w40000", "a text nobody asked for is waited for"
    assert vocabulary.read == [5, 7, 9, 40_000]


async def test_the_whole_vocabulary_is_read_once_even_if_two_want_it() -> None:
    vocabulary = Vocabulary()
    names = ReadNames(50_000, vocabulary.pieces)
    await names.know([3])
    await asyncio.gather(names.know_all(), names.know_all())
    assert sorted(vocabulary.read) == list(range(50_000))
    assert list(names)[49_999] == "w49999" and len(names) == 50_000


def test_a_files_tokens_without_a_text_go_by_their_number() -> None:
    names = GivenNames(3, {1: "one"})
    assert list(names) == ["⟨0⟩", "one", "⟨2⟩"]
