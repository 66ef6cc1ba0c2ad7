"""The messages of a chat request as a prompt: roles, parts and text-generation-webui's three modes.

Knows nothing of sampling and of how the answer is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webui.api.errors import ApiError
from webui.api.schemas import ChatBody, ChatMessage
from webui.api.speech import Tooling
from webui.chat.templates import Template, choose_template, render, template_from
from webui.chat.tools import force_call, prepare, tool_format
from webui.errors import BadValue
from webui.types import ModelInfo

LONG_CHAT = 50
CHARACTER = "<|character|>"
TRANSCRIPT = "<|prompt|>"
COMMAND = f"Write the next reply of {CHARACTER} in the dialogue below, and nothing else.\n\n{TRANSCRIPT}"

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt, and the strings that end a turn in it beside the model's own end."""

    text: str
    stops: tuple[str, ...] = ()
    tooling: Tooling | None = None
    json_schema: str = ""


async def render_chat(body: ChatBody, info: ModelInfo) -> Rendered:
    """A long chat takes milliseconds to render, and streams of others must not wait for that."""
    messages = [plain(message, place) for place, message in enumerate(body.messages)]
    if len(messages) <= LONG_CHAT:
        return _render(body, messages, info)
    return await asyncio.to_thread(_render, body, messages, info)


def _render(body: ChatBody, messages: Messages, info: ModelInfo) -> Rendered:
    if body.mode == "chat":
        return _dialogue(body, messages)
    if body.mode == "chat-instruct":
        return _commanded(body, messages, info)
    return _with_tools(body, messages, info)


def _with_tools(body: ChatBody, messages: Messages, info: ModelInfo) -> Rendered:
    """By the model's template, with the tools it is offered and perhaps the beginning of a call it has to make."""
    choice = body.tool_choice or "auto"
    offered = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    template = choose(body, info)
    format = tool_format(template)
    try:
        forced = force_call(format, offered, choice)
    except BadValue as error:
        raise ApiError(400, error.message, param="tools") from error
    tools = [] if choice == "none" else offered
    chat, extra = prepare(messages, template, tools)
    text = _instruct(body, chat, info, extra)
    if not tools:
        return Rendered(text)
    thinking = text.rstrip().endswith("<think>")
    if forced is None:
        return Rendered(text, tooling=Tooling(format, tools, thinking))
    return Rendered(text + forced.prompt, (), Tooling(format, tools, begun=forced.begun), forced.json_schema)


def _instruct(body: ChatBody, messages: Messages, info: ModelInfo, more: Mapping[str, Any] | None = None) -> str:
    """By the model's template. Going on with a message means: the prompt for it, and then its text."""
    template = choose(body, info)
    last = messages[-1] if messages else None
    prefix = ""
    if body.continue_ and last is not None and last["role"] == "assistant":
        prefix, messages = str(last["content"]), messages[:-1]
    extra: dict[str, Any] = {**(body.chat_template_kwargs or {}), **(more or {})}
    if body.enable_thinking is not None:
        extra["enable_thinking"] = body.enable_thinking
    if body.reasoning_effort is not None:
        extra["reasoning_effort"] = body.reasoning_effort
    reserved = {"messages", "bos", "eos", "bos_token", "eos_token", "template", "add_generation_prompt"}
    text = render(
        messages,
        template.source,
        bos=info.bos_token,
        eos=info.eos_token,
        add_generation_prompt=body.add_generation_prompt is not False,
        **{name: value for name, value in extra.items() if name not in reserved},
    )
    return text + prefix


def choose(body: ChatBody, info: ModelInfo) -> Template:
    """The template of this request: one it brings, one it names, else the model's."""
    brought = body.instruction_template_str or body.chat_template_str
    return template_from(brought) if brought else choose_template(info, body.instruction_template)


def _dialogue(body: ChatBody, messages: Messages) -> Rendered:
    """mode "chat": what a character's author wrote, then names and what they said."""
    user, bot = body.user_name or "You", body.bot_name or "AI"
    lines = [_named(part, user, bot) for part in (body.context, body.user_bio) if part]
    lines += [message["content"] for message in messages if message["role"] == "system"]
    spoken = [message for message in messages if message["role"] in ("user", "assistant")]
    if body.greeting:
        spoken.insert(0, {"role": "assistant", "content": _named(body.greeting, user, bot)})
    names = {"user": user, "assistant": bot}
    lines += [f"{names[message['role']]}: {message['content']}" for message in spoken]
    if not (body.continue_ and spoken and spoken[-1]["role"] == "assistant"):
        lines.append(f"{bot}:")
    return Rendered("\n".join(lines), (f"\n{user}:", f"\n{bot}:"))


def _commanded(body: ChatBody, messages: Messages, info: ModelInfo) -> Rendered:
    """mode "chat-instruct": the dialogue inside an instruction to go on with it."""
    dialogue = _dialogue(body, messages)
    bot = body.bot_name or "AI"
    transcript, _, start = dialogue.text.rpartition("\n")
    if body.continue_:
        transcript, start = dialogue.text, ""
    command = (body.chat_instruct_command or COMMAND).replace(CHARACTER, bot).replace(TRANSCRIPT, transcript)
    text = _instruct(body.model_copy(update={"continue_": None}), [{"role": "user", "content": command}], info)
    return Rendered(text + start, dialogue.stops)


def _named(text: str, user: str, bot: str) -> str:
    for mark, name in (("{{user}}", user), ("{{char}}", bot), ("<USER>", user), ("<BOT>", bot)):
        text = text.replace(mark, name)
    return text


def plain(message: ChatMessage, place: int) -> dict[str, Any]:
    """A message as templates want it: text for content."""
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    made: dict[str, Any] = {"role": role, "content": _content(message, place)}
    if message.tool_calls:
        made["tool_calls"] = message.tool_calls
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    if message.name is not None and role == "tool":
        made["name"] = message.name
    return made


def _content(message: ChatMessage, place: int) -> str:
    content = message.content
    if content is None:
        if message.role != "assistant":
            raise ApiError(400, f"messages[{place}].content is required.", param=f"messages[{place}].content")
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for number, part in enumerate(content):
        param = f"messages[{place}].content[{number}]"
        if part.type in ("image_url", "input_image"):
            raise ApiError(400, "The loaded model reads text only, not images.", param=f"{param}.image_url")
        if part.type not in ("text", "input_text") or part.text is None:
            raise ApiError(400, f"{param} must be a part of type text.", param=param)
        texts.append(part.text)
    return "\n".join(texts)
