"""The official Python client against a real server: what it raises and reads decides, not what we think we send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.api.conftest import Server
from tests.api.tools import weather_tool

REPLY = "Paris is lovely."
USER: Any = [{"role": "user", "content": "Hi"}]
WEATHER = weather_tool(12)


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    server.load(reply=REPLY)


@pytest.fixture(autouse=True)
def restored(server: Server) -> Iterator[None]:
    """Some tests load another model."""
    before = server.services.models.status().spec
    yield
    if server.services.models.status().spec != before:
        server.load(reply=REPLY)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["fake-model"]
    assert client.models.retrieve("fake-model").id == "fake-model"


def test_completions(client: openai.OpenAI) -> None:
    made = client.completions.create(model="x", prompt="Hi", max_tokens=20, seed=7, n=2, logprobs=2, echo=True)
    assert [choice.text for choice in made.choices] == ["Hi" + REPLY] * 2
    assert made.usage is not None and made.usage.completion_tokens > 0
    logprobs = made.choices[0].logprobs
    assert (
        logprobs is not None and logprobs.tokens is not None and len(logprobs.tokens) == len(logprobs.text_offset or [])
    )
    assert made.model_extra is not None and made.model_extra["seed"] == 7
    pieces = client.completions.create(model="x", prompt="Hi", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == REPLY


def test_chats(client: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
    ]
    made = client.chat.completions.create(
        model="x", messages=messages, max_completion_tokens=50, stop=["zzz"], temperature=0
    )
    assert made.choices[0].message.content == REPLY and made.choices[0].finish_reason == "stop"
    limited = client.chat.completions.create(model="x", messages=messages, max_completion_tokens=1)
    assert limited.choices[0].finish_reason == "length"


def test_streams_with_usage_and_several_choices(client: openai.OpenAI) -> None:
    texts = {0: "", 1: ""}
    usage = None
    stream = client.chat.completions.create(
        model="x",
        messages=USER,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
        top_logprobs=3,
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.logprobs and choice.logprobs.content:
                assert len(choice.logprobs.content[0].top_logprobs) <= 3
    assert texts == {0: REPLY, 1: REPLY}
    assert usage is not None and usage.prompt_tokens > 0 and usage.completion_tokens > 0


def test_logit_bias_changes_the_choice(client: openai.OpenAI) -> None:
    first = client.completions.create(model="x", prompt="Hi", max_tokens=1, temperature=0, logprobs=1)
    assert first.choices[0].text == "Paris"
    token = client.post("/internal/encode", cast_to=dict[str, Any], body={"text": "Paris"})["tokens"][0]  # type: ignore[type-var]
    other = client.completions.create(
        model="x", prompt="Hi", max_tokens=1, temperature=0, logit_bias={str(token): -100}
    )
    assert other.choices[0].text != "Paris"


def schema(of: dict[str, Any]) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": of}}


@pytest.mark.parametrize(
    "of",
    [
        {"enum": ['a"b']},
        {
            "type": "object",
            "properties": {'q"uote': {"type": "integer"}},
            "required": ['q"uote'],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"n": {"const": 42}}, "required": ["n"], "additionalProperties": False},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
    ],
)
def test_schemas_hold_whatever_the_model_wants_to_say(
    client: openai.OpenAI, server: Server, of: dict[str, Any]
) -> None:
    """Row 23 of the table: a quote in an enum or in a name kills llama.cpp's own parser."""
    import jsonschema_rs

    server.load(reply=REPLY, split="bytes")
    made = client.chat.completions.create(model="x", messages=USER, response_format=schema(of), max_tokens=200)
    value = json.loads(made.choices[0].message.content or "")
    jsonschema_rs.validator_for(of).validate(value)


