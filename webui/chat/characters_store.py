"""The characters at hand: the shipped ones and the user's, each a file of its own and perhaps a picture beside it.

Cards are kept as JSON of the version 3 format, so that other programs read them. Knows files, nothing of chats.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from webui.chat.characters import Card, parse_card
from webui.chat.characters_read import MAX_FILE, PNG, png_chunks
from webui.errors import BadValue
from webui.files import safe_child, write_atomically
from webui.settings import ROOT

SHIPPED = ROOT / "presets" / "characters"
ENDINGS = (".json", ".yaml", ".yml", ".png")
MAX_PIXELS = 24_000_000
MAX_SIDE = 1024
PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')
PICTURE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, EOFError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises for damaged pictures: nearly anything."""


class Characters:
    """`own` is the user's folder; its cards win over shipped ones of the same name."""

    def __init__(self, own: Path, shipped: Path = SHIPPED) -> None:
        self.own = own
        self.shipped = shipped

    def names(self) -> tuple[str, ...]:
        found = {path.stem for folder in (self.own, self.shipped) for path in _cards(folder)}
        return tuple(sorted(found, key=str.casefold))

    def load(self, name: str) -> Card:
        """By the file's name, with or without its ending."""
        path = self._find(name)
        if path is None:
            known = ", ".join(self.names()) or "none"
            raise BadValue(
                f"There is no character {name[:60]!r}; there are {known[:1000]}.",
                param="character",
                code="unknown_character",
                values={"name": name[:60]},
            )
        try:
            with path.open("rb") as file:
                return parse_card(file.read(MAX_FILE + 1))
        except OSError as error:
            raise BadValue(f"The character {name!r} cannot be read ({error.strerror}).", param="character") from error

    def save(self, card: Card, *, replace: str | None = None) -> str:
        """Keep a card, under a name of its own or in place of `replace`; returns the name. The picture is made anew, so
        that nothing of the stranger's file is kept but what can be seen."""
        name = replace if replace is not None else self._free(card.name)
        path = safe_child(self.own, f"{name}.json")
        picture = clean_picture(card.picture) if card.picture else None
        write_atomically(path, json.dumps(as_json(card), ensure_ascii=False, indent=2))
        if picture is not None:
            write_atomically(safe_child(self.own, f"{name}.avatar.png"), picture)
        return name

    def avatar(self, name: str) -> Path | None:
        for folder in (self.own, self.shipped):
            path = safe_child(folder, f"{name}.avatar.png")
            if path.is_file():
                return path
        return None

    def delete(self, name: str) -> None:
        for ending in (*ENDINGS, ".avatar.png"):
            safe_child(self.own, f"{name}{ending}").unlink(missing_ok=True)

    def _find(self, name: str) -> Path | None:
        stem = name.strip()
        for ending in ENDINGS:
            stem = stem.removesuffix(ending)
        for folder in (self.own, self.shipped):
            for ending in ENDINGS:
                path = safe_child(folder, f"{stem}{ending}")
                if path.is_file():
                    return path
        return None

    def _free(self, name: str) -> str:
        """A file name made of the character's that is not taken yet."""
        plain = UNSAFE.sub(" ", name)
        plain = " ".join("".join(c for c in plain if c.isprintable()).split())[:60].strip(" .")
        try:
            safe_child(self.own, f"{plain}.json")
        except BadValue:
            plain = f"Character {plain}"[:60].strip(" .") if plain else "Character"
        taken = {path.stem.casefold() for path in _cards(self.own)}
        number, free = 1, plain
        while free.casefold() in taken:
            number += 1
            free = f"{plain} {number}"
        return free


def clean_picture(data: bytes) -> bytes | None:
    """A PNG with the same picture and nothing else, at most MAX_SIDE wide and high; None if it is damaged or too large.

    Only the chunks that make the picture reach the decoder.
    """
    chunks = [(kind, content) for kind, content in png_chunks(data) if kind in PICTURE_CHUNKS]
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        return None
    width, height = struct.unpack_from(">II", chunks[0][1])
    if not 0 < width * height <= MAX_PIXELS:
        return None
    bare = PNG + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    try:
        with Image.open(io.BytesIO(bare), formats=("PNG",)) as image:
            image.load()
            shown = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
        shown.thumbnail((MAX_SIDE, MAX_SIDE))
        made = io.BytesIO()
        shown.save(made, format="PNG")
    except PICTURE_ERRORS:
        return None
    return made.getvalue()


def as_json(card: Card) -> dict[str, Any]:
    """A card in the version 3 format."""
    entries = [
        {
            "keys": list(entry.keys),
            "content": entry.content,
            "constant": entry.always,
            "enabled": entry.enabled,
            "insertion_order": entry.order,
            "extensions": {},
            "use_regex": False,
        }
        for entry in card.book
    ]
    data: dict[str, Any] = {
        "name": card.name,
        "nickname": card.nickname,
        "description": card.description,
        "personality": card.personality,
        "scenario": card.scenario,
        "first_mes": card.greetings[0] if card.greetings else "",
        "alternate_greetings": list(card.greetings[1:]),
        "mes_example": card.examples,
        "system_prompt": card.system_prompt,
        "post_history_instructions": card.last_words,
        "creator": card.creator,
        "creator_notes": card.creator_notes,
        "character_version": card.version,
        "tags": list(card.tags),
        "group_only_greetings": [],
        "extensions": {},
    }
    if entries:
        data["character_book"] = {"entries": entries, "extensions": {}}
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}


def _cards(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [p for p in folder.iterdir() if p.suffix in ENDINGS and not p.name.endswith(".avatar.png") and p.is_file()]
