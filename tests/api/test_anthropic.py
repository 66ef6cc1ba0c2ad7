"""Anthropic's Messages over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server

REPLY = "Hello there."
ASK: dict[str, Any] = {"model": "any", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY)


def test_anthropic_whole(http: httpx.Client) -> None:
    data = http.post("/v1/messages", json={**ASK, "system": "Be kind."}).json()
    assert data["type"] == "message" and data["role"] == "assistant"
    assert data["content"] == [{"type": "text", "text": REPLY}]
    assert data["stop_reason"] == "end_turn" and data["usage"]["output_tokens"] > 0
    assert http.post("/v1/messages/count_tokens", json={"messages": ASK["messages"]}).json()["input_tokens"] > 0


def test_anthropic_streamed(http: httpx.Client) -> None:
    with http.stream("POST", "/v1/messages", json={**ASK, "stream": True}) as answer:
        lines = [line for line in answer.iter_lines() if line]
    names = [line[7:] for line in lines if line.startswith("event: ")]
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [d["type"] for d in data] == names
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta") == REPLY


def test_anthropic_prefill_prompt_length_and_structured_output(server: Server, http: httpx.Client) -> None:
    said = [*ASK["messages"], {"role": "assistant", "content": "Well,"}]
    before = http.post("/v1/messages/count_tokens", json={"messages": ASK["messages"]}).json()["input_tokens"]
    after = http.post("/v1/messages/count_tokens", json={"messages": said}).json()["input_tokens"]
    assert 0 < after - before <= 4, "the answer goes on with the words, no new turn is opened"
    with http.stream("POST", "/v1/messages", json={**ASK, "stream": True}) as answer:
        data = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    usage = data[0]["message"]["usage"]
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == before
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    schema["additionalProperties"] = False
    wish = {"output_config": {"format": {"type": "json_schema", "schema": schema}, "effort": "max"}}
    answer = http.post("/v1/messages", json={**ASK, **wish})
    assert isinstance(json.loads(answer.json()["content"][0]["text"])["a"], int)


def test_anthropic_tools(server: Server, http: httpx.Client) -> None:
    server.load(reply='<tool_call>\n{"name": "look", "arguments": {"where": "up"}}\n</tool_call>')
    tools = [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}},
        }
    ]
    try:
        data = http.post("/v1/messages", json={**ASK, "tools": tools}).json()
        assert data["stop_reason"] == "tool_use"
        call = data["content"][-1]
        assert (call["type"], call["name"], call["input"]) == ("tool_use", "look", {"where": "up"})
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "sky"}
        messages = [
            *ASK["messages"],
            {"role": "assistant", "content": data["content"]},
            {"role": "user", "content": [result]},
        ]
        assert http.post("/v1/messages", json={**ASK, "messages": messages, "tools": tools}).status_code == 200
    finally:
        server.load(reply=REPLY)


def test_anthropic_errors_have_their_shape(http: httpx.Client) -> None:
    for body in (
        {"messages": ASK["messages"]},
        {**ASK, "max_tokens": 0},
        {**ASK, "messages": [{"role": "system", "content": "x"}]},
    ):
        answer = http.post("/v1/messages", json=body)
        assert answer.status_code == 400 and answer.json()["type"] == "error"
        assert answer.json()["error"]["type"] == "invalid_request_error"
