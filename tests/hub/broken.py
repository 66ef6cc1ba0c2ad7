"""Broken model files, each with the words that must say what is wrong with it.

Names in capitals are those of llama.cpp's own tests where it has such a test. Used by the reader's tests, and by
tests/faults, which gives the same files to the whole program.
"""

from __future__ import annotations

import struct

from tests.hub.build import ARRAY, STRING, U8, File, TensorSpec, Value, array, llama, number, string


def _aligned_otherwise() -> File:
    """It says 128, and its tensors lie as 32 has them."""
    file = File([("general.alignment", number(128))], [TensorSpec("a", (8,)), TensorSpec("b", (8,))], data=500)
    file.alignment = 32
    return file


_FILES: dict[str, tuple[File, str]] = {
    "BAD_MAGIC": (File(magic=b"GGXX", data=100), "not a GGUF file"),
    "BAD_VERSION_0": (File(version=0, data=100), "version 0"),
    "BAD_VERSION_1": (File(version=1, data=100), "version 1"),
    "BAD_VERSION_FUTURE": (File(version=4, data=100), "version 4"),
    "BIG_ENDIAN": (File(version=3 << 24, data=100), "big-endian"),
    "BAD_N_TENSORS": (File(n_tensors=1 << 60, data=100), "tensors"),
    "BAD_N_KV": (File(n_pairs=1 << 60, data=100), "metadata entries"),
    "MANY_TENSORS_SMALL_FILE": (File(n_tensors=60_000, data=100), "60000 tensors"),
    "KV_BAD_KEY_SIZE": (
        File([("a" * 70_000, number(1))], data=100),
        "a metadata key claims to be 70000 bytes long",
    ),
    "KV_EMPTY_KEY": (File([("", number(1))], data=100), "key is empty"),
    "KV_BAD_TYPE": (File([("a", Value(13, b"\0" * 8))], data=100), "unknown type 13"),
    "KV_DUPLICATE_KEY": (File([("a", number(1)), ("a", number(2))], data=100), "'a' appears twice"),
    "KV_STRING_HUGE": (File([("a", Value(STRING, struct.pack("<Q", (1 << 63) - 1)))], data=100), "claims to be"),
    "KV_STRING_LONG": (File([("a", string("x" * ((1 << 20) + 1)))], data=100), "a claims to be 1048577 bytes long"),
    "KV_ARRAY_HUGE": (File([("a", array(U8, [], 1 << 62))], data=100), "claims to hold"),
    "KV_ARRAY_BAD_TYPE": (File([("a", Value(ARRAY, struct.pack("<IQ", 99, 1)))], data=100), "unknown type 99"),
    "KV_ARRAY_NESTED": (File([("a", Value(ARRAY, struct.pack("<IQ", ARRAY, 1)))], data=100), "array of arrays"),
    "KV_TOKEN_HUGE": (
        File([("a", Value(ARRAY, struct.pack("<IQ", STRING, 2000) + struct.pack("<Q", 1 << 40) + b"\0" * 20_000))]),
        "an entry of a claims",
    ),
    "BAD_ALIGN": (llama().set("general.alignment", number(33)), "alignment is 33"),
    "BAD_ALIGN_ZERO": (llama().set("general.alignment", number(0)), "alignment is 0"),
    "WRONG_TYPE_ALIGN": (llama().set("general.alignment", string("32")), "alignment is '32'"),
    "BAD_N_DIMS": (File(tensors=[TensorSpec("a", (32,), dims=1000)], data=100), "1000 dimensions"),
    "NO_DIMS": (File(tensors=[TensorSpec("a", ())], data=100), "0 dimensions"),
    "ZERO_DIM": (File(tensors=[TensorSpec("a", (32, 0))], data=100), "impossible shape"),
    "BAD_SHAPE": (File(tensors=[TensorSpec("a", ((1 << 64) - 32, 32))], data=100), "impossible shape"),
    "NE_TOO_BIG": (File(tensors=[TensorSpec("a", (1 << 62,))], data=100), "past the end"),
    "NBYTES_TOO_BIG": (File(tensors=[TensorSpec("a", (1 << 32, 1 << 32))], data=100), "impossible shape"),
    "BAD_TENSOR_TYPE": (File(tensors=[TensorSpec("a", (32,), 99)], data=100), "unknown type 99"),
    "REMOVED_TENSOR_TYPE": (File(tensors=[TensorSpec("a", (32,), 4)], data=100), "unknown type 4"),
    "NO_WHOLE_BLOCKS": (File(tensors=[TensorSpec("a", (33,), 8)], data=100), "not whole blocks"),
    "BAD_OFFSET": (File(tensors=[TensorSpec("a", (32,), offset=1)], data=500), "not aligned"),
    "TENSORS_BAD_NAME_SIZE": (File(tensors=[TensorSpec("a" * 70_000)], data=80_000), "name claims to be 70000 bytes"),
    "NBYTES_PAD_WRAP": (File(tensors=[TensorSpec("a", ((1 << 61) - 8,))], data=100), "past the end"),
    "OFFSET_WRAPS": (File(tensors=[TensorSpec("a", (32,), offset=(1 << 64) - 32)], data=500), "past the end"),
    "INCONSISTENT_ALIGN": (_aligned_otherwise(), "not aligned"),
    "DUPLICATE_NAME": (File(tensors=[TensorSpec("a"), TensorSpec("a")], data=500), "'a' appears twice"),
    "NO_ARCHITECTURE": (llama(general_architecture=None), "which architecture"),
    "BLOCK_COUNT_0": (llama(llama_block_count=number(0)), "llama.block_count is 0, and 1 to 512"),
    "BLOCK_COUNT_MAX": (llama(llama_block_count=number(0xFFFFFFFF)), "llama.block_count is 4294967295"),
    "BLOCK_COUNT_MISSING": (llama(llama_block_count=None), "llama.block_count is missing"),
    "BLOCK_COUNT_TEXT": (llama(llama_block_count=string("2")), "llama.block_count is '2'"),
    "NO_HEADS": (llama(llama_attention_head_count=number(0)), "head_count is missing or 0"),
    "MANY_HEADS": (llama(llama_attention_head_count=number(5000)), "head_count is 5000"),
    "KV_HEADS_ABOVE_HEADS": (llama(llama_attention_head_count_kv=number(8)), "head_count_kv is larger"),
    "HEADS_DO_NOT_DIVIDE": (llama(llama_attention_head_count=number(5)), "cannot be divided among 5 heads"),
    "EMBEDDING_0": (llama(llama_embedding_length=number(0)), "embedding_length is 0"),
    "CONTEXT_0": (llama(llama_context_length=number(0)), "context_length is 0"),
    "CONTEXT_HUGE": (llama(llama_context_length=number(1 << 25)), "context_length is 33554432"),
    "HEADS_OF_FEWER_LAYERS": (llama(llama_attention_head_count_kv=array(4, [2])), "1 values for 2 layers"),
}

