"""Prompt templates: what they may do, what they may not, and messages they were not made for."""

from __future__ import annotations

import pytest

from webui.chat.sandbox import TemplateFailed, run
from webui.chat.templates import CHATML, read_shipped, render, shipped
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


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize(
    "roles",
    [
        ("system", "assistant", "user"),
        ("assistant", "user"),
        ("user", "assistant", "system", "user"),
        ("system", "system", "user"),
        ("system", "user", "user", "assistant", "assistant", "user"),
        ("system",),
    ],
    ids="-".join,
)
def test_every_shipped_template_takes_chats_as_people_have_them(name: str, roles: tuple[str, ...]) -> None:
    """A character that greets first, a word from the system in between, two in a row: nothing refused, lost or turned
    round."""
    chat = [{"role": role, "content": f"said-{place}"} for place, role in enumerate(roles)]
    text = render(chat, read_shipped(name), bos="<s>", eos="</s>")
    places = [text.find(f"said-{place}") for place in range(len(roles))]
    assert min(places) >= 0
    spoken = [place for place, role in zip(places, roles, strict=True) if role != "system"]
    assert spoken == sorted(spoken)
    leading = [place for place, role in zip(places, roles, strict=True) if role == "system"]
    assert leading == sorted(leading)


def test_a_greeting_where_the_user_must_begin() -> None:
    chat = [Message("system", "Be shy."), REPLY, USER]
    assert render(chat, read_shipped("gemma-2"), bos="", eos="") == (
        "<start_of_turn>user\nBe shy.<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
        "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"
    )


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


def test_mistakes_are_sentences() -> None:
    with pytest.raises(TemplateFailed, match="line 2"):
        run("{{ 1 }}\n{% if %}", {})
    with pytest.raises(TemplateFailed, match="at most"):
        run("x" * (1 << 21), {})


def test_output_may_be_as_long_as_an_honest_chat_needs() -> None:
    long = Message("user", "слово " * 50_000)
    assert len(render([long], CHATML, bos="", eos="")) > 300_000
