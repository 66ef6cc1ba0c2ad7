"""Tools in the messages, the formats of models, and calls that are forced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from webui.chat.templates import Template, choose_template, family_of, read_shipped, render
from webui.chat.tools import CallArguments, CallStart, ToolFormat, ToolParser, force_call, prepare, tool_format
from webui.chat.tools_force import arguments_schema, call_schema
from webui.errors import BadValue
from webui.types import ModelInfo

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "title": "Weather",
    "properties": {
        "city": {"type": "string", "description": "where", "minLength": 1, "maxLength": 30_000},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["c", 'f"']},
        "wind": {"$ref": "#/$defs/Wind"},
        "code": {"type": "string", "pattern": "^(?=x).*$"},
        "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"$ref": "#/$defs/Wind"}]},
    },
    "required": ["city"],
    "$defs": {"Wind": {"type": "object", "properties": {"knots": {"type": "number"}}, "not": {"required": ["x"]}}},
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "It's", "parameters": PARAMETERS}}
TIME = {"type": "function", "function": {"name": "get_time"}}
TOOLS = [WEATHER, TIME]

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Paris?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_0123456789",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_0123456789", "content": "sunny"},
]


def shipped(name: str) -> Template:
    source = read_shipped(name)
    return Template(name, source, "chosen", family_of(source))


def accepts(schema: Any, text: str) -> bool:
    """Whether llguidance, which constrains the worker, would let a model write this and stop."""
    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.tokenize_bytes(text.encode())
    return matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("qwen2", "hermes"),
        ("chatml", "hermes"),
        ("llama-3.1", "llama3"),
        ("mistral-v0.3", "mistral"),
        ("mistral-nemo", "mistral"),
        ("gpt-oss", "harmony"),
        ("gemma-2", "json"),
        ("llama-2", "json"),
        ("alpaca", "json"),
    ],
)
def test_the_format_is_the_templates(name: str, format: ToolFormat) -> None:
    assert tool_format(shipped(name)) == format
    info = ModelInfo("x", "", "fake", "", 10, 10, 10, 1, chat_template=read_shipped(name))
    assert tool_format(choose_template(info)) == format


@pytest.mark.parametrize(
    ("name", "call", "result"),
    [
        (
            "qwen2",
            '{"name": "get_weather", "arguments": {"city": "Paris"}}',
            "<tool_response>\nsunny\n</tool_response>",
        ),
        ("llama-3.1", '{"name": "get_weather", "parameters": {"city": "Paris"}}', "ipython<|end_header_id|>\n\nsunny"),
        ("mistral-v0.3", '"arguments": {"city": "Paris"}, "id": "ab14600fc"', '{"content": "sunny", "call_id": "ab14'),
        ("gpt-oss", 'functions.get_weather <|constrain|>json<|message|>{"city":"Paris"}', "functions.get_weather to="),
        ("gemma-2", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}', "<tool_response>\nsunny"),
        ("alpaca", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}', "<tool_response>\nsunny"),
    ],
)
def test_calls_and_results_reach_every_template(name: str, call: str, result: str) -> None:
    template = shipped(name)
    chat, extra = prepare(MESSAGES, template, TOOLS)
    text = render(chat, template.source, bos="<s>", eos="</s>", **extra)
    for part in ("Be brief.", "It's", "get_time", "Weather in Paris?", call):
        assert part in text
    assert result in text.split(call)[1]
    assert MESSAGES[2]["content"] is None  # what came in stays as it was


def test_results_for_mistrals_own_template_are_json() -> None:
    """Its chat_template on the Hub writes the content into JSON as it is."""
    source = '{% for m in messages %}{{ "[TOOL_CALLS]" if m.tool_calls else \'{"content": \' + m.content }}{% endfor %}'
    template = Template("own", source + "{{ tools }}", "model")
    for given, expected in (("sunny", '"sunny"'), ('{"t": 4}', '{"t": 4}')):
        chat, _ = prepare([*MESSAGES[:3], {"role": "tool", "content": given, "tool_call_id": "a"}], template)
        assert chat[-1]["content"] == expected
    assert len(chat[2]["tool_calls"][0]["id"]) == 9


def test_several_results_are_one_turn_where_tools_are_told_in_words() -> None:
    chat, extra = prepare([*MESSAGES, {"role": "tool", "content": "20"}], shipped("gemma-2"), TOOLS)
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user"]
    assert chat[-1]["content"].count("<tool_response>") == 2
    assert extra == {}


@pytest.mark.parametrize("arguments", ["{", "nope", '{"a": }'])
def test_a_call_that_was_cut_off_does_not_end_the_conversation(arguments: str) -> None:
    call = {"id": "a", "function": {"name": "get_time", "arguments": arguments}}
    chat, _ = prepare([{"role": "assistant", "content": "", "tool_calls": [call]}], shipped("qwen2"))
    assert chat[0]["tool_calls"][0]["function"] == {"name": "get_time", "arguments": {"text": arguments}}


def test_a_call_without_a_name_is_refused() -> None:
    with pytest.raises(BadValue) as caught:
        prepare([{"role": "assistant", "content": "", "tool_calls": [{"id": "a"}]}], shipped("qwen2"))
    assert caught.value.param == "messages[0].tool_calls[0]"


def test_arguments_are_held_to_the_tools_schema() -> None:
    schema = arguments_schema(PARAMETERS)
    assert accepts(schema, '{"city": "Paris", "days": 2, "unit": "f\\"", "wind": {"knots": 3.5}, "code": "y"}')
    assert accepts(schema, '{"city": "Paris", "both": {"a": 1, "knots": 2}}')
    for bad in ("{}", '{"city": ""}', '{"city": "P", "days": 10}', '{"city": "P", "invented": 1}', "[]", '"Paris"'):
        assert not accepts(schema, bad)
    assert accepts(arguments_schema(None), "{}")
    assert not accepts(arguments_schema({}), '{"a": 1}')
    assert accepts(arguments_schema({"type": "object", "additionalProperties": True}), '{"a": 1}')


def test_a_required_call_is_one_of_the_tools() -> None:
    schema = call_schema("llama3", TOOLS)
    assert accepts(schema, '{"name": "get_weather", "parameters": {"city": "Paris", "wind": {"knots": 3}}}')
    assert accepts(schema, '{"name": "get_time", "parameters": {}}')
    for bad in (
        '{"name": "get_moon", "parameters": {}}',
        '{"name": "get_time", "parameters": {"city": "Paris"}}',
        '{"name": "get_weather", "parameters": {"wind": {"knots": "many"}, "city": "P"}}',
        '{"name": "get_weather"}',
    ):
        assert not accepts(schema, bad)


@pytest.mark.parametrize("format", ["hermes", "llama3", "mistral", "mistral_args", "harmony", "json"])
@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (":get_weather", '{"city": "Paris"}'),
        ("required", '{"name": "get_weather", "%s": {"city": "Paris"}}'),
    ],
)
def test_what_is_forced_is_read_back(format: ToolFormat, choice: str, written: str) -> None:
    forced = force_call(format, TOOLS, choice)
    assert forced is not None
    written = written.replace("%s", "parameters" if format == "llama3" else "arguments")
    assert accepts(forced.json_schema, written)
    parts = ToolParser(format, TOOLS, begun=forced.begun).feed(written)
    start, arguments = parts
    assert isinstance(start, CallStart) and start.name == "get_weather"
    assert arguments == CallArguments(0, '{"city": "Paris"}')
    # And as the model's own words: the prompt's beginning and what it wrote make a call without any help.
    closing = {
        "hermes": "}</tool_call>",
        "json": "}</tool_call>",
        "mistral": "}]",
        "mistral_args": "",
        "harmony": "<|call|>",
        "llama3": "}",
    }
    if format != "harmony" or choice != "required":
        whole = ToolParser(format, TOOLS)
        seen = whole.feed(forced.prompt + written + closing[format]) + whole.finish()
        assert [part for part in seen if isinstance(part, CallArguments)] == [CallArguments(0, '{"city": "Paris"}')]


def test_one_tool_required_is_that_tool() -> None:
    forced = force_call("hermes", [TIME], "required")
    assert forced is not None and forced.begun == "get_time"
    assert forced.prompt == '<tool_call>\n{"name": "get_time", "arguments": '


def test_nothing_is_forced_unless_asked_and_nonsense_is_refused() -> None:
    assert force_call("hermes", TOOLS, "auto") is None
    assert force_call("hermes", TOOLS, "none") is None
    for tools, choice in (([], "required"), (TOOLS, ":get_moon")):
        with pytest.raises(BadValue) as caught:
            force_call("hermes", tools, choice)
        assert caught.value.param == "tool_choice"
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"type": "object", "properties": {"a": deep}}
    tool = {"type": "function", "function": {"name": "deep", "parameters": deep}}
    with pytest.raises(BadValue, match="deeper"):
        force_call("hermes", [tool], "required")


def test_remote_references_are_dropped() -> None:
    schema = arguments_schema({"type": "object", "properties": {"a": {"$ref": "http://evil/schema"}}})
    assert "evil" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("source", "format"),
    [
        ("{% for t in tools %}[TOOL_CALLS]{{ t.name }}[ARGS]{{ t }}{% endfor %}", "mistral_args"),
        ("{% for t in tools %}<tool_call>{{ t }}<arg_key>{% endfor %}", "hermes"),
        ('{% for t in tools %}<tool_call><invoke name="{{ t }}">{% endfor %}', "json"),
        ("{% for t in tools %}<|start_header_id|>functools[{{ t }}]{% endfor %}", "json"),
        ("{% for t in tools %}<｜tool▁calls▁begin｜>{{ t }}{% endfor %}", "json"),
        ("<tool_call>", "json"),
    ],
)
def test_a_form_that_cannot_be_read_is_taught_another(source: str, format: ToolFormat) -> None:
    template = Template("own", source, "model", family_of(source))
    assert tool_format(template) == format
