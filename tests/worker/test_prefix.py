"""What is read of a prompt when most of it was read before, in every number of slots: a follow-up, the same again, an
edited last message, and another chat in between."""

from __future__ import annotations

import pytest

from tests.worker.bench import Bench, Event

FEW = 12
"""Tokens a template's marks and a cut may cost."""


def chat(number: int, *turns: str) -> str:
    return f"chat {number}: " + f"fact{number} is known " * 60 + "".join(f"</s>{turn}</s>" for turn in turns)


def new(event: Event) -> int:
    unread: int = event["prompt_tokens"] - event["cached_tokens"]
    return unread


@pytest.mark.parametrize("slots", range(1, 9))
def test_only_what_is_new_is_read(slots: int) -> None:
    bench = Bench(slots=slots, cache=64 << 20)
    said = {}
    for number in range(slots + 3):  # more chats than slots
        first = bench.ask(chat(number, "Tell me"), max_tokens=20)
        assert first["cached_tokens"] < FEW
        said[number] = bench.text(bench.last)
    words = len(bench.engine.tokenize("And what happened then?", add_bos=False, special=False))
    for number, reply in said.items():
        follow = chat(number, "Tell me") + reply + "</s>And what happened then?"
        before = bench.engine.prompt_tokens
        last = bench.ask(follow, max_tokens=20)
        assert new(last) <= words + FEW, "back to a chat, with a message more"
        # What was generated is read once more while nobody waits, and nothing else.
        assert bench.engine.prompt_tokens - before <= new(last) + last["tokens"] + FEW
        assert new(bench.ask(follow, max_tokens=20)) == 0, "regenerated"
        edited = chat(number, "Tell me") + reply + "</s>And where was it?"
        assert new(bench.ask(edited, max_tokens=20)) <= words + FEW, "its last message edited"


@pytest.mark.parametrize("slots", range(1, 9))
def test_choices_read_their_prompt_once_beside_other_chats(slots: int) -> None:
    bench = Bench(slots=slots, cache=64 << 20)
    bench.ask(chat(1, "Tell me"), max_tokens=5)
    before = bench.engine.prompt_tokens
    last = bench.ask(chat(2, "Tell me"), n=4, max_tokens=5)
    assert len(bench.of(bench.last, "finished")) == 4
    assert bench.engine.prompt_tokens - before <= last["prompt_tokens"] + 4 * 5 + FEW
