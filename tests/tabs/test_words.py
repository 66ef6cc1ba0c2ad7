"""Both languages are complete, and no page asks for a word that is not there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from webui.settings import Settings
from webui.tabs.labels import translations
from webui.tabs.words import LANGUAGES, Words, language_of, load

TABS = Path(__file__).parents[2] / "webui" / "tabs"
PLACEHOLDER = re.compile(r"\{(\w+)")
LETTERS = re.compile(r"[A-Za-z]{3,}")


def test_both_languages_have_the_same_keys() -> None:
    """English sentences of problems and flags may be missing: they stand in the code."""
    english, russian = set(load("en")), set(load("ru"))
    assert english - russian == set(), "missing in ru.json"
    assert {key for key in russian - english if not key.startswith(("problem.", "flag."))} == set(), (
        "missing in en.json"
    )


def test_translations_keep_the_placeholders() -> None:
    for key, text in load("en").items():
        if not key.endswith((".one", ".few", ".many")):
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(load("ru")[key])), key


def test_russian_is_russian() -> None:
    """A sentence left in English has no Cyrillic letter at all."""
    same = {key for key, text in load("ru").items() if LETTERS.search(text) and not re.search("[а-яё]", text, re.I)}
    allowed = {"page.language.switch", "page.language.en", "problem.bad_model_file"}
    assert {key for key in same - allowed if not key.startswith("logits.")} == set()


def test_every_word_the_python_code_asks_for_exists() -> None:
    words = load("en")
    for file in TABS.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        for key in re.findall(r"""\b(?:words|self\.words|label)\(\s*"([a-z_.0-9]+)\"""", source):
            assert key in words, f"{file.name} asks for {key}"
        for key in re.findall(r"""\bwords\.count\(\s*"([a-z_.]+)\"""", source):
            assert all(f"{key}.{form}" in words for form in ("one", "few", "many")), f"{file.name} counts {key}"


def test_every_word_the_scripts_ask_for_exists() -> None:
    words = load("en")
    for file in (TABS / "static").glob("*.js"):
        if file.name.startswith("logits"):
            continue
        for key in re.findall(r"""\bt\("([a-z_.0-9]+)\"""", file.read_text(encoding="utf-8")):
            assert f"page.{key}" in words, f"{file.name} asks for page.{key}"


def test_every_flag_is_explained_in_russian() -> None:
    told = {key.removeprefix("flag.") for key in load("ru") if key.startswith("flag.")}
    assert told == {field.name for field in fields(Settings)}
    assert Words("ru").translated("flag.port", "port of the page") == "порт страницы"
    assert Words("en").translated("flag.port", "port of the page") == "port of the page"


def test_no_word_is_left_over() -> None:
    code = "\n".join(f.read_text(encoding="utf-8") for f in (*TABS.glob("*.py"), *(TABS / "static").glob("*.js")))
    asked = set(re.findall(r"""["'`]([a-z_.0-9]+)["'`]""", code))
    computed: tuple[str, ...] = (
        "reason.",
        "problem.",
        "page.chain.family.",
        "page.idea.",
        "model.fact.",
        "model.option.",
        "model.group.",
        "model.choice.",
        "model.fit.",
        "page.model.is.",
        "page.model.sort.",
        "page.model.rope.",
        "page.model.fit.col.",
        "tab.",
        "stage.",
        "logits.",
    )
    computed += ("page.theme.", "page.language.", "page.funnel.", "status.", "fit.", "rope.", "offer.")
    computed += ("page.tip.", "page.downloads.", "downloads.token.", "page.quantise.", "quantise.")
    for key in load("en"):
        name = re.sub(r"\.(one|few|many)$", "", key.removeprefix("page."))
        known = key in asked or name in asked or key.endswith(".help") or key.startswith(computed)
        assert known, f"nothing asks for {key}"


def test_every_sampler_control_has_words_in_both_languages() -> None:
    for language, words in translations().items():
        samplers = {key: text for key, text in words.items() if key.startswith("sampler.")}
        assert samplers and all(text.strip() for text in samplers.values()), language


@pytest.mark.parametrize(
    ("kept", "accept", "language"),
    [
        ("ru", "en", "ru"),
        ("auto", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("auto", "en;q=0.5, ru;q=0.9", "ru"),
        ("auto", "de, fr;q=0.9, en;q=0.1", "en"),
        ("auto", "de", "en"),
        ("auto", "", "en"),
        ("auto", "ru;q=zero", "ru"),
        ("nonsense", "ru", "ru"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(kept: str, accept: str, language: str) -> None:
    assert language_of(kept, accept) == language


def test_numbers_and_plurals() -> None:
    english, russian = Words("en"), Words("ru")
    assert (english.number(1.25, 1), russian.number(0.31, 2)) == ("1.2", "0,31")
    forms = [russian.count("writing.tokens", n) for n in (1, 2, 5, 11, 12, 21, 22, 111)]
    endings = ["1 токен", "2 токена", "5 токенов", "11 токенов", "12 токенов", "21 токен", "22 токена", "111 токенов"]
    assert forms == endings
    assert [english.count("writing.tokens", n) for n in (1, 2)] == ["1 token", "2 tokens"]


def test_problems_are_said_in_the_visitors_language_or_else_as_they_came() -> None:
    values = {"tokens": 500, "n_ctx": 200}
    russian = Words("ru").problem("context_length_exceeded", "This message needs 500 …", values)
    assert "500" in russian and "200" in russian and re.search("[а-я]", russian)
    assert "200" in Words("ru").problem("context_length_exceeded", "characters", {"characters": 9, "n_ctx": 200})
    assert Words("ru").problem("context_length_exceeded", "no values", {}) == "no values"
    assert Words("ru").problem("bad_value", "top_k must be ...", {}) == "Недопустимое значение: top_k must be ..."
    assert Words("ru").problem("unheard_of", "As it came.", {}) == "As it came."
    assert Words("en").problem("context_length_exceeded", "As it came.", values) == "As it came."


def test_all_languages_are_served() -> None:
    assert set(translations()) == set(LANGUAGES)
