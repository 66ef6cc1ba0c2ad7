"""The bytes of a character card to plain values: text chunks of a PNG, JSON, or the YAML of text-generation-webui.

Every file is a stranger's: sizes, depths and counts are limited before anything is unpacked. Knows nothing of what the
values mean.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import yaml

from webui.errors import WebUIError

MAX_FILE = 32 << 20
MAX_CHUNK = 8 << 20
MAX_JSON = 4 << 20
MAX_YAML = 1 << 20
MAX_DEPTH = 64
MAX_EVENTS = 20_000

PNG = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
CORE_TAG = "tag:yaml.org,2002:"
NOTHING = frozenset(("", "~", "null", "Null", "NULL"))


class CardError(WebUIError):
    """A file that is no usable character card; the message says why."""

    code = "bad_card"


def no_card(reason: str) -> CardError:
    return CardError(f"This is not a character card: {reason}.", values={"reason": reason})


def read_values(data: bytes) -> Any:
    """What the file holds, as dicts, lists and texts."""
    if len(data) > MAX_FILE:
        raise no_card(f"it has {len(data) >> 20} MB, at most {MAX_FILE >> 20} are allowed")
    if not data.strip():
        raise no_card("it is empty")
    if data.startswith(PNG):
        return _from_png(data)
    text = _as_text(data)
    return _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_yaml(text)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, as far as they are whole."""
    place = len(PNG)
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + size
        if end > len(data):
            return
        yield kind, data[place + 8 : end]
        place = end + 4  # behind the checksum, which many card editors get wrong
        if kind == b"IEND":
            return


def _from_png(data: bytes) -> Any:
    """The chunk "ccv3" if there is a sound one, else "chara"; both hold JSON as base64."""
    found: dict[str, bytes] = {}
    for kind, content in png_chunks(data):
        if kind in TEXTS:
            keyword, _, rest = content.partition(b"\0")
            name = keyword.decode("latin-1").lower()
            if name in ("ccv3", "chara") and name not in found:
                found[name] = _text_of(kind, rest)
    if not found:
        raise no_card("the picture holds no character (no text chunk named ccv3 or chara)")
    problem: CardError | None = None
    for name in ("ccv3", "chara"):
        if name in found:
            try:
                return _from_json(_as_text(_decoded(found[name])))
            except CardError as error:
                problem = problem or error
    assert problem is not None
    raise problem


def _text_of(kind: bytes, rest: bytes) -> bytes:
    if kind == b"tEXt":
        packed, text = False, rest
    elif kind == b"zTXt":
        packed, text = True, rest[1:]
    else:  # iTXt: packed?, method, language\0, translated keyword\0
        packed = rest[:1] == b"\1"
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if not packed:
        if len(text) > MAX_CHUNK:
            raise no_card(f"its text is larger than {MAX_CHUNK >> 20} MB")
        return text
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(text, MAX_CHUNK)
    except zlib.error as error:
        raise no_card("its packed text is damaged") from error
    if unpack.unconsumed_tail:
        raise no_card(f"its text is larger than {MAX_CHUNK >> 20} MB")
    return plain


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise no_card("its text is not base64") from error


def _as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise no_card("it is neither a PNG picture nor UTF-8 text") from error


def _from_json(text: str) -> Any:
    if len(text) > MAX_JSON:
        raise no_card(f"its JSON is larger than {MAX_JSON >> 20} MB")
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise no_card("its JSON is damaged") from error
    if _deeper_than(value, MAX_DEPTH):
        raise no_card(f"its JSON is nested deeper than {MAX_DEPTH}")
    return value


def _deeper_than(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            part for v in level if isinstance(v, dict | list) for part in (v.values() if isinstance(v, dict) else v)
        ]
        if not level:
            return False
    return True


def _from_yaml(text: str) -> Any:
    """Built from the parser's events, so that no tag can make an object and no reference can multiply a part."""
    if len(text) > MAX_YAML:
        raise no_card(f"its YAML is larger than {MAX_YAML >> 20} MB")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _built(yaml.parse(text, Loader=loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise no_card("it is neither a PNG picture nor sound JSON or YAML") from error


def _built(events: Iterator[Any]) -> Any:
    """Open containers, innermost last; in a dict a key waits for its value. All scalars stay text."""
    root: list[Any] = []
    open_: list[Any] = [root]
    keys: list[str | None] = [None]
    for number, event in enumerate(events):
        if number > MAX_EVENTS or len(open_) > MAX_DEPTH:
            raise no_card("its YAML has too many or too deeply nested parts")
        if isinstance(event, yaml.AliasEvent):
            raise no_card("its YAML uses references")
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            open_.pop()
            keys.pop()
            continue
        if not isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent):
            continue
        if event.tag and not event.tag.startswith(CORE_TAG + "str") and event.tag != "!":
            raise no_card(f"its YAML uses the tag {event.tag[:60]!r}")
        if isinstance(event, yaml.ScalarEvent):
            value: Any = "" if event.implicit[0] and event.value in NOTHING else event.value
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        _put(open_, keys, value)
        if not isinstance(value, str):
            open_.append(value)
            keys.append(None)
    if not root:
        raise no_card("it is empty")
    return root[0]


def _put(open_: list[Any], keys: list[str | None], value: Any) -> None:
    inside = open_[-1]
    if isinstance(inside, list):
        inside.append(value)
    elif keys[-1] is None:
        if not isinstance(value, str):
            raise no_card("its YAML has a key that is no text")
        keys[-1] = value
    else:
        inside[keys[-1]] = value
        keys[-1] = None
