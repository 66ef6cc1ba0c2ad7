"""The GGUF header reader: right about good files, and unmoved by bad ones."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.broken import BROKEN, NO_GGUF
from tests.hub.build import (
    ARRAY,
    BOOL,
    F32,
    STRING,
    U64,
    File,
    Value,
    array,
    llama,
    number,
    string,
    text,
)
from webui.hub import gguf as module
from webui.hub.facts import facts_of
from webui.hub.gguf import BadModelFile, LongArray, read_header
from webui.hub.quants import FILE_TYPES, TENSOR_TYPES
from webui.settings import ROOT


def reason(path: Path) -> str:
    with pytest.raises(BadModelFile) as caught:
        facts_of(read_header(path))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_good_file_is_read(tmp_path: Path) -> None:
    header = read_header(llama().write(tmp_path / "tiny.gguf"))
    assert header.architecture == "llama"
    assert header.get("block_count") == 2
    assert [(t.name, t.shape, t.type.name) for t in header.tensors] == [
        ("token_embd.weight", (64, 32), "F32"),
        ("output.weight", (64, 32), "Q8_0"),
    ]
    assert header.tensors[1].bytes == 64 * 32 // 32 * 34


def test_it_agrees_with_the_reference_writer(tmp_path: Path) -> None:
    path = tmp_path / "reference.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_float32("x.float", 1.5)
    writer.add_bool("x.bool", True)
    writer.add_int64("x.int", -(1 << 40))
    writer.add_array("x.numbers", [1, -2, 3])
    writer.add_token_list([f"token {i} ж" for i in range(5000)])
    writer.add_token_scores([float(i) for i in range(5000)])
    writer.add_chat_template("{{ 'при' }}")
    writer.add_tensor("a", np.zeros((4, 32), dtype=np.float32))
    writer.add_tensor("b", np.zeros((2, 7), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header, reference = read_header(path), gguf.GGUFReader(path)
    assert header.metadata["x.float"] == 1.5
    assert header.metadata["x.bool"] is True
    assert header.metadata["x.int"] == -(1 << 40)
    assert header.metadata["x.numbers"] == (1, -2, 3)
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(STRING, 5000)
    assert header.metadata["tokenizer.ggml.scores"] == LongArray(F32, 5000)
    assert header.metadata["tokenizer.chat_template"] == "{{ 'при' }}"
    for ours, theirs in zip(header.tensors, reference.tensors, strict=True):
        assert (ours.name, ours.shape, ours.bytes) == (theirs.name, tuple(theirs.shape.tolist()), theirs.n_bytes)
        assert header.data_start + ours.offset == theirs.data_offset


def test_the_tables_of_types_are_those_of_the_format() -> None:
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":  # never in files; the reference's table still has its size of 2023
            continue
        assert (TENSOR_TYPES[int(kind)].block, TENSOR_TYPES[int(kind)].size) == (block, size)
        assert TENSOR_TYPES[int(kind)].name == kind.name
    for kind in gguf.LlamaFileType:
        short = kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        assert short == "GUESSED" or FILE_TYPES[int(kind)] == short


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bad_file_is_refused_with_its_reason(kind: str, tmp_path: Path) -> None:
    content, expected = BROKEN[kind]
    path = tmp_path / f"{kind}.gguf"
    path.write_bytes(content)
    message = reason(path)
    assert expected in message


def test_per_layer_heads_and_an_explicit_head_size_are_fine(tmp_path: Path) -> None:
    file = llama(llama_attention_head_count=number(5), llama_attention_head_count_kv=array(4, [1, 5]))
    file.set("llama.attention.key_length", number(48))
    facts = facts_of(read_header(file.write(tmp_path / "x.gguf")))
    assert (facts.heads, facts.kv_heads, facts.key_length) == ((5, 5), (1, 5), 48)


@pytest.mark.parametrize("kind", NO_GGUF)
def test_what_only_has_the_name_of_a_gguf_is_called_what_it_is(kind: str, tmp_path: Path) -> None:
    content, expected = NO_GGUF[kind]
    path = tmp_path / "модель.gguf"
    path.write_bytes(content)
    message = reason(path)
    assert expected in message
    assert message.startswith("модель.gguf cannot be loaded: ")


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").mkdir()
    assert "it is a folder" in reason(tmp_path / "x.gguf")
    assert "No such file" in reason(tmp_path / "nothing.gguf")


def test_every_cut_of_a_good_file_is_refused(tmp_path: Path) -> None:
    whole = llama().bytes()
    path = tmp_path / "cut.gguf"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadModelFile):
            read_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_bytes_gives_anything_but_a_header_or_a_reason(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(llama().bytes()[:1200])
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(4, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.gguf"
    path.write_bytes(raw)
    try:
        facts_of(read_header(path))
    except BadModelFile as error:
        assert error.message.strip()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(max_size=40), min_size=1, max_size=40), window=st.integers(16, 3000))
def test_long_vocabularies_are_walked_right_at_every_window_border(
    tmp_path: Path, words: list[str], window: int
) -> None:
    words = (words * 1200)[:1200]
    pairs = [("tokenizer.ggml.tokens", array(STRING, words)), ("after", number(7)), ("last", string("the end"))]
    path = File(pairs, data=64).write(tmp_path / "long.gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WINDOW", window)
        header = read_header(path)
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(STRING, len(words))
    assert header.metadata["after"] == 7
    assert header.metadata["last"] == "the end"


def big_vocabulary(path: Path) -> Path:
    tokens = b"".join(text(f"токен{i}") for i in range(151_936))
    merges = b"".join(text(f"m{i} n{i}") for i in range(151_387))
    file = llama()
    file.set("tokenizer.ggml.tokens", Value(ARRAY, struct.pack("<IQ", STRING, 151_936) + tokens))
    file.set("tokenizer.ggml.merges", Value(ARRAY, struct.pack("<IQ", STRING, 151_387) + merges))
    file.set("tokenizer.ggml.scores", Value(ARRAY, struct.pack("<IQ", F32, 151_936) + bytes(4 * 151_936)))
    return file.write(path)


def test_a_big_vocabulary_costs_little_memory(tmp_path: Path) -> None:
    path = big_vocabulary(tmp_path / "big.gguf")
    tracemalloc.start()
    try:
        facts = facts_of(read_header(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert facts.vocabulary == 151_936
    assert peak < 16 << 20


def test_hostile_counts_cost_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    with path.open("wb") as file:
        file.write(File(n_pairs=60_000, pairs=[("a", array(U64, [], 1 << 27))]).bytes())
        file.truncate(2 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(BadModelFile):
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


def test_the_reader_is_not_harmed_by_a_file_that_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = big_vocabulary(tmp_path / "shrinking.gguf")
    needed = module._Reader.need

    def shrink(self: module._Reader, count: int) -> None:
        if self.position > 1000 and path.stat().st_size > 2000:
            with path.open("rb+") as file:
                file.truncate(2000)
        needed(self, count)

    monkeypatch.setattr(module._Reader, "need", shrink)
    with pytest.raises(BadModelFile, match="shorter while"):
        read_header(path)


def test_the_engine_is_never_given_what_would_end_its_process(tmp_path: Path) -> None:
    """The two edits that abort llama.cpp (measured) do not pass; a bool is no number either."""
    for value in (number(0), number(0xFFFFFFFF), number(1, BOOL)):
        assert "block_count" in reason(llama(llama_block_count=value).write(tmp_path / "x.gguf"))


@pytest.mark.model
def test_the_real_models(starter_path: Path, gemma_path: Path) -> None:
    smol, gemma = facts_of(read_header(starter_path)), facts_of(read_header(gemma_path))
    assert (smol.architecture, smol.quantisation, smol.layers, smol.context) == ("llama", "Q4_1", 30, 8192)
    assert (set(smol.heads), set(smol.kv_heads), smol.key_length, smol.vocabulary) == ({9}, {3}, 64, 49152)
    assert smol.quantisation_in_words().startswith("4-bit")
    assert smol.quantisation_in_words("ru").startswith("4 бита")
    assert smol.chat_template and smol.licence == "apache-2.0"
    assert round(smol.parameters / 1e6) == 135
    assert (gemma.architecture, gemma.sliding_window, gemma.key_length, gemma.vocabulary) == (
        "gemma3",
        512,
        256,
        262144,
    )
    assert not gemma.chat_template


def test_reading_does_not_import_the_gguf_package() -> None:
    code = "import sys; import webui.hub.library; sys.exit('gguf' in sys.modules or 'llama_cpp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_vocabulary_that_ends_early_is_a_download_that_broke_off(tmp_path: Path) -> None:
    """Its length cannot be true, but it is one that a whole file may have."""
    content = File([("tokenizer.ggml.tokens", array(STRING, [], 150_000))], data=0).bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelFile, match="cut off or damaged"):
        read_header(path)