def test_json_object(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(
        model="x", messages=USER, response_format={"type": "json_object"}, max_tokens=400, seed=1
    )
    if made.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(made.choices[0].message.content or ""), dict)
    else:
        assert (made.choices[0].message.content or "").lstrip().startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_that_must_be_called_is_called_well(
    client: openai.OpenAI, server: Server, choice: Any, streamed: bool
) -> None:
    """The FakeEngine wants to say something else; the schema decides."""
    server.load(reply=REPLY, split="bytes")
    asked: Any = {
        "model": "x",
        "messages": USER,
        "tools": [WEATHER],
        "tool_choice": choice,
        "max_tokens": 300,
        "seed": 3,
    }
    if streamed:
        name, arguments, reason = "", "", None
        for chunk in client.chat.completions.create(**asked, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                assert call.function is not None
                name += call.function.name or ""
                arguments += call.function.arguments or ""
            reason = chunk.choices[0].finish_reason or reason
    else:
        made = client.chat.completions.create(**asked)
        calls = made.choices[0].message.tool_calls
        assert calls is not None and len(calls) == 1 and calls[0].id
        name, arguments, reason = calls[0].function.name, calls[0].function.arguments, made.choices[0].finish_reason
    assert (name, reason) == ("get_weather", "tool_calls")
    value = json.loads(arguments)
    assert set(value) == {"city", "unit"} and value["unit"] in ("c", "f") and len(value["city"]) <= 12


def test_a_tool_the_model_calls_by_itself_and_the_way_back(client: openai.OpenAI, server: Server) -> None:
    called = (
        'Let me see. <tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "unit": "c"}}\n</tool_call>'
    )
    rules = [{"contains": "sunny", "reply": "It is sunny in Oslo."}]
    server.load(reply=called, rules=rules)
    made = client.chat.completions.create(model="x", messages=USER, tools=[WEATHER])
    message = made.choices[0].message
    assert message.content == "Let me see." and message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Oslo", "unit": "c"}
    back: Any = [
        *USER,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    made = client.chat.completions.create(model="x", messages=back, tools=[WEATHER])
    assert made.choices[0].message.content == "It is sunny in Oslo." and made.choices[0].finish_reason == "stop"
    quiet = client.chat.completions.create(model="x", messages=USER, tools=[WEATHER], tool_choice="none")
    assert quiet.choices[0].message.tool_calls is None


def test_thoughts_are_told_apart(client: openai.OpenAI, server: Server) -> None:
    server.load(reply="<think>\nHm, well.\n</think>\n\nYes.")
    message = client.chat.completions.create(model="x", messages=USER).choices[0].message
    assert message.content == "Yes."
    assert message.model_extra is not None and "Hm, well." in message.model_extra["reasoning_content"]


def test_embeddings(client: openai.OpenAI) -> None:
    """The client asks for base64 unless told otherwise; both forms are the same numbers."""
    made = client.embeddings.create(model="x", input=["one two three", "one two four", "else entirely"])
    assert [one.index for one in made.data] == [0, 1, 2] and made.model == "fake-model"
    first, near, far = (one.embedding for one in made.data)
    assert abs(dot(first, first) - 1) < 1e-5 and dot(first, near) > dot(first, far)
    plain = client.embeddings.create(model="x", input="one two three", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(first, abs=1e-6)
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == 4
    ids = client.post("/internal/encode", cast_to=dict[str, Any], body={"text": "one two"})["tokens"]  # type: ignore[type-var]
    one = client.embeddings.create(model="x", input=ids).data
    both = client.embeddings.create(model="x", input=[ids, ids[:1]]).data
    assert len(one) == 1 and one[0].embedding == both[0].embedding != both[1].embedding
    for bad in ("", [], [""], [[]], [1, "a"]):
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="x", input=bad)  # type: ignore[arg-type]
        assert caught.value.param == "input"


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_errors_are_the_clients_own(client: openai.OpenAI, server: Server) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="x", messages=USER, temperature=-1)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": "word " * 9000}], stream=True)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="x", input="text", dimensions=3)
    assert caught.value.param == "dimensions"
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="x", input="word " * 9000)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_a_crash_in_the_middle_is_an_error_and_the_next_request_works(
    client: openai.OpenAI, server: Server, tmp_path: Any
) -> None:
    fault = {"at": "token", "after": 2, "how": "SIGSEGV", "once": str(tmp_path / "once")}
    server.load(reply=REPLY, faults=[fault], delay=0.02)
    with pytest.raises(openai.APIError, match="crashed"):
        for _ in client.chat.completions.create(model="x", messages=USER, stream=True):
            pass
    assert client.chat.completions.create(model="x", messages=USER).choices[0].message.content == REPLY


@pytest.mark.model
def test_the_second_turn_of_an_agent_reads_only_what_is_new(
    client: openai.OpenAI, server: Server, starter_path: Any
) -> None:
    """A long system prompt with tools, sent again with a grown history."""
    from webui.types import LoadSpec

    server.run(server.services.models.load(LoadSpec(str(starter_path), n_ctx=4096, slots=2)))
    messages: Any = [
        {"role": "system", "content": "You are a careful programmer who explains every step. " * 60},
        {"role": "user", "content": "Write hello world in C."},
    ]
    asked: Any = {"model": "x", "tools": [WEATHER], "max_tokens": 20, "temperature": 0}
    client = client.with_options(timeout=300)
    first = client.chat.completions.create(messages=messages, **asked)
    grown = [
        *messages,
        {"role": "assistant", "content": first.choices[0].message.content or ""},
        {"role": "user", "content": "Now in Rust."},
    ]
    second = client.chat.completions.create(messages=grown, **asked)
    assert second.usage is not None and second.usage.prompt_tokens_details is not None
    cached = second.usage.prompt_tokens_details.cached_tokens or 0
    assert cached > 0.7 * second.usage.prompt_tokens
