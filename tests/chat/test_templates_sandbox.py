"""What a hostile template cannot do: get at Python, take for ever, eat the memory, stop the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.ext import LoopControlExtension

from tests.chat.bombs import BOMBS, SECONDS, values_for
from webui.chat.sandbox import TemplateFailed, TemplateLimit, run
from webui.chat.templates import (
    OwnTemplates,
    choose_template,
    read_shipped,
    render,
    render_async,
    shipped,
    template_from,
)
from webui.settings import ROOT
from webui.types import Message, ModelInfo

USER = Message("user", "Hello")
CANARY = "canary"

# facts of published escapes: CVE-2024-34359 and its relatives in chat templates, CVE-2024-56326 (str.format through a
# filter), CVE-2025-27516 (the attr filter), and the usual ways to Python's insides.
ESCAPES = [
    "{% for x in ().__class__.__base__.__subclasses__() %}{% if 'warning' in x.__name__ %}"
    "{{ x()._module.__builtins__['__import__']('os').popen('touch canary').read() }}{% endif %}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
    "{{ joiner.__init__.__globals__.os.system('touch canary') }}",
    "{{ namespace.__init__.__globals__.os.system('touch canary') }}",
    "{{ lipsum.__globals__['os'].system('touch canary') }}",
    "{{ raise_exception.__globals__['os'].system('touch canary') }}",
    "{{ strftime_now.__globals__['datetime'] }}",
    "{{ self.__init__.__globals__.__builtins__.open('canary', 'w') }}",
    "{{ self._TemplateReference__context.cycler.__init__.__globals__.os.system('touch canary') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}",
    "{{ ''['__class__']['__mro__'] }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{0.__class__.__mro__}'|format('') }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{% set f = '{0.__class__.__mro__}'.format %}{{ f('') }}",
    "{{ ['{0.__class__}']|map('format', '')|list }}",
    "{{ ['{0.__class__}']|map(attribute='format')|list }}",
    "{{ (['{0.__class__}']|map(attribute='format')|first)('') }}",
    "{{ (messages|map(attribute='__class__')|list)[0].__subclasses__() }}",
    "{{ messages|map(attribute='__class__.__mro__')|list }}",
    "{{ messages|groupby('__class__') }}",
    "{{ messages|selectattr('__class__')|list }}",
    "{{ messages|sort(attribute='__class__.__name__') }}",
    "{{ (1).__class__ }}{{ 1.0.__class__.__base__ }}",
    "{{ range.__class__.__base__ }}",
    "{{ dict.mro() }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{{ loop.__class__ }}{% for m in messages %}{{ loop._iterable.__class__ }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}{{ m.__class__ }}",
    "{{ messages.append(1) }}",
    "{{ messages.pop() }}",
    "{{ messages[0].update({'role': 'x'}) }}",
    "{{ messages[0].clear() }}",
    "{{ messages[0].setdefault('a', 1) }}",
    "{{ messages[0].__setitem__('role', 'x') }}",
    "{% set x = messages.__len__ %}{{ x.__self__ }}",
    "{% include '/etc/passwd' %}",
    "{% include ['a', '/etc/passwd'] ignore missing %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends '/etc/passwd' %}",
    "{% autoescape true %}{{ messages }}{% endautoescape %}",
    "{% debug %}",
    "{% do messages.append(1) %}",
    "{{ config }}{{ request.application.__globals__ }}{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__.current_app.config }}",
    "{% set messages.x = 1 %}",
    "{% for messages[0].role in ['x'] %}{% endfor %}",
    "{{ '%(a)s' % namespace.__init__.__globals__ }}",
    "{{ environment }}{{ context }}{{ _context }}{{ resolve }}",
]


def harmless(text: str) -> bool:
    return not any(word in text for word in ("class", "module", "builtin", "object at", "root:"))


@pytest.mark.parametrize("source", ESCAPES)
def test_no_way_out_by_any_door(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a model's own template, a template of a request, one of the user's, and rendered straight."""
    monkeypatch.chdir(tmp_path)
    messages = [{"role": "user", "content": "Hello"}]
    for text in (source, "{{ messages[0].content }}" + source):
        info = ModelInfo("m", "", "fake", "", 10, 10, 10, 1, chat_template=text)
        chosen = choose_template(info)
        render(messages, chosen.source, bos="", eos="")
        own = OwnTemplates(tmp_path / "own")
        for door in (template_from, lambda text, own=own: own.save("mine", text)):
            try:
                door(text)
            except TemplateFailed:
                continue
        try:
            shown = render(messages, text, bos="", eos="")
        except TemplateFailed:
            continue
        assert harmless(shown), shown
    assert messages == [{"role": "user", "content": "Hello"}]
    assert CANARY not in {path.name for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("name", BOMBS)
def test_time_and_memory_are_bounded(name: str) -> None:
    with pytest.raises(TemplateFailed):
        run(BOMBS[name], values_for(name), seconds=SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="needs hard limits of the operating system")
def test_all_of_it_fits_into_256_mb() -> None:
    """The same under a limit that kills: nothing was allocated on the way to the refusal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.chat.bombs"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_template_that_hangs_does_not_hold_up_the_loop_and_leaves_no_thread() -> None:
    ticks, ended = 0, False

    async def tick() -> None:
        nonlocal ticks
        while not ended:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    with pytest.raises(TemplateLimit):
        await render_async([USER], BOMBS["empty loops"], bos="", eos="")
    ended = True
    await ticking
    assert ticks > 20  # it went on beside two seconds of work
    started = time.thread_time()
    assert await render_async([USER], None, bos="", eos="")
    assert time.thread_time() - started < 1  # nobody else is rendering any more


@pytest.mark.parametrize("name", shipped())
def test_honest_templates_render_as_in_plain_jinja(name: str) -> None:
    """Nothing that counts may change what is written. (The same held for the 70 templates in llama.cpp's sources.)"""
    plain = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension])
    plain.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False, **how)
    plain.globals |= {"strftime_now": lambda format: datetime.now().strftime(format), "raise_exception": _raise}
    call = {"id": "abcdefghi", "function": {"name": "f", "arguments": {"a": [1, "ж"]}}}
    properties = {"a": {"type": "array", "items": {"enum": ["x", 1]}, "description": "A\nB"}, "b": {"type": "integer"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}
    chats: list[list[dict[str, object]]] = [
        [{"role": "user", "content": "Привет <b> "}],
        [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": " Two "},
            {"role": "user", "content": "Three"},
        ],
    ]
    chats += [[{"role": "system", "content": "Rules"}, *chat] for chat in chats]
    called = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "4", "name": "f", "tool_call_id": "abcdefghi"},
    ]
    for chat in [*chats, [*chats[0], *called]]:
        for tools in (None, [tool]):
            values = {"messages": chat, "tools": tools, "bos_token": "<s>", "eos_token": "</s>"}
            values["add_generation_prompt"] = True
            try:
                expected = plain.from_string(read_shipped(name)).render(**values)
            except jinja2.TemplateError:
                with pytest.raises(TemplateFailed):
                    run(read_shipped(name), values)
                continue
            assert run(read_shipped(name), values) == expected


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


PIECES = st.sampled_from(
    ["{{ ", " }}", "{% for x in ", "{% endfor %}", "{% if ", "{% endif %}", "{% set ", " %}", "{%- ", " -%}", "x", "n"]
    + ["messages", "loop", "namespace(a=1)", " = ", " + ", " * ", " ** ", " % ", " ~ ", " | ", "|list", "|tojson", "."]
    + [
        "a",
        "'%s'",
        "''",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ", ",
        "1",
        "999999",
        "-1",
        "1.5",
        "range(99999)",
        " in ",
        " is ",
    ]
    + ["eq", "|map('upper')", "|join('x')", "|sort", "|indent(9)", ".items()", ".split()", ".format(x)", "|sum", "none"]
    + ["{% macro m(x) %}", "{% endmacro %}", "m(x)", "{% break %}", "{{ x }}", "|replace('', x)", " not ", ":", "[1:]"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_template_renders_or_fails_as_it_should(source: str) -> None:
    try:
        assert isinstance(run(source, {"messages": [{"role": "user", "content": "Hello"}], "x": "x"}, seconds=0.2), str)
    except TemplateFailed as error:
        assert error.message.endswith((".", "template", "not allowed")) or error.message
