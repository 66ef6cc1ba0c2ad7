"""Anthropic's Messages: its requests as a chat, the chat's answer as its blocks, whole and streamed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from webui.api.answers import Choice, timings
from webui.api.body import StrictRoute
from webui.api.choosing import chosen
from webui.api.errors import ApiError, describe
from webui.api.generations import Generations
from webui.api.openai import collect, speeches
from webui.api.prepare import Prepared, prepare
from webui.api.schemas import Body, ChatBody
from webui.api.speech import parsed_arguments
from webui.api.stream import Answering, EventStream, stream
from webui.api.turns import ask
from webui.chat.tools import CallStart, Part, Text, Thoughts
from webui.runtime.client import failure
from webui.services import Services
from webui.types import Event, Failed, Finished, PromptProgress, Queued, Token

STOPPED: Mapping[str, str] = {"stop": "end_turn", "stop_string": "stop_sequence", "length": "max_tokens"}


class Block(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class AnthropicMessage(BaseModel):
    role: Literal["user", "assistant"]
    content: str | list[Block]


class AnthropicTool(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    input_schema: dict[str, Any] = {}


class AnthropicChoice(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str = "disabled"


class OutputFormat(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    model_config = ConfigDict(extra="allow")

    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class CountBody(Body):
    model: str | None = None
    messages: list[AnthropicMessage] = Field(min_length=1, max_length=4096)
    system: str | list[Block] | None = None
    tools: list[AnthropicTool] | None = Field(None, max_length=128)
    tool_choice: AnthropicChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class MessagesBody(CountBody):
    max_tokens: int = Field(ge=1)
    stop_sequences: list[str] | None = None
    stream: bool | None = None


def router(services: Services, generations: Generations) -> APIRouter:
    routes = APIRouter(prefix="/v1/messages", route_class=StrictRoute, tags=["Anthropic"])

    @routes.post("", summary="Answer a chat")
    async def messages(request: Request, body: MessagesBody) -> Response:
        prepared, answering = await ask(services, generations, request, chat_body(body))
        if body.stream:
            return EventStream(stream(answering, _Writer(prepared, answering)))
        try:
            choices, _ = await collect(answering, prepared)
        finally:
            await answering.close()
        return Response(orjson.dumps(_whole(prepared, choices[0])), media_type="application/json")

    @routes.post("/count_tokens", summary="How many tokens a chat has")
    async def count_tokens(body: CountBody) -> dict[str, int]:
        async with chosen(services, body.model) as models:
            request = (await prepare(services, models, chat_body(body))).requests[0]
            tokens = await models.tokenize(str(request.prompt), add_bos=request.add_bos)
        return {"input_tokens": len(tokens)}

    return routes


def chat_body(body: CountBody) -> ChatBody:
    """The same request as OpenAI's clients would send it."""
    messages: list[dict[str, Any]] = []
    if body.system:
        messages.append({"role": "system", "content": _text(body.system, "system")})
    for place, message in enumerate(body.messages):
        messages += _messages(message, f"messages[{place}]")
    fields: dict[str, Any] = {**body.rest, "messages": messages, "model": body.model}
    # Words put into the model's mouth: its answer goes on with them.
    fields["continue_"] = messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]
    if body.tools:
        fields["tools"] = [
            {"type": "function", "function": {**_described(tool), "parameters": tool.input_schema}}
            for tool in body.tools
        ]
    if body.tool_choice:
        forced = {"function": {"name": body.tool_choice.name or ""}}
        fields["tool_choice"] = {"any": "required", "tool": forced}.get(body.tool_choice.type, body.tool_choice.type)
        if body.tool_choice.disable_parallel_tool_use:
            fields["parallel_tool_calls"] = False
    if body.thinking is not None:
        fields["enable_thinking"] = body.thinking.type != "disabled"
    fields |= _wanted_output(body.output_config)
    if isinstance(body, MessagesBody):
        fields |= {"max_tokens": body.max_tokens, "stop": body.stop_sequences, "stream": body.stream}
    return ChatBody.model_validate(fields)


def _wanted_output(config: OutputConfig | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if config is not None and config.format is not None:
        schema = {"name": "answer", "schema": config.format.schema_}
        wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
    if config is not None and config.effort is not None:
        wanted["reasoning_effort"] = config.effort if config.effort in ("low", "medium") else "high"
    return wanted


def _described(tool: AnthropicTool) -> dict[str, Any]:
    return {"name": tool.name, **({"description": tool.description} if tool.description else {})}


def _messages(message: AnthropicMessage, param: str) -> list[dict[str, Any]]:
    """One message of blocks as several: results of tools are messages of their own there."""
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content}]
    made: list[dict[str, Any]] = []
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    for number, block in enumerate(message.content):
        more = block.model_extra or {}
        if block.type == "text" and block.text is not None:
            texts.append(block.text)
        elif block.type == "tool_use":
            arguments = json.dumps(more.get("input", {}), ensure_ascii=False)
            function = {"name": str(more.get("name", "")), "arguments": arguments}
            calls.append({"id": str(more.get("id", "")), "type": "function", "function": function})
        elif block.type == "tool_result":
            content = more.get("content", "")
            said = content if isinstance(content, str) else _parts(content, f"{param}.content[{number}]")
            made.append({"role": "tool", "tool_call_id": str(more.get("tool_use_id", "")), "content": said})
        elif block.type == "thinking":
            thoughts.append(str(more.get("thinking", "")))
        elif block.type != "redacted_thinking":
            kind = block.type[:40]
            raise ApiError(400, f"The loaded model reads text only, not {kind!r}.", param=f"{param}.content[{number}]")
    if texts or calls or not made:
        spoken: dict[str, Any] = {"role": message.role, "content": "\n".join(texts)}
        if thoughts:
            spoken["reasoning_content"] = "\n".join(thoughts)
        made.append({**spoken, "tool_calls": calls} if calls else spoken)
    return made


