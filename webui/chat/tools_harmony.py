"""Harmony, the format of gpt-oss: messages with a channel, and a recipient where a tool is called.

Needs the control tokens in the text. Pure; knows nothing of requests or answers.
"""

from __future__ import annotations

import re

from webui.chat.tools_parts import Parts
from webui.chat.tools_reader import Reader, Reading

START, MESSAGE, CHANNEL = "<|start|>", "<|message|>", "<|channel|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>", START)
RECIPIENT = re.compile(r"\bto=([^\s<]+)")
NAMESPACE = "functions."


def read_harmony(reader: Reader, parts: Parts) -> Reading[None]:
    """The prompt ended with "<|start|>assistant": a header comes first. Without one all of it is text."""
    begin, headed = reader.at, False
    yield from reader.skip_space()
    for word in (CHANNEL, "to=", START, MESSAGE):
        headed = headed or (yield from reader.take_if(word))
    reader.at = begin
    if not headed:
        yield from reader.take_until(ENDS[:3], parts.say)
    while True:
        header: list[str] = []
        if headed and (yield from reader.take_until((MESSAGE,), header.append)):
            yield from _message("".join(header), reader, parts)
        elif not (yield from reader.peek()):
            break
        headed = True
    parts.end()


def _message(header: str, reader: Reader, parts: Parts) -> Reading[None]:
    recipient = RECIPIENT.search(header)
    channel = header.rpartition(CHANNEL)[2].split("<|")[0].split()
    if recipient and recipient[1].startswith(NAMESPACE):
        parts.start(recipient[1].removeprefix(NAMESPACE))
        said: list[str] = []

        def argue(text: str) -> None:
            said.append(text)
            parts.argue(text)

        yield from reader.take_until(ENDS, argue)
        if not "".join(said).strip():
            parts.argue("{}")
    elif recipient or (channel and channel[0] == "analysis"):
        yield from reader.take_until(ENDS, parts.think)
    else:
        parts.part()
        yield from reader.take_until(ENDS, parts.say)
