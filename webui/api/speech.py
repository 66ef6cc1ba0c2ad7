"""What one choice says, as parts: text, thoughts, calls of tools. Pure; the same for streams and whole answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webui.chat.tools import CallArguments, CallStart, Part, Text, Thoughts, ToolFormat, ToolParser
from webui.types import Finished, Token


@dataclass(frozen=True, slots=True)
class Tooling:
    """How calls are to be read in the replies to one request."""

    format: ToolFormat
    tools: Sequence[Mapping[str, Any]]
    begun: str | None = None
    most: int | None = None
    """How many calls a reply may have (`parallel_tool_calls` false: one); nothing after them is told."""


class Speech:
    """Takes the events of one choice, gives parts. Without tools a token's text is a part as it is. `on_over` is called
    once nothing more will be told, which may be long before the model ends by itself."""

    def __init__(self, tooling: Tooling | None, on_over: Callable[[], None] | None = None) -> None:
        self._on_over = on_over
        self._parser: ToolParser | None = None
        self._most = tooling.most if tooling is not None else None
        self._enough = False
        if tooling is not None:
            self._parser = ToolParser(tooling.format, tooling.tools, begun=tooling.begun)

    @property
    def called(self) -> bool:
        return self._parser is not None and self._parser.called

    def token(self, event: Token) -> list[Part]:
        if self._parser is not None and event.channel == "answer":
            return self._within(self._parser.feed(event.text)) if event.text else []
        if not event.text:
            return []
        return [Text(event.text) if event.channel == "answer" else Thoughts(event.text)]

    def end(self, event: Finished) -> list[Part]:
        if self._parser is not None:
            parts = self._within([*(self._parser.feed(event.text) if event.text else []), *self._parser.finish()])
        else:
            parts = [Text(event.text)] if event.text else []
        self._over()
        return parts

    def _within(self, parts: list[Part]) -> list[Part]:
        kept: list[Part] = []
        for part in parts:
            if isinstance(part, CallStart) and part.index == self._most and not self._enough:
                self._enough = True
                self._over()
            if not self._enough:
                kept.append(part)
        return kept

    def _over(self) -> None:
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over()


def delta(part: Part) -> dict[str, Any]:
    """A part as OpenAI's streams carry it."""
    if isinstance(part, Text):
        return {"content": part.text}
    if isinstance(part, Thoughts):
        return {"reasoning_content": part.text}
    if isinstance(part, CallStart):
        function = {"name": part.name, "arguments": ""}
        return {"tool_calls": [{"index": part.index, "id": part.id, "type": "function", "function": function}]}
    return {"tool_calls": [{"index": part.index, "function": {"arguments": part.text}}]}


@dataclass(slots=True)
class Said:
    """All parts of a choice together."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Text):
                self.texts.append(part.text)
            elif isinstance(part, Thoughts):
                self.thoughts.append(part.text)
            elif isinstance(part, CallStart):
                self.calls.append({"id": part.id, "name": part.name, "arguments": ""})
            elif isinstance(part, CallArguments):
                self.calls[part.index]["arguments"] += part.text

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def message(self) -> dict[str, Any]:
        """OpenAI's message."""
        made: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.thoughts:
            made["reasoning_content"] = "".join(self.thoughts)
        if self.calls:
            made["content"] = self.text or None
            made["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"] or "{}"},
                }
                for call in self.calls
            ]
        return made


def parsed_arguments(text: str) -> dict[str, Any]:
    """A call's arguments as an object, for APIs that want one; what is no object stays visible."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
