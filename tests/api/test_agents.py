"""Coding agents as they talk to a server: long system prompts with tools, streamed, cancelled, retried, sent again with
a grown history. The three bodies have the fields that Roo Code, Cline and Continue send."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server

SYSTEM = "You are a careful engineer. " * 300
REPLY = "First I look at the file, then I change it."
READ_FILE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Reads a file.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "lines": {"type": ["array", "null"], "items": {"type": "number"}},
            },
            "required": ["path", "lines"],
            "additionalProperties": False,
        },
    },
}
ROO: dict[str, Any] = {
    "model": "any",
    "temperature": 0,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": None,
    "tools": [READ_FILE],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning_effort": "medium",
}
CLINE: dict[str, Any] = {"model": "any", "temperature": 0, "max_tokens": -1, "stream_options": {"include_usage": True}}
CONTINUE: dict[str, Any] = {
    "model": "any",
    "max_tokens": 1024,
    "stop": ["<|end_of_text|>"],
    "stream_options": {"include_usage": True},
    "tools": [READ_FILE],
    "user": "me",
}


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY, n_ctx=8192, slots=2, delay=0.005)


def task(*said: str) -> list[dict[str, Any]]:
    """Turns in the form of these clients: texts as parts, the system text whole."""
    roles = ("user", "assistant")
    turns = [{"role": roles[place % 2], "content": [{"type": "text", "text": text}]} for place, text in enumerate(said)]
    return [{"role": "system", "content": SYSTEM}, *turns]


def stream(http: httpx.Client, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What it says, and the usage at the end."""
    text, usage = "", {}
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                data = json.loads(line[6:])
                text += "".join(choice["delta"].get("content") or "" for choice in data["choices"])
                usage = data.get("usage") or usage
    return text, usage


@pytest.mark.parametrize("client", [ROO, CLINE, CONTINUE], ids=["roo", "cline", "continue"])
def test_the_second_turn_is_cheap_also_after_a_cancel_and_a_retry(
    server: Server, http: httpx.Client, client: dict[str, Any]
) -> None:
    first = {**client, "messages": task(f"Fix the bug. {client.get('user')}")}
    with http.stream("POST", "/v1/chat/completions", json={**first, "stream": True}) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 60
    while server.services.models.active:
        assert time.monotonic() < deadline, "who has left is still being answered"
        time.sleep(0.01)
    text, usage = stream(http, first)
    assert text == REPLY
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0.9 * usage["prompt_tokens"] > 900
    grown = {**client, "messages": task(f"Fix the bug. {client.get('user')}", text, "[read_file] It is empty. Go on.")}
    text, usage = stream(http, grown)
    assert text == REPLY
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0.9 * usage["prompt_tokens"]


@pytest.mark.parametrize("client", [ROO, CLINE, CONTINUE], ids=["roo", "cline", "continue"])
def test_too_long_is_said_before_the_stream_begins(http: httpx.Client, client: dict[str, Any]) -> None:
    answer = http.post("/v1/chat/completions", json={**client, "messages": task("why " * 9000), "stream": True})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert error["message"].startswith("This model's maximum context length is 8192 tokens."), "tools look for this"
    assert any(int(n) > 9000 for n in error["message"].split() if n.isdecimal())
