"""Writes small GGUF files for tests, good ones and every kind of bad one. Independent of the reader under test."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}


@dataclass(frozen=True)
class Value:
    """A metadata value as raw type and bytes."""

    type: int
    data: bytes


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def string(value: str) -> Value:
    return Value(STRING, text(value))


def number(value: float, kind: int = U32) -> Value:
    return Value(kind, struct.pack("<" + _CODES[kind], value))


def array(kind: int, values: Sequence[Any], count: int | None = None) -> Value:
    head = struct.pack("<IQ", kind, len(values) if count is None else count)
    body = b"".join(text(item) if kind == STRING else struct.pack("<" + _CODES[kind], item) for item in values)
    return Value(ARRAY, head + body)


@dataclass(frozen=True)
class TensorSpec:
    name: str
    shape: tuple[int, ...] = (32,)
    type: int = 0
    offset: int | None = None
    dims: int | None = None


@dataclass
class File:
    """A GGUF file in the making; every count can be made to lie."""

    pairs: list[tuple[str, Value]] = field(default_factory=list)
    tensors: list[TensorSpec] = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_pairs: int | None = None
    alignment: int = 32
    data: int | None = None

    def set(self, key: str, value: Value) -> File:
        """Replace a value, or add it."""
        self.pairs = [(known, old) for known, old in self.pairs if known != key] + [(key, value)]
        return self

    def drop(self, key: str) -> File:
        self.pairs = [(known, old) for known, old in self.pairs if known != key]
        return self

    def bytes(self) -> bytes:
        head = self.magic + struct.pack(
            "<IQQ",
            self.version,
            len(self.tensors) if self.n_tensors is None else self.n_tensors,
            len(self.pairs) if self.n_pairs is None else self.n_pairs,
        )
        for key, value in self.pairs:
            head += text(key) + struct.pack("<I", value.type) + value.data
        place = 0
        for tensor in self.tensors:
            dims = len(tensor.shape) if tensor.dims is None else tensor.dims
            offset = place if tensor.offset is None else tensor.offset
            head += text(tensor.name) + struct.pack("<I", dims)
            head += b"".join(struct.pack("<Q", size) for size in tensor.shape)
            head += struct.pack("<IQ", tensor.type, offset)
            place += -(-_size(tensor) // self.alignment) * self.alignment
        padded = head + b"\0" * (-len(head) % self.alignment)
        return padded + b"\0" * (place if self.data is None else self.data)

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.bytes())
        return path


def _size(tensor: TensorSpec) -> int:
    """The bytes to write for a tensor; none for those whose size is a lie."""
    elements = 1
    for size in tensor.shape:
        elements *= size
    block, size = {0: (1, 4), 1: (1, 2), 8: (32, 34), 12: (256, 144)}.get(tensor.type, (1, 4))
    return elements // block * size if elements < 1 << 20 else 0


def llama(**changes: Value | None) -> File:
    """A tiny model with all that a header must have. A change of None leaves a key out; `_` stands for a dot."""
    pairs = {
        "general.architecture": string("llama"),
        "general.name": string("Tiny"),
        "general.license": string("mit"),
        "general.file_type": number(7),
        "llama.block_count": number(2),
        "llama.context_length": number(2048),
        "llama.embedding_length": number(64),
        "llama.feed_forward_length": number(128),
        "llama.attention.head_count": number(4),
        "llama.attention.head_count_kv": number(2),
        "tokenizer.ggml.model": string("gpt2"),
        "tokenizer.ggml.tokens": array(STRING, [f"t{i}" for i in range(32)]),
        "tokenizer.chat_template": string("{{ messages }}"),
    }
    file = File(
        list(pairs.items()), [TensorSpec("token_embd.weight", (64, 32)), TensorSpec("output.weight", (64, 32), 8)]
    )
    for key, value in changes.items():
        name = next((known for known in pairs if known.replace(".", "_") == key), key)
        file = file.drop(name) if value is None else file.set(name, value)
    return file