def _parts(content: Any, param: str) -> str:
    texts = [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "The loaded model reads text only.", param=param)
    return "\n".join(str(text) for text in texts)


def _text(content: str | list[Block], param: str) -> str:
    if isinstance(content, str):
        return content
    if any(block.text is None for block in content):
        raise ApiError(400, f"{param} must consist of text.", param=param)
    return "\n".join(str(block.text) for block in content)


def _reason(event: Finished, called: bool) -> dict[str, Any]:
    reason = "tool_use" if called else STOPPED.get(event.reason, "end_turn")
    return {"stop_reason": reason, "stop_sequence": event.stop_string}


def _usage(event: Finished) -> dict[str, int]:
    return {
        "input_tokens": event.prompt_tokens - event.cached_tokens,
        "cache_read_input_tokens": event.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": event.tokens,
    }


def _head(prepared: Prepared) -> dict[str, Any]:
    return {"id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant", "model": prepared.model}


def _whole(prepared: Prepared, choice: Choice) -> dict[str, Any]:
    event = choice.end
    assert event is not None
    said = choice.said
    blocks: list[dict[str, Any]] = []
    if said.thoughts:
        blocks.append({"type": "thinking", "thinking": "".join(said.thoughts), "signature": ""})
    if said.text or not said.calls:
        blocks.append({"type": "text", "text": said.text})
    for call in said.calls:
        arguments = parsed_arguments(call["arguments"])
        blocks.append({"type": "tool_use", "id": call["id"], "name": call["name"], "input": arguments})
    extras = {"seed": event.seed, **prepared.made(), "timings": timings(event)}
    reason = _reason(event, choice.speech.called)
    return {**_head(prepared), "content": blocks, **reason, "usage": _usage(event), **extras}


class _Writer:
    """Blocks open and close one after another: thoughts, text, calls."""

    def __init__(self, prepared: Prepared, answering: Answering) -> None:
        self._prepared = prepared
        (self._speech,) = speeches(prepared, answering)
        self._index = -1
        self._open = ""
        self._begun = False

    def begin(self) -> bytes:
        """Nothing yet: the first event of an answer tells how long the prompt is, and clients read that at its head."""
        return b""

    def _begin(self, event: Event, parts: list[bytes]) -> None:
        self._begun = True
        read = event if isinstance(event, PromptProgress) else PromptProgress(0, 0, 0)
        usage = {"input_tokens": read.total - read.cached, "cache_read_input_tokens": read.cached, "output_tokens": 0}
        message = {**_head(self._prepared), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        parts += [_event("message_start", message=message), _event("ping")]

    def write(self, number: int, event: Event, parts: list[bytes]) -> None:
        if not self._begun and not isinstance(event, Queued):
            self._begin(event, parts)
        if isinstance(event, Token):
            for part in self._speech.token(event):
                self._part(part, parts)
        elif isinstance(event, Finished):
            for part in self._speech.end(event):
                self._part(part, parts)
            if self._index < 0:
                self._start("text", {"type": "text", "text": ""}, parts)
            self._close(parts)
            extras = {"seed": event.seed, **self._prepared.made(), "timings": timings(event)}
            reason = _reason(event, self._speech.called)
            parts.append(_event("message_delta", delta=reason, usage=_usage(event), **extras))

    def end(self) -> bytes:
        return _event("message_stop")

    def failed(self, event: Failed) -> bytes:
        _, error = describe(failure(event))
        return _event("error", error=error)

    def _part(self, part: Part, parts: list[bytes]) -> None:
        if isinstance(part, CallStart):
            self._start(
                f"call {part.index}", {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}, parts
            )
        elif isinstance(part, Text):
            self._delta("text", {"type": "text", "text": ""}, {"type": "text_delta", "text": part.text}, parts)
        elif isinstance(part, Thoughts):
            block = {"type": "thinking", "thinking": "", "signature": ""}
            self._delta("thinking", block, {"type": "thinking_delta", "thinking": part.text}, parts)
        else:
            delta = {"type": "input_json_delta", "partial_json": part.text}
            parts.append(_event("content_block_delta", index=self._index, delta=delta))

    def _delta(self, kind: str, block: dict[str, Any], delta: dict[str, Any], parts: list[bytes]) -> None:
        if self._open != kind:
            self._start(kind, block, parts)
        parts.append(_event("content_block_delta", index=self._index, delta=delta))

    def _start(self, kind: str, block: dict[str, Any], parts: list[bytes]) -> None:
        self._close(parts)
        self._index, self._open = self._index + 1, kind
        parts.append(_event("content_block_start", index=self._index, content_block=block))

    def _close(self, parts: list[bytes]) -> None:
        if self._open:
            parts.append(_event("content_block_stop", index=self._index))
            self._open = ""


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))
