"""Which architectures are loaded, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.build import llama, string
from webui.hub.architectures import WRITES_NO_TEXT, EngineArchitectures
from webui.hub.library import Library, ModelEntry


def entry_of(architecture: str, folder: Path) -> ModelEntry:
    file = llama(general_architecture=string(architecture))
    file.pairs = [(key.replace("llama.", f"{architecture}."), value) for key, value in file.pairs]
    file.write(folder / "model.gguf")
    (entry,) = Library([folder], starter=False).entries()
    return entry


@pytest.mark.parametrize("name", ["llama", "gemma3", "qwen2", "qwen3moe", "gpt-oss", "mamba", "phi3", "mistral3"])
def test_the_installed_engine_knows_the_usual_ones(name: str) -> None:
    assert EngineArchitectures().knows(name)


@pytest.mark.parametrize("name", WRITES_NO_TEXT)
def test_the_list_of_the_others_holds_names_the_engine_has(name: str) -> None:
    assert EngineArchitectures().knows(name), "a misspelt name would never be met"


def test_what_the_engine_does_not_know_is_refused_by_its_name(tmp_path: Path) -> None:
    entry = entry_of("zzzzz", tmp_path)
    assert not entry.loadable
    assert "'zzzzz'" in (entry.problem or "")
    assert "не знает архитектуру" in (entry.problem_in("ru") or "")


@pytest.mark.parametrize(
    ("name", "words"),
    [("nomic-bert", "only makes embeddings"), ("t5", "encoder"), ("dream", "diffusion"), ("wavtokenizer-dec", "sound")],
)
def test_what_writes_no_text_is_refused_with_what_it_is(name: str, words: str, tmp_path: Path) -> None:
    entry = entry_of(name, tmp_path)
    assert not entry.loadable
    assert words in (entry.problem or "")


def test_a_good_one_is_loadable(tmp_path: Path) -> None:
    assert entry_of("qwen2", tmp_path).loadable


def test_where_nothing_can_be_found_out_nothing_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "libllama.so"
    assert EngineArchitectures(other).knows("zzzzz"), "there is no such file"
    other.write_bytes(b"packed")
    assert EngineArchitectures(other).knows("zzzzz"), "its names are not readable"
    other.write_bytes(b"\0llama\0falcon\0")
    assert EngineArchitectures(other).knows("falcon")
    assert not EngineArchitectures(other).knows("zzzzz")
