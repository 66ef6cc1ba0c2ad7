"""Messages to the one text a model was trained to see.

A template comes with the model; where it does not, one of presets/templates is recognised by the model's name. Knows
nothing of tokens and of where messages are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webui.chat.sandbox import TemplateFailed, TemplateLimit, run
from webui.errors import BadValue
from webui.settings import ROOT
from webui.types import Message, ModelInfo

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For models that bring no template and are not recognised; most later models read it."""

MAX_MESSAGES = 4096

FOLDER = ROOT / "presets" / "templates"

_FAMILIES = (
    ("gpt-oss", r"gpt[-_ ]?oss"),
    ("codellama", r"code[-_ ]?llama"),
    ("llama-3.1", r"llama[-_ ]?v?3"),
    ("llama-2", r"llama[-_ ]?v?2"),
    ("mistral-v0.3", r"mistral|mixtral|codestral|mathstral"),
    ("gemma-2", r"gemma"),
    ("phi-3", r"phi[-_ ]?3"),
    ("qwen2", r"qwen"),
    ("vicuna", r"vicuna|wizardlm"),
    ("alpaca", r"alpaca"),
    ("chatml", r"chatml|hermes|smollm|dolphin|openhermes|internlm|yi[-_]"),
)
"""Shipped templates and what names of models they fit; the first that fits counts."""

Chat = list[dict[str, Any]]


def render(
    messages: Sequence[Message | Mapping[str, Any]],
    template: str | None,
    *,
    bos: str,
    eos: str,
    add_generation_prompt: bool = True,
    **extra: Any,
) -> str:
    """The prompt for these messages. A template without a system role gets the system text in front of the first
    user message; one that insists on alternating roles gets neighbours of one role joined."""
    if len(messages) > MAX_MESSAGES:
        raise TemplateFailed(f"The chat has {len(messages)} messages, at most {MAX_MESSAGES} can be sent.")
    source = template or CHATML
    chat = [_plain(message) for message in messages]

    def attempt(chat: Chat) -> str:
        given = {**extra, "messages": chat, "bos_token": bos, "eos_token": eos}
        return run(source, {**given, "add_generation_prompt": add_generation_prompt})

    refusal: TemplateFailed | None = None
    tries = [chat, fold_system(chat), join_neighbours(fold_system(chat)), join_neighbours(chat)]
    for number, variant in enumerate(tries):
        if number and variant in tries[:number]:
            continue
        try:
            text = attempt(variant)
        except TemplateLimit:
            raise
        except TemplateFailed as error:
            refusal = refusal or error
            continue
        if _has_system(variant, text):
            return text
        refusal = refusal or TemplateFailed("The prompt template drops the system message.")
    assert refusal is not None
    raise refusal


def shipped() -> tuple[str, ...]:
    """The names of the templates that come with the program."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.jinja")))


def read_shipped(name: str) -> str:
    if name not in shipped():
        raise BadValue(f"There is no template {name[:100]!r}; there are {', '.join(shipped())}.", param="template")
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def recognise(name: str) -> str | None:
    """The shipped template for a model of this name, if the name tells."""
    return next((family for family, pattern in _FAMILIES if re.search(pattern, name, re.IGNORECASE)), None)


def template_of(info: ModelInfo) -> str:
    """The model's own template, else the one its name or architecture tells, else ChatML."""
    if info.chat_template:
        return info.chat_template
    name = recognise(info.name) or recognise(info.path) or recognise(info.architecture)
    return read_shipped(name) if name else CHATML


def fold_system(chat: Chat) -> Chat:
    """The system text in front of the first user message, for templates that have no place for it."""
    if not chat or chat[0]["role"] != "system":
        return chat
    system, rest = str(chat[0]["content"]), [dict(message) for message in chat[1:]]
    for message in rest:
        if message["role"] == "user" and isinstance(message["content"], str):
            message["content"] = f"{system}\n\n{message['content']}" if system else message["content"]
            return rest
    return [{"role": "user", "content": system}, *rest]


def join_neighbours(chat: Chat) -> Chat:
    """Consecutive messages of one role as one, for templates that insist on user and assistant taking turns."""
    joined: Chat = []
    for message in chat:
        last = joined[-1] if joined else None
        plain = message.keys() == {"role", "content"}
        if last and plain and last.keys() == message.keys() and last["role"] == message["role"]:
            last["content"] = f"{last['content']}\n\n{message['content']}"
        else:
            joined.append(dict(message))
    return joined


def _plain(message: Message | Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message.role, "content": message.content} if isinstance(message, Message) else dict(message)


def _has_system(chat: Chat, text: str) -> bool:
    """Whether the system text arrived: some templates drop it without a word."""
    if not chat or chat[0]["role"] != "system" or not isinstance(chat[0]["content"], str):
        return True
    return chat[0]["content"].strip() in text
