"""Calls out of what models write: every format, cut in every place."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.chat.tools_parser import ToolParser
from webui.chat.tools_parts import CallArguments, CallStart, Text, Thoughts, ToolFormat, new_call_id

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "get_time"}}
SEARCH: dict[str, Any] = {"type": "function", "function": {"name": "brave_search"}}
TOOLS = [WEATHER, TIME, SEARCH]
PARIS = '{"city": "Paris", "days": 2}'

Result = tuple[str, str, list[tuple[str, str]]]


def parse(pieces: Iterable[str], format: ToolFormat, **options: Any) -> Result:
    numbers = itertools.count()
    parser = ToolParser(format, TOOLS, new_id=lambda: f"id{next(numbers)}", **options)
    text, thoughts, calls = "", "", []
    for part in [part for piece in pieces for part in parser.feed(piece)] + parser.finish():
        if isinstance(part, Text):
            text += part.text
        elif isinstance(part, Thoughts):
            thoughts += part.text
        elif isinstance(part, CallStart):
            assert (part.index, part.id) == (len(calls), f"id{len(calls)}")
            calls.append((part.name, ""))
        else:
            assert part.index == len(calls) - 1
            calls[-1] = (calls[-1][0], calls[-1][1] + part.text)
    assert parser.called == bool(calls)
    return text, thoughts, calls


def call(name: str = "get_weather", arguments: str = PARIS) -> list[tuple[str, str]]:
    return [(name, arguments)]


CASES: list[tuple[str, ToolFormat, str, Result]] = [
    ("plain text", "hermes", "Hello there.\n", ("Hello there.\n", "", [])),
    (
        "hermes",
        "hermes",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}\n</tool_call>',
        ("", "", call()),
    ),
    (
        "hermes after text and in parallel",
        "hermes",
        'Let me look.\n\n<tool_call>\n{"name": "get_weather", "arguments": ' + PARIS + "}\n</tool_call>\n"
        '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call><|im_end|>',
        ("Let me look.", "", [*call(), ("get_time", "{}")]),
    ),
    (
        "hermes, arguments first",
        "hermes",
        '<tool_call>{"arguments": ' + PARIS + ', "name": "get_weather"}</tool_call>',
        ("", "", call()),
    ),
    (
        "hermes, arguments as text",
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call> Done.',
        ("Done.", "", call(arguments='{"city": "Paris"}')),
    ),
    (
        "hermes, no arguments",
        "hermes",
        '<tool_call>{"name": "get_time"}</tool_call>',
        ("", "", call("get_time", "{}")),
    ),
    (
        "hermes, a list in one tag",
        "hermes",
        '<tool_call>[{"name": "get_time"}, {"name": "get_weather", "arguments": ' + PARIS + "}]</tool_call>",
        ("", "", [("get_time", "{}"), *call()]),
    ),
    (
        "thoughts before, with a call in them that is none",
        "hermes",
        '<think>\nShall I <tool_call>{"name": "get_time"}</tool_call>?\n</think>\n\nYes.\n<tool_call>'
        '{"name": "get_time", "arguments": {}}</tool_call>',
        ("Yes.", 'Shall I <tool_call>{"name": "get_time"}</tool_call>?', call("get_time", "{}")),
    ),
    (
        "quotes, braces and marks inside an argument",
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "}\\"{ </tool_call> \\\\"}}</tool_call>!',
        ("!", "", call(arguments='{"city": "}\\"{ </tool_call> \\\\"}')),
    ),
    ("a mark that opens no call", "hermes", "Use <tool_call> tags.", ("Use <tool_call> tags.", "", [])),
    (
        "a broken call is text",
        "hermes",
        "<tool_call>{name: get_time}</tool_call>",
        ("<tool_call>{name: get_time}</tool_call>", "", []),
    ),
    (
        "a call that breaks off keeps what it has",
        "hermes",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Pa',
        ("", "", call(arguments='{"city": "Pa')),
    ),
    (
        "Qwen3-Coder's tags",
        "hermes",
        "I will.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew\n<b>York</b>\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        ("I will.", "", call(arguments='{"city": "New\\n<b>York</b>", "days": 2}')),
    ),
    (
        "Qwen3-Coder without parameters",
        "hermes",
        "<tool_call>\n<function=get_time>\n</function>\n</tool_call>",
        ("", "", call("get_time", "{}")),
    ),
    (
        "GLM's tags",
        "hermes",
        "Sure.<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n"
        "<arg_value>2</arg_value>\n</tool_call><tool_call>get_time</tool_call>",
        ("Sure.", "", [*call(), ("get_time", "{}")]),
    ),
    (
        "llama, bare",
        "llama3",
        '{"name": "get_weather", "parameters": ' + PARIS + "}<|eom_id|>",
        ("", "", call()),
    ),
    (
        "llama, several",
        "llama3",
        '<|python_tag|>{"type": "function", "name": "get_weather", "parameters": ' + PARIS + "}; "
        '{"name": "get_time", "parameters": {}}',
        ("", "", [*call(), ("get_time", "{}")]),
    ),
    (
        "llama, built-in tool",
        "llama3",
        '<|python_tag|>brave_search.call(query="price of gold, \\"1oz\\"", n=2)<|eom_id|>',
        ("", "", call("brave_search", '{"query": "price of gold, \\"1oz\\"", "n": 2}')),
    ),
    (
        "llama, function tags",
        "llama3",
        "<function=get_weather>" + PARIS + "</function><|eot_id|>",
        ("", "", call()),
    ),
    (
        "llama, JSON that is an answer",
        "llama3",
        '{"name": "Alice", "parameters": {"age": 7}}',
        ('{"name": "Alice", "parameters": {"age": 7}}', "", []),
    ),
    ("llama, other JSON", "llama3", ' {"a": [1, 2]}', (' {"a": [1, 2]}', "", [])),
    ("llama, a brace that is text", "llama3", "{braces} everywhere", ("{braces} everywhere", "", [])),
    (
        "mistral",
        "mistral",
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": ' + PARIS + ', "id": "VvvODy9mT"}, {"name": "get_time", '
        '"arguments": {}}]',
        ("", "", [*call(), ("get_time", "{}")]),
    ),
    (
        "mistral, its mark not shown",
        "mistral",
        ' [{"name": "get_weather", "arguments": ' + PARIS + "}]",
        ("", "", call()),
    ),
    (
        "mistral, the later form",
        "mistral",
        "On it. [TOOL_CALLS]get_weather[ARGS]" + PARIS + "[TOOL_CALLS]get_time[CALL_ID]abcdefghi[ARGS]{}",
        ("On it.", "", [*call(), ("get_time", "{}")]),
    ),
    ("mistral, a list that is text", "mistral", "[1] Smith, 2020.", ("[1] Smith, 2020.", "", [])),
    (
        "gpt-oss",
        "harmony",
        "<|channel|>analysis<|message|>Need get_weather.<|end|><|start|>assistant<|channel|>commentary "
        "to=functions.get_weather <|constrain|>json<|message|>" + PARIS + "<|call|>",
        ("", "Need get_weather.", call()),
    ),
    (
        "gpt-oss, recipient before the channel",
        "harmony",
        " to=functions.get_time<|channel|>commentary <|constrain|>json<|message|><|call|>",
        ("", "", call("get_time", "{}")),
    ),
    (
        "gpt-oss, a preamble and an answer",
        "harmony",
        "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant<|channel|>final<|message|>It rains. 5"
        " < 6<|return|>",
        ("I will look.\n\nIt rains. 5 < 6", "", []),
    ),
    ("gpt-oss, control tokens not shown", "harmony", "It <b>rains</b>.", ("It <b>rains</b>.", "", [])),
    (
        "generic, fenced",
        "json",
        '```json\n{"name": "get_weather", "arguments": ' + PARIS + "}\n```",
        ("", "", call()),
    ),
    (
        "generic, OpenAI's own form",
        "json",
        '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}',
        ("", "", call(arguments='{"city": "Paris"}')),
    ),
    (
        "generic, a code block that is an answer",
        "json",
        "```python\nprint(1)\n```",
        ("```python\nprint(1)\n```", "", []),
    ),
]


@pytest.mark.parametrize(("title", "format", "written", "expected"), CASES, ids=[case[0] for case in CASES])
def test_whole_and_char_by_char_and_cut_in_every_place(
    title: str, format: ToolFormat, written: str, expected: Result
) -> None:
    assert parse([written], format) == expected
    assert parse(written, format) == expected
    for place in range(len(written)):
        assert parse([written[:place], written[place:]], format) == expected, (written[:place], written[place:])
    chance = random.Random(1)
    for _ in range(50):
        cuts = sorted(chance.sample(range(len(written)), min(4, len(written))))
        assert parse([written[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)], format) == expected


def test_arguments_come_as_they_are_written() -> None:
    parser = ToolParser("hermes", TOOLS)
    assert parser.feed('<tool_call>{"name": "get_weather", "argu') == []
    start, *more = parser.feed('ments": {"ci')
    assert isinstance(start, CallStart) and start.name == "get_weather"
    assert more == [CallArguments(0, '{"ci')]
    assert parser.feed('ty": "Par') == [CallArguments(0, 'ty": "Par')]
    assert parser.feed('is"}}') == [CallArguments(0, 'is"}')]


def test_text_comes_as_it_is_written() -> None:
    parser = ToolParser("hermes", TOOLS)
    assert parser.feed("Hello <") == [Text("Hello")]
    assert parser.feed("b>you") == [Text(" <b>you")]


@pytest.mark.parametrize("format", ["hermes", "llama3", "mistral", "mistral_args", "harmony", "json"])
def test_a_call_the_prompt_began(format: ToolFormat) -> None:
    assert parse(PARIS + "}", format, begun="get_weather") == ("", "", call())
    assert parse('{"name": "get_weather", "arguments": ' + PARIS + "}\n</tool_call>", format, begun="") == (
        "",
        "",
        call(),
    )


def test_thoughts_the_prompt_began() -> None:
    written = 'Hm.\n</think>\n<tool_call>{"name": "get_time"}</tool_call>'
    assert parse(written, "hermes", thinking=True) == ("", "Hm.", call("get_time", "{}"))


ALPHABET = st.sampled_from(
    [*'{}[]":,;\\ \n<>ab1', "<tool_call>", "</tool_call>", "<function=get_time>", "</function>", "<parameter=city>"]
    + ["</parameter>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", '{"name": "get_time"', '"arguments": ', "<think>"]
    + [
        "</think>",
        "<arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "<|channel|>",
        "analysis",
        "<|message|>",
        "to=functions.get_time",
        "<|end|>",
        "<|start|>",
        "```",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ALPHABET, max_size=25), st.sampled_from(["hermes", "llama3", "mistral", "harmony", "json"]))
def test_whatever_is_written_cutting_it_changes_nothing(tokens: list[str], format: ToolFormat) -> None:
    written = "".join(tokens)
    whole = parse([written], format)
    assert parse(written, format) == whole
    assert parse(tokens, format) == whole


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)),
    st.sampled_from([False, True]),
)
def test_any_arguments_arrive_whole(arguments: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps(arguments, ensure_ascii=ascii_only)
    for format, written in (
        ("hermes", f'<tool_call>{{"name": "get_time", "arguments": {raw}}}</tool_call>'),
        ("llama3", f'{{"name": "get_time", "parameters": {raw}}}'),
        ("mistral", f'[TOOL_CALLS] [{{"name": "get_time", "arguments": {raw}}}]'),
    ):
        text, _, calls = parse(written, format)  # type: ignore[arg-type]
        assert text == "" and [name for name, _ in calls] == ["get_time"]
        assert json.loads(calls[0][1]) == arguments


def test_ids() -> None:
    assert len(new_call_id("mistral")) == 9 and new_call_id("mistral").isalnum()
    assert new_call_id("hermes").startswith("call_") and new_call_id("hermes") != new_call_id("hermes")
