"""The official Python client with the starter model: what only a real vocabulary and real probabilities can show."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.api.conftest import Server
from tests.api.tools import weather_tool
from webui.types import LoadSpec

pytestmark = pytest.mark.model

PROMPT = "The capital of France is"
USER: Any = [{"role": "user", "content": "Which city is the capital of France?"}]
WEATHER = weather_tool(20)
CITY: Any = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server, starter_path: Path) -> None:
    server.run(server.services.models.load(LoadSpec(str(starter_path), n_ctx=1024, slots=2)))


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=600) as client:
        yield client


def test_probabilities_of_the_prompt_and_of_the_answer(client: openai.OpenAI) -> None:
    made = client.completions.create(model="x", prompt=PROMPT, max_tokens=4, temperature=0, logprobs=3, echo=True)
    choice = made.choices[0]
    assert choice.text.startswith(PROMPT) and "Paris" in choice.text
    found = choice.logprobs
    assert found is not None and found.tokens and found.token_logprobs and found.top_logprobs and found.text_offset
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset)
    for offset, token in zip(found.text_offset[1:], found.tokens[1:], strict=True):
        assert choice.text[offset : offset + len(token)] == token
    place = found.tokens.index(" Paris")
    assert found.token_logprobs[place] == max(found.top_logprobs[place].values())
    assert sum(math.exp(value) for value in found.top_logprobs[place].values()) <= 1.0001
    chat = client.chat.completions.create(model="x", messages=USER, max_tokens=3, logprobs=True, top_logprobs=2)
    content = chat.choices[0].logprobs.content if chat.choices[0].logprobs else None
    assert content and all(len(entry.top_logprobs) == 2 and entry.bytes for entry in content)


def test_seed_bias_and_choices(client: openai.OpenAI) -> None:
    asked: Any = {"model": "x", "prompt": PROMPT, "max_tokens": 8, "temperature": 1.2, "n": 2, "seed": 11}
    first, second = (client.completions.create(**asked) for _ in range(2))
    assert [choice.text for choice in first.choices] == [choice.text for choice in second.choices]
    assert first.choices[0].text != first.choices[1].text
    texts, usage = {0: "", 1: ""}, None
    for chunk in client.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [choice.text for choice in first.choices]
    assert usage is not None and first.usage is not None and usage.completion_tokens == first.usage.completion_tokens
    tokens = client.post("/internal/encode", cast_to=dict[str, Any], body={"text": " Paris"})["tokens"]  # type: ignore[type-var]
    assert len(tokens) == 1
    greedy: Any = {"model": "x", "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
    assert client.completions.create(**greedy).choices[0].text == " Paris"
    assert client.completions.create(**greedy, logit_bias={str(tokens[0]): -100}).choices[0].text != " Paris"


def test_forms_hold(client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    made = client.chat.completions.create(model="x", messages=USER, response_format=wanted, max_tokens=80, seed=1)
    value = json.loads(made.choices[0].message.content or "")
    assert set(value) == {"city", "people"} and isinstance(value["people"], int)
    made = client.chat.completions.create(
        model="x", messages=USER, response_format={"type": "json_object"}, max_tokens=200, seed=1
    )
    text = made.choices[0].message.content or ""
    assert text.startswith("{") and (made.choices[0].finish_reason == "length" or isinstance(json.loads(text), dict))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_small_models_call_is_valid(client: openai.OpenAI, choice: Any) -> None:
    asked: Any = {
        "model": "x",
        "messages": USER,
        "tools": [WEATHER],
        "tool_choice": choice,
        "seed": 3,
        "max_tokens": 80,
    }
    name, arguments, reason = "", "", None
    for chunk in client.chat.completions.create(**asked, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reason = chunk.choices[0].finish_reason or reason
    assert (name, reason) == ("get_weather", "tool_calls")
    assert set(json.loads(arguments)) == {"city", "unit"}


def test_vectors_of_likeness(client: openai.OpenAI) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "Interest rates rose by two percent."]
    one, near, far = (item.embedding for item in client.embeddings.create(model="x", input=texts).data)

    def likeness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert abs(likeness(one, one) - 1) < 1e-3 and likeness(one, near) > likeness(one, far)
