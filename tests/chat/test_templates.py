"""Prompt templates: what they may do, what they may not, and messages they were not made for."""

from __future__ import annotations

import pytest

from webui.chat.sandbox import TemplateFailed, TemplateLimit, run
from webui.chat.templates import CHATML, render
from webui.types import Message

SYSTEM, USER, REPLY = Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello")

ALTERNATING = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate') }}
    {%- endif %}
    {{- '<' + message['role'] + '>' + message['content'] | trim }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"""


def test_chatml_is_the_fallback() -> None:
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert render([SYSTEM, USER], None, bos="", eos="") == expected
    assert render([SYSTEM, USER], CHATML, bos="", eos="", add_generation_prompt=False).endswith("Hi<|im_end|>\n")


def test_a_system_text_a_template_refuses_goes_into_the_first_user_message() -> None:
    assert render([SYSTEM, USER], ALTERNATING, bos="<s>", eos="") == "<s><user>Be brief.\n\nHi<assistant>"


def test_a_system_text_a_template_drops_is_folded_too() -> None:
    dropping = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    assert render([SYSTEM, USER], dropping, bos="", eos="") == "[user]Be brief.\n\nHi"


def test_neighbours_of_one_role_are_joined_only_where_the_template_insists() -> None:
    chat = [SYSTEM, USER, USER, REPLY, USER]
    assert render(chat, ALTERNATING, bos="", eos="") == "<user>Be brief.\n\nHi\n\nHi<assistant>Hello<user>Hi<assistant>"
    assert render([USER, USER], CHATML, bos="", eos="").count("<|im_start|>user") == 2


def test_what_no_variant_helps_is_said_in_the_templates_words() -> None:
    with pytest.raises(TemplateFailed, match="never ever"):
        render([USER], "{{ raise_exception('never ever') }}", bos="", eos="")


def test_what_models_templates_use_works() -> None:
    template = """
{%- set ns = namespace(n=0) -%}
{%- for m in messages -%}
    {%- if loop.length > 1 and loop.first %}{% continue %}{% endif -%}
    {%- set ns.n = ns.n + 1 -%}
    {%- generation -%}{{ m | tojson }}{%- endgeneration -%}
    {%- if loop.last %}{% break %}{% endif -%}
{%- endfor -%}
{{ ns.n }} {{ strftime_now('%Y')[:2] }} {{ tools | tojson(indent=2) }} {{ ('a', 'b') | join('-') }}"""
    text = render([USER, Message("assistant", "я <b>")], template, bos="", eos="", tools=[{"a": 1}])
    assert text == '{"role": "assistant", "content": "я <b>"}1 20 [\n  {\n    "a": 1\n  }\n] a-b'


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'a' }}",
        "{{ [1] * 10 ** 9 }}",
        "{{ 9 ** 999 ** 99 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a'.ljust(10 ** 9) }}",
        "{{ 'a' | center(10 ** 9) }}",
        "{{ 'a\nb' | indent(10 ** 9) }}",
        "{% set n = namespace(x='abcdefgh') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='abcdefgh') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set a = ['x' * 9999] * 999 %}{{ a }}",
        "{% set a = ['x' * 9999] %}{% set b = [a, a, a, a] %}{% set c = [b, b, b, b] %}{{ [c, c, c, c] | string }}",
        "{{ ('x' * 9999).replace('x', 'y' * 9999) }}",
        "{{ ('x' * 9999) | replace('x', 'y' * 9999) }}",
        "{{ range(90000) | join('y' * 9999) }}",
        "{{ ('y' * 9999).join(['a'] * 999) }}",
        "{% for i in range(90000) %}{{ 'some words' }}{% endfor %}",
    ],
)
def test_time_and_memory_are_bounded(source: str) -> None:
    with pytest.raises((TemplateLimit, TemplateFailed)):
        render([USER], source, bos="", eos="")


@pytest.mark.parametrize(
    "source",
    [
        "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''|attr('__class__')|attr('__mro__') }}",
        "{{ raise_exception.__globals__['os'] }}",
        "{{ strftime_now.__globals__['os'] }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ (messages|map(attribute='__class__')|list)[0].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'x'}) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_no_way_out_of_the_sandbox(source: str) -> None:
    """Either an error or nothing at all: never an object of Python's insides."""
    try:
        text = render([USER], source, bos="", eos="")
    except TemplateFailed:
        return
    assert text.strip() in ("", "[]")


def test_mistakes_are_sentences() -> None:
    with pytest.raises(TemplateFailed, match="line 2"):
        run("{{ 1 }}\n{% if %}", {})
    with pytest.raises(TemplateFailed, match="at most"):
        run("x" * (1 << 21), {})


def test_output_may_be_as_long_as_an_honest_chat_needs() -> None:
    long = Message("user", "слово " * 50_000)
    assert len(render([long], CHATML, bos="", eos="")) > 300_000
