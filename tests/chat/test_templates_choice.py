"""Which template a model gets, and the user's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from webui.chat.sandbox import TemplateFailed
from webui.chat.templates import (
    CHATML,
    OwnTemplates,
    choose_template,
    read_shipped,
    recognise,
    shipped,
    template_from,
    template_of,
    validate,
)
from webui.errors import BadValue
from webui.types import ModelInfo

INFO = ModelInfo("x", "", "fake", "", 10, 10, 10, 1)
GOOD = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


def info(name: str = "x", **changes: str | None) -> ModelInfo:
    return dataclasses.replace(INFO, name=name, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Llama-2-7B-Chat.Q4_K_M.gguf", "llama-2"),
        ("Meta-Llama-3-8B-Instruct", "llama-3"),
        ("Meta-Llama-3.1-8B-Instruct", "llama-3.1"),
        ("Llama-3_3-70B", "llama-3.1"),
        ("CodeLlama-13b-Instruct-hf", "codellama"),
        ("codellama-70b-instruct.Q4_K_M", "codellama-70b"),
        ("mistral-7b-instruct-v0.2.Q5_K_M.gguf", "mistral-v1"),
        ("Mixtral-8x7B-Instruct-v0.1", "mistral-v1"),
        ("Mistral-7B-Instruct-v0.3", "mistral-v0.3"),
        ("Mistral-Nemo-Instruct-2407", "mistral-nemo"),
        ("gemma-2-9b-it", "gemma-2"),
        ("Phi-3-mini-4k-instruct", "phi-3"),
        ("Qwen2.5-7B-Instruct", "qwen2"),
        ("Qwen3-8B", "chatml"),
        ("gpt-oss-20b", "gpt-oss"),
        ("vicuna-13b-v1.5", "vicuna"),
        ("alpaca-native", "alpaca"),
        ("Nous-Hermes-2", "chatml"),
        ("Nous-Hermes-Llama2-13b", "alpaca"),
        ("Hermes-2-Pro-Llama-3-8B", "chatml"),
        ("something else", None),
    ],
)
def test_models_are_recognised_by_name(model: str, family: str | None) -> None:
    assert recognise(model) == family
    chosen = choose_template(info(model))
    assert chosen.source == (read_shipped(family) if family else CHATML)
    assert chosen.why == ("name" if family else "default")


def test_the_models_own_template_comes_first() -> None:
    chosen = choose_template(info("gemma-2-9b-it", chat_template=GOOD))
    assert (chosen.source, chosen.why, chosen.problem) == (GOOD, "model", "")


def test_kind_and_end_token_tell_where_the_name_does_not() -> None:
    assert choose_template(info(architecture="gemma3")).name == "gemma-2"
    assert choose_template(info(architecture="gemma3")).why == "architecture"
    assert choose_template(info(architecture="llama", eos_token="<|eot_id|>")).name == "llama-3.1"
    assert choose_template(info(architecture="llama", eos_token="<|eot_id|>")).why == "end_token"


@pytest.mark.parametrize(
    "broken",
    [
        "{% for m in messages %}<|start_header_id|>{{ m.content }}",
        "<|start_header_id|>{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "<|start_header_id|>{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "<|start_header_id|>",
        "<|start_header_id|>" + "{{ messages }}" * 20_000,
    ],
)
def test_a_model_with_an_unusable_template_gets_one_of_ours_and_it_is_said(broken: str) -> None:
    chosen = choose_template(info(chat_template=broken))
    assert chosen.source == read_shipped("llama-3.1")  # what the broken one resembles
    assert chosen.problem.startswith("The prompt template")
    assert template_of(info(chat_template=broken)) == chosen.source


def test_a_wanted_template_wins_over_all() -> None:
    chosen = choose_template(info("gemma-2-9b-it", chat_template=GOOD), "alpaca")
    assert (chosen.name, chosen.why, chosen.source) == ("alpaca", "chosen", read_shipped("alpaca"))
    assert choose_template(info(chat_template=GOOD), "auto").source == GOOD
    with pytest.raises(BadValue, match="alpaca") as caught:
        choose_template(info(), "nonsense")
    assert caught.value.code == "unknown_template"


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ChatML", "chatml"), ("Alpaca", "alpaca"), ("Llama-v2", "llama-2"), ("Llama-v3", "llama-3"),
        ("Vicuna-v1.1", "vicuna"), ("Mistral", "mistral-v0.3"), ("Gemma", "gemma-2"),
    ],
)  # fmt: skip
def test_the_names_of_other_tools_are_understood(name: str, ours: str) -> None:
    assert choose_template(info(), name).source == read_shipped(ours)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b", "CON", ".", "", "x" * 300])
def test_a_template_is_never_read_from_elsewhere(name: str, tmp_path: Path) -> None:
    own = OwnTemplates(tmp_path / "templates")
    with pytest.raises(BadValue):
        read_shipped(name)
    for attempt in (own.read, own.delete, lambda name: own.save(name, GOOD)):
        with pytest.raises(BadValue):
            attempt(name)
    assert list(tmp_path.rglob("*.jinja")) == []


def test_own_templates_are_kept_listed_and_chosen(tmp_path: Path) -> None:
    own = OwnTemplates(tmp_path / "templates")
    assert own.names() == ()
    own.save("Моя модель", GOOD)
    assert own.names() == ("Моя модель",)
    chosen = choose_template(info(), "Моя модель", own)
    assert (chosen.source, chosen.why) == (GOOD, "chosen")
    own.save("alpaca", GOOD)
    assert choose_template(info(), "alpaca", own).source == GOOD
    own.delete("alpaca")
    assert choose_template(info(), "alpaca", own).source == read_shipped("alpaca")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "empty"),
        ("{% for m in messages %}\n{{ m.content }", "line 2"),
        ("{{ messages.append(1) }}{{ messages[0].content }}", "cannot be used"),
        ("Hello!", "leaves out"),
        ("{% include 'x' %}{{ messages[0].content }}", "include"),
        ("{{ messages[0].content }}" * 9000, "too long|at most"),
        (
            "{{ messages[0].content }}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "long",
        ),
        ("{{ messages[0].content | nonsense }}", "nonsense"),
    ],
)
def test_what_is_wrong_with_a_users_template_is_said(source: str, says: str, tmp_path: Path) -> None:
    own = OwnTemplates(tmp_path)
    for attempt in (validate, template_from, lambda source: own.save("mine", source)):
        with pytest.raises(TemplateFailed, match=says):
            attempt(source)
    assert own.names() == ()


def test_every_shipped_template_is_valid_and_knows_its_family() -> None:
    assert len(shipped()) >= 11
    for name in shipped():
        validate(read_shipped(name))
        family = choose_template(info(chat_template=read_shipped(name))).family
        assert family.split("-")[0] in {name.split("-")[0], "chatml", "llama"} or name == "codellama-70b", (
            name,
            family,
        )


def test_a_template_that_walks_over_tools_untested_works_without_any() -> None:
    source = "{% for tool in tools %}{{ tool }}{% endfor %}" + GOOD
    assert choose_template(info(chat_template=source)).problem == ""
