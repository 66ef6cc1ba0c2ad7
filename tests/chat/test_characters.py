"""Character cards of every kind, and strangers' files that only look like one."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from webui.chat.characters import BookEntry, Card, CardError, context_of, fill_names, greeting_of, parse_card
from webui.chat.characters_store import SHIPPED, Characters, as_json, clean_picture
from webui.errors import BadValue

V1 = {
    "name": "Ada",
    "description": "{{char}} counts.",
    "personality": "exact",
    "scenario": "A mill.",
    "first_mes": "Hello, {{user}}.",
    "mes_example": "<START>\n{{user}}: Hi\n{{char}}: 1, 2.",
}
V2 = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        **V1,
        "name": "Ada Two",
        "alternate_greetings": ["Good day.", "", 5, "Again?"],
        "system_prompt": "{{original}} Stay in role.",
        "post_history_instructions": "Be exact.",
        "creator": "me",
        "creator_notes": "<script>alert(1)</script>",
        "tags": ["maths", 7],
        "character_version": "1",
        "character_book": {
            "entries": [
                {"keys": ["Mill"], "content": "The mill is old.", "insertion_order": 2, "enabled": True},
                {"keys": [], "content": "It is 1843.", "insertion_order": 1, "constant": True},
                {"keys": ["mill"], "content": "Never.", "enabled": False},
                {"keys": ["("], "content": "No pattern.", "use_regex": True},
                "nonsense",
            ]
        },
    },
}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0", "data": {**V2["data"], "name": "Ada Three", "nickname": "A3"}}  # type: ignore[dict-item]
YAML = "name: Ada\ngreeting: |-\n  Hello, {{user}}.\n  Sit down.\ncontext: |-\n  {{char}} counts: always.\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*texts: bytes, size: tuple[int, int] = (8, 6)) -> bytes:
    """A picture with these chunks in front of its end."""
    made = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(made, format="PNG")
    data = made.getvalue()
    end = data.rindex(b"IEND") - 4
    return data[:end] + b"".join(texts) + data[end:]


def packed(card: Any) -> bytes:
    return base64.b64encode(json.dumps(card, ensure_ascii=False).encode())


def text_chunk(name: str, card: Any) -> bytes:
    return chunk(b"tEXt", name.encode() + b"\0" + packed(card))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (json.dumps(V1).encode(), "Ada"),
        (b"\xef\xbb\xbf  " + json.dumps(V2).encode(), "Ada Two"),
        (json.dumps(V3).encode(), "Ada Three"),
        (png(text_chunk("chara", V1)), "Ada"),
        (png(text_chunk("chara", V2), text_chunk("ccv3", V3)), "Ada Three"),
        (png(text_chunk("ccv3", V3), text_chunk("chara", V2)), "Ada Three"),
        (png(text_chunk("Chara", V2)), "Ada Two"),
        (png(chunk(b"tEXt", b"ccv3\0broken!"), text_chunk("chara", V2)), "Ada Two"),
        (png(chunk(b"zTXt", b"chara\0\0" + zlib.compress(packed(V1)))), "Ada"),
        (png(chunk(b"iTXt", b"chara\0\1\0en\0\0" + zlib.compress(packed(V1)))), "Ada"),
        (png(chunk(b"iTXt", b"chara\0\0\0\0\0" + packed(V1))), "Ada"),
        (png(text_chunk("chara", V1))[:-13], "Ada"),
        (YAML.encode(), "Ada"),
        (json.dumps({"char_name": "Ada", "char_persona": "Counts.", "char_greeting": "Hi"}).encode(), "Ada"),
        (json.dumps({"name": " Ada \n Lovelace ", "context": "Counts."}).encode(), "Ada Lovelace"),
        ('{"name": "Ада", "description": "Считает.", "name": "Анна"}'.encode(), "Анна"),
    ],
)
def test_every_kind_of_card_is_read(data: bytes, name: str) -> None:
    card = parse_card(data)
    assert card.name == name
    assert card.description


def test_nothing_of_a_card_is_lost() -> None:
    card = parse_card(json.dumps(V3).encode())
    assert card.greetings == ("Hello, {{user}}.", "Good day.", "Again?")
    assert (card.nickname, card.personality, card.scenario) == ("A3", "exact", "A mill.")
    assert (card.system_prompt, card.last_words) == ("{{original}} Stay in role.", "Be exact.")
    assert (card.tags, card.creator, card.version) == (("maths",), "me", "1")
    assert card.book[0] == BookEntry(("Mill",), "The mill is old.", order=2)
    assert parse_card(json.dumps(as_json(card)).encode()) == card


def test_what_the_model_reads() -> None:
    card = parse_card(json.dumps(V2).encode())
    text = context_of(card, "Bob", recent="We went to the MILL.", default_system="You write stories.")
    assert text == (
        "You write stories. Stay in role.\n\nAda Two counts.\n\nAda Two's personality: exact\n\nScenario: A mill.\n\n"
        "It is 1843.\n\nThe mill is old.\n\nExamples of how Ada Two talks:\nBob: Hi\nAda Two: 1, 2."
    )
    assert "The mill is old." not in context_of(card, "Bob")
    assert greeting_of(card, "Bob") == "Hello, Bob."
    assert greeting_of(card, "Bob", 1) == "Good day."
    assert greeting_of(Card("x"), "Bob") == ""
    card = parse_card(json.dumps(V3).encode())
    assert context_of(card, "Bob").startswith("Stay in role.\n\nA3 counts.")


def test_names_are_filled_in_one_pass() -> None:
    assert fill_names("{{user}} <USER> {{ CHAR }} <bot> <Char>", user="U", char="C") == "U U C C C"
    assert fill_names("{{user}}", user="{{char}}", char="<USER>") == "{{char}}"
    assert fill_names("{{random:a,b}} {{user", user="U", char="C") == "{{random:a,b}} {{user"


def bomb(size: int) -> bytes:
    return zlib.compress(b"A" * size, 9)


def yaml_bomb() -> str:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    return "name: x\n" + "\n".join(lines)


NOT_CARDS: dict[str, bytes] = {
    "empty": b"",
    "spaces": b" \n\t ",
    "text": b"Once upon a time",
    "bytes": bytes(range(256)) * 4,
    "NUL": b"\0" * 1000,
    "UTF-16": json.dumps(V1).encode("utf-16"),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "png without a card": png(),
    "png signature only": b"\x89PNG\r\n\x1a\n",
    "png with another text": png(chunk(b"tEXt", b"Software\0paint")),
    "png, no base64": png(chunk(b"tEXt", b"chara\0%%%")),
    "png, wrong padding": png(chunk(b"tEXt", b"chara\0YWJ")),
    "png, base64 of nothing": png(chunk(b"tEXt", b"chara\0")),
    "png, base64 of bytes": png(chunk(b"tEXt", b"chara\0" + base64.b64encode(b"\xff\xfe\xfd"))),
    "png, base64 of text": png(chunk(b"tEXt", b"chara\0" + base64.b64encode(b"hello"))),
    "png, no separator": png(chunk(b"tEXt", b"chara")),
    "png, huge chunk length": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0xFFFFFFFF) + b"tEXtchara\0",
    "png, text larger than allowed": png(chunk(b"tEXt", b"chara\0" + b"A" * (9 << 20))),
    "zTXt bomb": png(chunk(b"zTXt", b"chara\0\0" + bomb(200 << 20))),
    "iTXt bomb": png(chunk(b"iTXt", b"ccv3\0\1\0\0\0" + bomb(200 << 20))),
    "zTXt damaged": png(chunk(b"zTXt", b"chara\0\0garbage")),
    "zTXt cut": png(chunk(b"zTXt", b"chara\0\0" + zlib.compress(packed(V1))[:20])),
    "iTXt without fields": png(chunk(b"iTXt", b"chara\0")),
    "json cut": json.dumps(V2).encode()[:-20],
    "json list": b"[]",
    "json list of cards": json.dumps([V1]).encode(),
    "json number": b"42",
    "json null": b"null",
    "json empty object": b"{}",
    "json without name": json.dumps({"description": "x"}).encode(),
    "json with a name only": json.dumps({"name": "x"}).encode(),
    "json name no text": json.dumps({**V1, "name": 5}).encode(),
    "json name empty": json.dumps({**V1, "name": " \n "}).encode(),
    "json name of controls": json.dumps({**V1, "name": "\0\x01\ud800"}).encode(),
    "json data no object": json.dumps({"spec": "chara_card_v2", "data": [1]}).encode(),
    "json data empty": json.dumps({"spec": "chara_card_v2", "data": {}}).encode(),
    "json all wrong types": json.dumps({"name": "x", "description": 1, "first_mes": [], "personality": {}}).encode(),
    "json deep": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "json deeper than allowed": b'{"name": "x", "description": "y", "a": ' + b"[" * 100 + b"]" * 100 + b"}",
    "json deep in a png": png(chunk(b"tEXt", b"chara\0" + base64.b64encode(b"[" * 100_000))),
    "json too large": b'{"name": "x", "description": "' + b"y" * (5 << 20) + b'"}',
    "json huge number": b'{"name": ' + b"9" * 100_000 + b', "description": "x"}',
    "yaml object": b"!!python/object/apply:os.system ['touch canary']",
    "yaml object inside": b"name: x\ncontext: !!python/object/apply:os.system ['touch canary']",
    "yaml name": b"name: !!python/name:os.system\ncontext: y",
    "yaml tag": b"name: !secret x\ncontext: y",
    "yaml binary": b"name: x\ncontext: !!binary aGk=",
    "yaml references": yaml_bomb().encode(),
    "yaml merge": b"a: &a {name: x}\nb:\n  <<: *a",
    "yaml self": b"&a name: *a",
    "yaml deep": b"name: " + b"[" * 5000 + b"]" * 5000,
    "yaml deep block": b"".join(b" " * n + b"a:\n" for n in range(200)),
    "yaml many": b"name: x\nl: [" + b"a," * 50_000 + b"]",
    "yaml key no text": b"? [a, b]\n: c",
    "yaml broken": b"name: 'x\ncontext: : :",
    "yaml list": b"- name: x",
    "yaml tabs": b"name:\n\t- x",
    "yaml too large": b"name: x\ncontext: " + b"y " * (1 << 20),
    "yaml without name": b"context: y\ngreeting: z",
    "yaml empty document": b"---\n...\n",
    "too large": b"{" + b" " * (33 << 20),
}


@pytest.mark.parametrize("kind", NOT_CARDS)
def test_what_is_no_card_is_refused_with_a_reason(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CardError) as caught:
        parse_card(NOT_CARDS[kind])
    assert caught.value.message.startswith("This is not a character card: ") and caught.value.message.endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_there_are_sixty_of_them() -> None:
    assert len(NOT_CARDS) >= 60


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_card_or_an_error(data: bytes) -> None:
    for start in (b"", b"{", b"\x89PNG\r\n\x1a\n", b"name: "):
        with contextlib.suppress(CardError):
            assert isinstance(parse_card(start + data), Card)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*V2["data"], "data", "x"]), inner),  # type: ignore[misc]
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*V2["data"], "data", "spec", "greeting", "context"]), JSON))  # type: ignore[misc]
def test_any_json_is_a_card_or_an_error(values: dict[str, Any]) -> None:
    for data in (json.dumps(values).encode(), png(text_chunk("chara", values))):
        try:
            card = parse_card(data)
        except CardError:
            continue
        assert card.name
        again = parse_card(json.dumps(as_json(card)).encode())
        assert again == dataclasses.replace(card, picture=None)
        assert isinstance(context_of(card, "U", recent="x"), str)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 3))
def test_a_damaged_card_is_a_card_or_an_error(place: int, value: int, cut: int) -> None:
    data = bytearray(png(text_chunk("chara", V1), text_chunk("ccv3", V3)))
    data[place % len(data)] = value
    damaged = bytes(data[: len(data) - cut * 7])
    try:
        card = parse_card(damaged)
    except CardError:
        return
    assert card.picture is None or clean_picture(card.picture) is None or parse_card(damaged).name


def test_a_saved_picture_holds_the_picture_only() -> None:
    picture = clean_picture(png(text_chunk("chara", V1), chunk(b"tEXt", b"Comment\0<script>")))
    assert picture is not None
    assert b"chara" not in picture and b"script" not in picture and b"tEXt" not in picture
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.size, image.convert("RGB").getpixel((0, 0))) == ((8, 6), (200, 30, 30))
    with Image.open(io.BytesIO(clean_picture(png(size=(3000, 2000))) or b"")) as image:
        assert image.size == (1024, 683)


def test_damaged_and_huge_pictures_are_left_out() -> None:
    whole = png()
    huge = whole.replace(struct.pack(">II", 8, 6), struct.pack(">II", 100_000, 100_000))
    for bad in (
        b"",
        whole[:40],
        huge,
        whole.replace(b"IDAT", b"IDAX"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"short"),
    ):
        assert clean_picture(bad) is None


def test_characters_are_kept_listed_and_deleted(tmp_path: Path) -> None:
    characters = Characters(tmp_path / "characters")
    card = parse_card(png(text_chunk("ccv3", V3)))
    assert characters.save(card) == "Ada Three"
    assert characters.save(card) == "Ada Three 2"
    assert {"Ada Three", "Ada Three 2", "Marlow", "Варвара"} <= set(characters.names())
    assert characters.load("Ada Three.json") == dataclasses.replace(card, picture=None)
    avatar = characters.avatar("Ada Three")
    assert avatar is not None and clean_picture(avatar.read_bytes()) is not None
    assert characters.save(dataclasses.replace(card, scenario="New."), replace="Ada Three") == "Ada Three"
    assert characters.load("Ada Three").scenario == "New."
    characters.delete("Ada Three")
    assert characters.avatar("Ada Three") is None
    with pytest.raises(BadValue, match="Marlow"):
        characters.load("Ada Three")


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "C:\\x", "CON", "..", ".", "a\0b", "x" * 199, "\u202eevil", "nul.json", "?", "  . "]
)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "characters"
    characters = Characters(folder)
    characters.save(Card(name, description="x"))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [folder]
    for attempt in (characters.load, characters.avatar, characters.delete):
        if any(mark in name for mark in '/\\:\0?"'):
            with pytest.raises(BadValue):
                attempt(name)


def test_the_shipped_characters_are_sound() -> None:
    names = Characters(SHIPPED / "none").names()
    assert len(names) == 2
    for name in names:
        card = Characters(SHIPPED / "none").load(name)
        assert card.name == name
        assert "{{" not in context_of(card, "User") + greeting_of(card, "User")
        assert "User" in greeting_of(card, "User")