BROKEN: dict[str, tuple[bytes, str]] = {
    **{kind: (file.bytes(), words) for kind, (file, words) in _FILES.items()},
    "DATA_NOT_ENOUGH": (llama().bytes()[:-64], "'output.weight' reaches 64 bytes past the end"),
}
"""GGUF files that are damaged, cut off or absurd."""

NO_GGUF: dict[str, tuple[bytes, str]] = {
    "EMPTY": (b"", "it is empty"),
    "ONE_BYTE": (b"G", "not a GGUF file"),
    "WEB_PAGE": (b"<!DOCTYPE html><html><head>404", "web page"),
    "LOGIN_PAGE": (b"\n <html>login</html>" + b" " * 40, "web page"),
    "LFS_POINTER": (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS pointer"),
    "ZIP": (b"PK\x03\x04" + b"\0" * 40, "zip archive"),
    "PICKLE": (b"\x80\x04\x95" + b"\0" * 40, "pickle"),
    "OLD_GGML": (b"tjgg" + b"\0" * 40, "old GGML format"),
    "SAFETENSORS": (struct.pack("<Q", 100) + b'{"__metadata__"' + b"\0" * 40, "safetensors"),
    "MAGIC_ONLY": (b"GGUF", "ends in the middle"),
    "VERSION_ONLY": (b"GGUF" + struct.pack("<I", 3), "ends in the middle"),
}
"""Files that only have the name of a GGUF."""
