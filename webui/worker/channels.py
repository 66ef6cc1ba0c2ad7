"""Splits what a model thinks from what it answers: tags like <think> and the Harmony channels of gpt-oss.

Pure: text in pieces of any size in, (channel, text) out; the beginning of a tag never gets out. Works on text, not on
tokens, because a tag may be one token or many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

Segment = tuple[str, str]

ANSWER = "answer"
REASONING = "reasoning"

TAGS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("◁think▷", "◁/think▷"),
)
HARMONY = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>")
_HARMONY_CHANNELS = {"analysis": REASONING, "commentary": "commentary", "final": ANSWER}


class Splitter(Protocol):
    def feed(self, text: str) -> list[Segment]: ...

    def end(self) -> list[Segment]:
        """The text is over: what was held back."""
        ...


def held_from(text: str, tags: Iterable[str]) -> int:
    """Where the end of the text begins that may still become one of the tags."""
    tags = tuple(tags)
    for place in range(max(0, len(text) - max(map(len, tags)) + 1), len(text)):
        if any(tag.startswith(text[place:]) for tag in tags):
            return place
    return len(text)


class TagSplitter:
    """A reply that begins with an opening tag thinks until the closing one; so does one whose prompt left a tag open.

    Elsewhere a tag is ordinary text: somebody may be writing about it. White space beside the tags belongs to them.
    """

    def __init__(self, prompt_tail: str = "") -> None:
        self._held = ""
        self._close = next((close for tag, close in TAGS if prompt_tail.rstrip().endswith(tag)), "")
        self._state = "inside" if self._close else "start"
        self._bare = True

    def feed(self, text: str) -> list[Segment]:
        self._held += text
        segments: list[Segment] = []
        while self._state != "answer" and self._work(segments):
            pass
        if self._state == "answer" and self._held:
            segments.append((ANSWER, self._held))
            self._held = ""
        return segments

    def _work(self, segments: list[Segment]) -> bool:
        """One step; True if there may be another."""
        if self._state == "start":
            return self._look_for_opening()
        if self._bare:
            self._held = self._held.lstrip()
            self._bare = not self._held
        place = self._held.find(self._close)
        if place >= 0:
            if thought := self._held[:place].rstrip():
                segments.append((REASONING, thought))
            self._held = self._held[place + len(self._close) :]
            self._state = "start"
            return bool(self._held)
        # White space before the closing tag is held back with it.
        place = len(self._held[: held_from(self._held, [self._close])].rstrip())
        if place:
            segments.append((REASONING, self._held[:place]))
            self._held = self._held[place:]
        return False

    def _look_for_opening(self) -> bool:
        bare = self._held.lstrip()
        after_thought = bool(self._close)
        for tag, close in TAGS:
            if bare.startswith(tag):
                self._held, self._close, self._state, self._bare = bare[len(tag) :], close, "inside", True
                return True
        if not bare or any(tag.startswith(bare) for tag, _ in TAGS):
            return False
        self._held = bare if after_thought else self._held
        self._state = "answer"
        return False

    def end(self) -> list[Segment]:
        text, self._held = self._held, ""
        if self._state == "inside":
            return [(REASONING, text.rstrip())] if text.rstrip() else []
        bare = text if not self._close else text.lstrip()
        return [(ANSWER, bare)] if bare else []


class HarmonySplitter:
    """gpt-oss: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>..."""

    def __init__(self, prompt_tail: str = "") -> None:
        self._held = ""
        self._header: str | None = None
        self._channel = ANSWER
        start = prompt_tail.rfind("<|start|>")
        if start >= 0:
            self.feed(prompt_tail[start:])

    def feed(self, text: str) -> list[Segment]:
        self._held += text
        segments: list[Segment] = []
        while True:
            place, tag = self._next_tag()
            if tag:
                self._take(self._held[:place], segments)
                self._held = self._held[place + len(tag) :]
                self._pass(tag)
                continue
            place = held_from(self._held, HARMONY)
            self._take(self._held[:place], segments)
            self._held = self._held[place:]
            return segments

    def _next_tag(self) -> tuple[int, str]:
        found = [(place, tag) for tag in HARMONY if (place := self._held.find(tag)) >= 0]
        return min(found) if found else (len(self._held), "")

    def _take(self, text: str, segments: list[Segment]) -> None:
        if not text:
            return
        if self._header is None:
            segments.append((self._channel, text))
        else:
            self._header += text

    def _pass(self, tag: str) -> None:
        if tag == "<|message|>":
            word = (self._header or "").rsplit("<|channel|>", 1)[-1].split()
            self._channel = _HARMONY_CHANNELS.get(word[0] if word else "", ANSWER)
            self._header = None
        elif tag == "<|channel|>":
            self._header = (self._header or "") + tag
        else:
            self._header = ""

    def end(self) -> list[Segment]:
        segments: list[Segment] = []
        self._take(self._held, segments)
        self._held = ""
        return segments


MODES = ("", "auto", "tags", "harmony")


def make_splitter(mode: str, prompt_tail: str, special_tokens: Sequence[str]) -> Splitter | None:
    """The splitter a request asks for; "auto" goes by the tokens the vocabulary has."""
    if not mode:
        return None
    harmony = mode == "harmony" or (
        mode == "auto" and "<|channel|>" in special_tokens and "<|message|>" in special_tokens
    )
    return HarmonySplitter(prompt_tail) if harmony else TagSplitter(prompt_tail)
