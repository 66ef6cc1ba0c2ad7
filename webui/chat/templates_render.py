"""Messages to the one text a model was trained to see.

Knows the messages and a Jinja template; nothing of tokens, of storage, and of which template a model gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from webui.chat.sandbox import TemplateFailed, TemplateLimit, TemplateRaised, check, run
from webui.types import Message

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For models that bring no template and are not recognised; most later models read it."""

MAX_MESSAGES = 4096

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
    user message; one that insists on alternating roles gets neighbours of one role joined, and a silent user before a
    greeting.

    Takes at most MAX_SECONDS of processor time whatever the template does; `render_async` keeps even that off the loop.
    """
    if len(messages) > MAX_MESSAGES:
        raise TemplateFailed(f"The chat has {len(messages)} messages, at most {MAX_MESSAGES} can be sent.")
    source = template or CHATML
    check(source)
    chat = [_plain(message) for message in messages]
    given = {"documents": None, **extra, "bos_token": bos, "eos_token": eos}
    # Most templates test `tools is none`, so it is given even when there are none; a few walk over it untested.
    without: tuple[dict[str, Any], ...] = ({},) if given.get("tools") else ({"tools": None}, {"tools": []})

    def attempt(chat: Chat) -> str:
        values = {**given, "messages": chat, "add_generation_prompt": add_generation_prompt}
        try:
            return run(source, {**values, **without[0]})
        except (TemplateRaised, TemplateLimit):
            raise
        except TemplateFailed:
            if len(without) == 1:
                raise
            return run(source, {**values, **without[1]})

    refusal: TemplateFailed | None = None
    led = _join_system(chat)
    tries = [chat, led, fold_system(led), join_neighbours(fold_system(led)), join_neighbours(led)]
    tries += [take_turns(led), fold_system(take_turns(led))]
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


async def render_async(
    messages: Sequence[Message | Mapping[str, Any]],
    template: str | None,
    *,
    bos: str,
    eos: str,
    add_generation_prompt: bool = True,
    **extra: Any,
) -> str:
    """`render` in a thread: the event loop goes on, and the thread ends by itself within the sandbox's limits."""
    return await asyncio.to_thread(
        render, messages, template, bos=bos, eos=eos, add_generation_prompt=add_generation_prompt, **extra
    )


def fold_system(chat: Chat) -> Chat:
    """The system text in front of the first user message, for templates that have no place for it."""
    if not chat or chat[0]["role"] != "system":
        return chat
    system, rest = str(chat[0]["content"]), [dict(message) for message in chat[1:]]
    for message in rest:
        if message["role"] == "user" and isinstance(message["content"], str):
            message["content"] = "\n\n".join(part for part in (system, message["content"]) if part)
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


def take_turns(chat: Chat) -> Chat:
    """User and assistant by turns, the user first, as some models were trained: what the system says in between is the
    user's, and where the assistant begins (a character's greeting) the user has said nothing before."""
    lead, rest = (chat[:1], chat[1:]) if chat and chat[0]["role"] == "system" else ([], chat)
    turns = [{**message, "role": "user"} if message["role"] == "system" else dict(message) for message in rest]
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": ""})
    return join_neighbours([*lead, *turns])


def _join_system(chat: Chat) -> Chat:
    """Several system messages at the beginning as one."""
    count = next((place for place, message in enumerate(chat) if message["role"] != "system"), len(chat))
    return [*join_neighbours(chat[:count]), *chat[count:]]


def _plain(message: Message | Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message.role, "content": message.content} if isinstance(message, Message) else dict(message)


def _has_system(chat: Chat, text: str) -> bool:
    """Whether what the system says arrived: some templates drop it without a word."""
    said = [message["content"] for message in chat if message["role"] == "system"]
    return all(content.strip() in text for content in said if isinstance(content, str))
