"""Frames between parent and worker: two little-endian u32 lengths, a JSON header, raw bytes.

Pure: bytes in, messages out. Knows nothing of sockets, so that both sides and the tests share it. No pickle: a worker
whose memory is corrupted must not own the parent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import orjson

MAX_HEADER = 16 << 20
MAX_BLOB = 1 << 30
_LENGTHS = struct.Struct("<II")

Frame = tuple[dict[str, Any], bytes]


class BadFrame(Exception):
    """The other side does not speak our frames: drop the connection."""


def pack(header: dict[str, Any], blob: bytes | memoryview = b"") -> bytes:
    """One frame as bytes."""
    text = orjson.dumps(header, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join((_LENGTHS.pack(len(text), len(blob)), text, blob))


class Unpacker:
    """Collects bytes and yields each frame once it is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= _LENGTHS.size:
            header_size, blob_size = _LENGTHS.unpack_from(self._buffer)
            if header_size > MAX_HEADER or blob_size > MAX_BLOB:
                raise BadFrame(f"frame of {header_size} + {blob_size} bytes")
            end = _LENGTHS.size + header_size + blob_size
            if len(self._buffer) < end:
                return
            header = self._header(bytes(self._buffer[_LENGTHS.size : _LENGTHS.size + header_size]))
            blob = bytes(self._buffer[_LENGTHS.size + header_size : end])
            del self._buffer[:end]
            yield header, blob

    @staticmethod
    def _header(text: bytes) -> dict[str, Any]:
        try:
            header = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BadFrame(str(error)) from error
        if not isinstance(header, dict) or not isinstance(header.get("type"), str):
            raise BadFrame("a header is an object with a type")
        return header
