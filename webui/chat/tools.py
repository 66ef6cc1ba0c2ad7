"""Tools in a chat: how a model speaks of them, and the messages about them as its template wants them.

Reading its calls is in tools_parser, forcing one in tools_force; others import all of it from here. Knows templates and
OpenAI's form of messages; nothing of requests or models.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from webui.chat.templates import Template
from webui.chat.tools_force import Forced, force_call
from webui.chat.tools_parser import ToolParser
from webui.chat.tools_parts import CallArguments, CallStart, Part, Text, Thoughts, ToolFormat, new_call_id
from webui.errors import BadValue

__all__ = [
    "CallArguments",
    "CallStart",
    "Forced",
    "Part",
    "Text",
    "Thoughts",
    "ToolFormat",
    "ToolParser",
    "force_call",
    "new_call_id",
    "prepare",
    "tool_format",
]

Messages = list[dict[str, Any]]

INSIDE_TAGS = re.compile(r'"arguments\\?"|<function=|<arg_key>')
PARAMETERS = re.compile(r'"parameters\\?": ')
ID = re.compile(r"[A-Za-z0-9]{9}")
RESULT_IN_JSON = re.compile(r'"content\\?": ')
CONTENT_TO_JSON = re.compile(r"content['\"\]]*\s*\|\s*tojson")
TEACHING = """You can call these functions when they help:
{tools}

To call one, write this and nothing else:
<tool_call>
{{"name": "NAME", "arguments": {{...}}}}
</tool_call>
What it returns comes back between <tool_response> and </tool_response>. When no function helps, just answer."""


def tool_format(template: Template) -> ToolFormat:
    """How a model with this template writes its calls.

    A request with tools should generate with `echo_special`, for the marks are control tokens in some models, and for
    "harmony" without splitting off thoughts, which ToolParser does there.
    """
    source = template.source
    if not template.knows_tools:
        return "json"
    if "<|channel|>" in source and "<|message|>" in source:
        return "harmony"
    if "[TOOL_CALLS]" in source:
        return "mistral_args" if "[ARGS]" in source else "mistral"
    if "<tool_call>" in source and INSIDE_TAGS.search(source):
        return "hermes"
    if template.family == "llama-3.1" and PARAMETERS.search(source):
        return "llama3"
    return "json"


def prepare(
    messages: Sequence[Mapping[str, Any]], template: Template, tools: Sequence[Mapping[str, Any]] = ()
) -> tuple[Messages, dict[str, Any]]:
    """Messages as `render` can take them with this template, and the extra values for it (`tools`).

    Arguments become objects, results learn the name of their tool. A template that knows no tools (or writes calls in a
    way ToolParser does not read) gets them, the calls and the results as plain text.
    """
    chat = [_objects(dict(message), number) for number, message in enumerate(messages)]
    _name_results(chat)
    format = tool_format(template)
    if format == "json":
        return _in_words(chat, tools), {}
    if format in ("mistral", "mistral_args"):
        chat = [_for_mistral(message, template.source) for message in chat]
    return chat, {"tools": [dict(tool) for tool in tools]} if tools else {}


def _objects(message: dict[str, Any], number: int) -> dict[str, Any]:
    """Templates want the arguments of a call as an object; clients send them as JSON text."""
    if message.get("content") is None:
        message["content"] = ""
    calls: list[dict[str, Any]] = []
    for place, call in enumerate(message.get("tool_calls") or ()):
        param = f"messages[{number}].tool_calls[{place}]"
        function = call.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadValue(f"{param} must name a function.", param=param)
        arguments = function.get("arguments") or {}
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                # A call that was cut off in the middle comes back as it is; it must not end the conversation.
                arguments = {"text": arguments}
        calls.append({**call, "function": {**function, "arguments": arguments}})
    if calls:
        message["tool_calls"] = calls
    else:
        message.pop("tool_calls", None)
    return message


def _name_results(chat: Messages) -> None:
    names: dict[str, str] = {}
    last = ""
    for message in chat:
        for call in message.get("tool_calls", ()):
            last = call["function"]["name"]
            names[str(call.get("id"))] = last
        if message["role"] == "tool" and not message.get("name"):
            message["name"] = names.get(str(message.get("tool_call_id")), last)


def _for_mistral(message: dict[str, Any], source: str) -> dict[str, Any]:
    """Ids of nine letters and digits; and a result that the template puts into JSON has to be JSON itself."""
    if message.get("tool_calls"):
        calls = [{**call, "id": _nine(str(call.get("id") or ""))} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    if message["role"] != "tool":
        return message
    content = message["content"]
    if RESULT_IN_JSON.search(source):
        with contextlib.suppress(ValueError):  # other text stays text
            content = json.loads(content) if isinstance(content, str) else content
        if not CONTENT_TO_JSON.search(source):
            content = json.dumps(content, ensure_ascii=False)
    return {**message, "tool_call_id": _nine(str(message.get("tool_call_id") or "")), "content": content}


def _nine(id: str) -> str:
    return id if ID.fullmatch(id) else hashlib.sha256(id.encode()).hexdigest()[:9]


def _in_words(chat: Messages, tools: Sequence[Mapping[str, Any]]) -> Messages:
    said: Messages = []
    for message in chat:
        content = message["content"]
        if message["role"] == "tool":
            content = f"<tool_response>\n{content}\n</tool_response>"
            if said and said[-1]["role"] == "user" and said[-1]["content"].startswith("<tool_response>"):
                said[-1]["content"] += f"\n{content}"
                continue
            said.append({"role": "user", "content": content})
            continue
        for call in message.get("tool_calls", ()):
            function = call["function"]
            made = json.dumps({"name": function["name"], "arguments": function["arguments"]}, ensure_ascii=False)
            content = f"{content}\n<tool_call>\n{made}\n</tool_call>".lstrip("\n")
        told: dict[str, Any] = {name: message[name] for name in ("reasoning_content", "thinking") if name in message}
        said.append({"role": message["role"], "content": content, **told})
    if tools:
        listed = "\n".join(json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools)
        teaching = TEACHING.format(tools=listed)
        if said and said[0]["role"] == "system":
            said[0]["content"] = f"{said[0]['content']}\n\n{teaching}".lstrip("\n")
        else:
            said.insert(0, {"role": "system", "content": teaching})
    return said
