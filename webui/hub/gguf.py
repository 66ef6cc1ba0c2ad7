"""Reads the header of a GGUF file: metadata and the list of tensors, never the weights.

Everything in the file is taken as hostile: each count and length is checked before it is believed, memory stays small
whatever the file claims, and a file that the engine could choke on is refused with the reason. The file is read, not
mapped, so that one that shrinks meanwhile cannot take the process down. Knows nothing of what the keys mean for memory
or for people (models.py, memory.py do).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from webui.hub.quants import TENSOR_TYPES, TensorType
from webui.hub.reasons import BadModelFile as BadModelFile
from webui.hub.reasons import Reason, bad

MAX_ENTRIES = 65_536
MAX_STRING = 1 << 20
MAX_TOKEN = 1 << 16
MAX_KEPT = 1024
MAX_PLAUSIBLE = 1 << 20
"""Values of an array. A file that ends before so many have come is cut off; one that announces more is absurd."""
_WINDOW = 1 << 20
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
_SCALARS: Mapping[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "lfs"),
    (b"PK\x03\x04", "zip"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"tjgg", "ggml"),
    (b"fmgg", "ggml"),
    (b"lmgg", "ggml"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf", "7z"),
)


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array too long to keep (the vocabulary): its type and length are what matters."""

    type: int
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements // self.type.block * self.type.size


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights. `metadata` holds scalars, strings and short arrays; long ones as LongArray."""

    version: int
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int
    file_size: int

    @property
    def architecture(self) -> str:
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""

    def get(self, key: str, default: Any = None) -> Any:
        """A value of the model's own architecture: `get("block_count")` reads "llama.block_count"."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


class _Reader:
    """A window that walks through the file; only ever holds a little more than it is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._base = 0
        self.size = size
        self.data = b""
        self.at = 0

    @property
    def position(self) -> int:
        return self._base + self.at

    @property
    def remaining(self) -> int:
        return self.size - self.position

    def need(self, count: int) -> None:
        """Make `count` bytes stand at `at`, or refuse the file."""
        if len(self.data) - self.at >= count:
            return
        if count > self.remaining:
            raise bad("cut_header", size=self.size)
        rest = self.data[self.at :]
        self._base += self.at
        self.data = rest + self._file.read(max(count, _WINDOW))
        self.at = 0
        if len(self.data) < count:
            raise bad("shrank")

    def number(self, kind: struct.Struct) -> Any:
        self.need(kind.size)
        (value,) = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return value

    def string(self, too_long: str, key: str = "", limit: int = MAX_STRING) -> str:
        """A text; `too_long` is the reason given if its length cannot be true."""
        size = self.number(_U64)
        if size > limit or size > self.remaining:
            raise bad(too_long, key=key, size=size)
        self.need(size)
        text = self.data[self.at : self.at + size]
        self.at += size
        return text.decode("utf-8", errors="replace")

    def skip(self, count: int) -> None:
        if count > self.remaining:
            raise bad("cut_header", size=self.size)
        target = self.position + count
        self._file.seek(target)
        self._base, self.data, self.at = target, b"", 0

    def skip_strings(self, count: int, key: str) -> None:
        """Walk over `count` strings. This loop is why a vocabulary of 152k tokens takes 40 ms and not seconds."""
        unpack = _U64.unpack_from
        data, at, end = self.data, self.at, len(self.data) - 8
        for _ in range(count):
            if at > end:
                self.at = at
                self.need(8)
                data, at, end = self.data, self.at, len(self.data) - 8
            size = unpack(data, at)[0]
            if size > MAX_TOKEN:
                raise bad("long_entry", key=key, size=size)
            at += 8 + size
            if at > end + 8:
                self.at = at - size
                self.need(size)
                self.at += size
                data, at, end = self.data, self.at, len(self.data) - 8
        self.at = at


def read_header(path: Path) -> Header:
    """The checked header of `path`; BadModelFile, which names the file and the reason, if it cannot be trusted."""
    try:
        if path.is_dir():
            raise bad("folder")
        with path.open("rb") as file:
            size = path.stat().st_size
            return _read(_Reader(file, size), size)
    except BadModelFile as error:
        raise BadModelFile(error.reason, path.name) from error
    except OSError as error:
        raise BadModelFile(Reason("unreadable", {"why": error.strerror or str(error)}), path.name) from error


def _read(reader: _Reader, size: int) -> Header:
    _check_magic(reader)
    version = reader.number(_U32)
    if version == 1:
        raise bad("version_1")
    if version in (2 << 24, 3 << 24):
        raise bad("big_endian")
    if version not in (2, 3):
        raise bad("version", version=version)
    n_tensors, n_pairs = reader.number(_U64), reader.number(_U64)
    for count, too_many in ((n_tensors, "many_tensors"), (n_pairs, "many_pairs")):
        if count > MAX_ENTRIES or count > size // 16:
            raise bad(too_many, count=count)
    metadata = _metadata(reader, n_pairs)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or isinstance(alignment, bool) or alignment not in {8 << i for i in range(10)}:
        raise bad("alignment", value=repr(alignment))
    raw = _tensors(reader, n_tensors)
    start = (reader.position + alignment - 1) // alignment * alignment
    for tensor in raw:
        if tensor.offset % alignment:
            raise bad("unaligned", name=tensor.name)
        if tensor.offset + tensor.bytes > size - start:
            missing = start + tensor.offset + tensor.bytes - size
            raise bad("past_end", name=tensor.name, missing=missing)
    return Header(version, metadata, raw, start, size)


def read_beginning(file: BinaryIO, size: int) -> Mapping[str, Any]:
    """The metadata in the first `size` bytes of a GGUF file, as far as it goes: the model's dimensions stand first."""
    reader = _Reader(file, size)
    _check_magic(reader)
    version = reader.number(_U32)
    if version not in (2, 3):
        raise bad("version", version=version)
    _, n_pairs = reader.number(_U64), reader.number(_U64)
    found: dict[str, Any] = {}
    try:
        for _ in range(min(n_pairs, MAX_ENTRIES)):
            key = reader.string("long_key", limit=MAX_TOKEN)
            kind = reader.number(_U32)
            found[key] = _array(reader, key) if kind == _ARRAY else _scalar(reader, kind, key)
    except BadModelFile:
        # What comes next is cut off, or damaged: what was read stands.
        return found
    return found


