"""The messages of a chat request as a prompt: roles, parts, tools and text-generation-webui's three modes.

Knows nothing of sampling and of how the answer is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webui.api.errors import ApiError
from webui.api.schemas import ChatBody, ChatMessage
from webui.api.speech import Tooling
from webui.chat.characters_store import Characters
from webui.chat.modes import Persona, dialogue, instruction, persona_of
from webui.chat.templates import OwnTemplates, Template, choose_template, render, template_from
from webui.chat.tools import force_call, prepare, tool_format
from webui.errors import BadValue
from webui.types import ModelInfo

RESERVED = frozenset(
    {"messages", "template", "bos", "eos", "bos_token", "eos_token", "add_generation_prompt", "tools", "documents"}
)
"""Names a template gets from us, whatever chat_template_kwargs say."""

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt; the strings that end a turn in it beside the model's own end; how calls of tools are read."""

    text: str
    stops: tuple[str, ...] = ()
    tooling: Tooling | None = None
    json_schema: str = ""


async def render_chat(body: ChatBody, info: ModelInfo, data_dir: Path) -> Rendered:
    """In a thread: a template that a request brings may take a while before it is refused."""
    return await asyncio.to_thread(_render, body, info, data_dir)


def _render(body: ChatBody, info: ModelInfo, data_dir: Path) -> Rendered:
    messages = [plain(message, place) for place, message in enumerate(body.messages)]
    template = choose(body, info, data_dir)
    if body.mode in ("chat", "chat-instruct"):
        return _spoken(body, messages, info, template, data_dir)
    return _with_tools(body, messages, info, template)


_OF_DIALOGUES = (
    "character", "user_name", "bot_name", "context", "greeting", "user_bio", "chat_template_str",
    "chat_instruct_command",
)  # fmt: skip
_OF_INSTRUCTIONS = ("tools", "tool_choice", "enable_thinking", "reasoning_effort")


def unused(body: ChatBody) -> tuple[str, ...]:
    """What was asked for and has no meaning in this request's mode, as sentences."""
    spoken = body.mode in ("chat", "chat-instruct")
    idle = _OF_INSTRUCTIONS if spoken else _OF_DIALOGUES
    if body.mode == "chat":
        idle = (*idle, "instruction_template", "instruction_template_str", "chat_instruct_command")
    where = f"has no place in mode {body.mode}" if spoken else "is for the modes chat and chat-instruct"
    notes = tuple(f"{name}: {where}" for name in idle if getattr(body, name))
    old = [name for name in ("functions", "function_call") if body.rest.get(name)]
    return (*notes, *(f"{name}: send tools and tool_choice instead" for name in old))


def choose(body: ChatBody, info: ModelInfo, data_dir: Path) -> Template:
    """The template of this request: one it brings, one it names, else the model's."""
    if body.instruction_template_str:
        return template_from(body.instruction_template_str)
    return choose_template(info, body.instruction_template, OwnTemplates(data_dir / "templates"))


def _with_tools(body: ChatBody, messages: Messages, info: ModelInfo, template: Template) -> Rendered:
    """Mode "instruct": with the tools the model is offered, and perhaps the beginning of a call it has to make."""
    choice = body.tool_choice or "auto"
    offered = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    format = tool_format(template)
    try:
        forced = force_call(format, offered, choice)
    except BadValue as error:
        raise ApiError(400, error.message, param="tools") from error
    tools = [] if choice == "none" else offered
    chat, extra = prepare(messages, template, tools)
    text = _instruct(body, chat, info, template, extra)
    if not tools:
        return Rendered(text)
    if forced is None:
        most = 1 if body.parallel_tool_calls is False else None
        return Rendered(text, tooling=Tooling(format, tools, most=most))
    return Rendered(text + forced.prompt, (), Tooling(format, tools, begun=forced.begun), forced.json_schema)


def _instruct(body: ChatBody, messages: Messages, info: ModelInfo, template: Template, more: Mapping[str, Any]) -> str:
    """By the template. Going on with a message means: the prompt for it, and then its text."""
    prefix = ""
    if body.continue_ and messages and messages[-1]["role"] == "assistant":
        prefix, messages = str(messages[-1]["content"]), messages[:-1]
    extra = {name: value for name, value in (body.chat_template_kwargs or {}).items() if name not in RESERVED}
    if body.enable_thinking is not None:
        extra["enable_thinking"] = body.enable_thinking
    if body.reasoning_effort is not None:
        extra["reasoning_effort"] = body.reasoning_effort
    ask = body.add_generation_prompt is not False
    bos, eos = info.bos_token, info.eos_token
    return render(messages, template.source, bos=bos, eos=eos, add_generation_prompt=ask, **extra, **more) + prefix


def _spoken(body: ChatBody, messages: Messages, info: ModelInfo, template: Template, data_dir: Path) -> Rendered:
    """Modes "chat" and "chat-instruct": a dialogue of named speakers, bare or inside an instruction."""
    persona = _persona(body, data_dir)
    written = dialogue(messages, persona, continue_last=bool(body.continue_))
    if body.mode == "chat":
        return Rendered(written.transcript + written.opening, written.stops)
    asked, opening = instruction(written, persona)
    once = body.model_copy(update={"continue_": None})
    return Rendered(_instruct(once, asked, info, template, {}) + opening, written.stops)


def _persona(body: ChatBody, data_dir: Path) -> Persona:
    """A character by name, and whatever the request says instead."""
    persona = Persona()
    if body.character not in (None, "", "None"):
        card = Characters(data_dir / "characters").load(str(body.character))
        persona = persona_of(card, body.user_name or persona.user)
    given = {
        "user": body.user_name,
        "char": body.bot_name,
        "context": body.context,
        "greeting": body.greeting,
        "user_bio": body.user_bio,
        "template": body.chat_template_str,
        "command": body.chat_instruct_command,
    }
    return replace(persona, **{name: value for name, value in given.items() if value})


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
    thoughts = _thoughts(message) if role == "assistant" else ""
    if thoughts:
        # By both names that templates read them under.
        made["reasoning_content"] = made["thinking"] = thoughts
    return made


def _thoughts(message: ChatMessage) -> str:
    """What a client sends back of the model's thoughts: some templates show them while tools are being called."""
    more = message.model_extra or {}
    found = (more.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    return next((text for text in found if isinstance(text, str) and text), "")


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
