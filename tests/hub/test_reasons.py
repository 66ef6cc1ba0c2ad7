"""Every reason can be said in both languages."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from tests.hub.broken import BROKEN
from webui.hub.facts import facts_of
from webui.hub.gguf import BadModelFile, read_header
from webui.hub.reasons import REASONS, Reason
from webui.settings import ROOT
from webui.tabs.words import Words


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("code", REASONS)
def test_both_languages_say_the_same_things(code: str) -> None:
    english, russian = REASONS[code]
    assert gaps(english) == gaps(russian)
    assert re.search("[а-я]", russian) or code == "range"
    assert not re.search("[а-я]", english)
    assert english[0].isupper() == russian[0].isupper(), "whole sentences and fragments must not be mixed"
    assert english.endswith(".") == english[0].isupper()


def test_every_reason_is_used_and_every_used_one_is_there() -> None:
    text = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "webui" / "hub").glob("*.py") if path.name != "reasons.py"
    )
    for code in REASONS:
        assert f'"{code}"' in text, f"{code} is said by nobody"
    used = set(re.findall(r'(?:bad|Reason)\(\s*"(\w+)"', text))
    assert used - set(REASONS) == set()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_refused_file_is_explained_in_russian_too(kind: str, tmp_path: Path) -> None:
    content, _ = BROKEN[kind]
    path = tmp_path / "модель.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelFile) as caught:
        facts_of(read_header(path))
    error = caught.value
    said = Words("ru").problem(error.code, error.message, error.values)
    assert said != error.message
    assert re.search("[а-я]{3}", said)
    assert "{" not in said


def test_a_sentence_stands_alone_and_a_fragment_gets_its_file() -> None:
    assert Reason("lora").sentence("x.gguf").startswith("It is a LoRA")
    assert Reason("empty").sentence("x.gguf") == "x.gguf cannot be loaded: it is empty."
    assert Reason("empty").sentence("x.gguf", "ru") == "x.gguf нельзя загрузить: он пуст."