def _check_magic(reader: _Reader) -> None:
    if reader.size == 0:
        raise bad("empty")
    reader.need(min(reader.size, 32))
    first = reader.data[:32]
    if first[:4] == b"GGUF":
        reader.at = 4
        return
    for magic, reason in _OTHER_FORMATS:
        if first.startswith(magic):
            raise bad(reason)
    text = first.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise bad("web_page")
    if first[8:9] == b"{":
        raise bad("safetensors_name")
    raise bad("not_gguf")


def _metadata(reader: _Reader, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(count):
        key = reader.string("long_key", limit=MAX_TOKEN)
        if not key:
            raise bad("empty_key")
        if key in found:
            raise bad("key_twice", key=key)
        kind = reader.number(_U32)
        found[key] = _array(reader, key) if kind == _ARRAY else _scalar(reader, kind, key)
    return found


def _scalar(reader: _Reader, kind: int, key: str) -> Any:
    if kind == _STRING:
        return reader.string("long_value", key)
    if kind not in _SCALARS:
        raise bad("value_type", key=key, type=kind)
    return reader.number(_SCALARS[kind])


def _array(reader: _Reader, key: str) -> Any:
    kind, count = reader.number(_U32), reader.number(_U64)
    if kind == _ARRAY:
        raise bad("nested_array", key=key)
    if kind != _STRING and kind not in _SCALARS:
        raise bad("array_type", key=key, type=kind)
    width = 8 if kind == _STRING else _SCALARS[kind].size
    if count > reader.remaining // width:
        if count <= MAX_PLAUSIBLE:
            raise bad("cut_header", size=reader.size)
        raise bad("long_array", key=key, count=count)
    if count <= MAX_KEPT:
        return tuple(_scalar(reader, kind, key) for _ in range(count))
    if kind == _STRING:
        reader.skip_strings(count, key)
    else:
        reader.skip(count * width)
    return LongArray(kind, count)


def _tensors(reader: _Reader, count: int) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    names: set[str] = set()
    for _ in range(count):
        name = reader.string("long_name", limit=MAX_TOKEN)
        if name in names:
            raise bad("tensor_twice", name=name)
        names.add(name)
        n_dims = reader.number(_U32)
        if not 1 <= n_dims <= 4:
            raise bad("dimensions", name=name, count=n_dims)
        shape = tuple(reader.number(_U64) for _ in range(n_dims))
        if any(size == 0 for size in shape) or math.prod(shape) >= 1 << 63:
            raise bad("shape", name=name, shape=shape)
        kind = reader.number(_U32)
        if kind not in TENSOR_TYPES:
            raise bad("tensor_type", name=name, type=kind)
        if shape[0] % TENSOR_TYPES[kind].block:
            raise bad("blocks", name=name, type=TENSOR_TYPES[kind].name)
        tensors.append(Tensor(name, shape, TENSOR_TYPES[kind], reader.number(_U64)))
    return tuple(tensors)
