"""Characters: cards of the Tavern family (PNG, JSON) and of text-generation-webui (YAML), and what models read.

A card is read into known fields of plain text; nothing in it is ever run. Knows no storage (characters_store), no page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.chat.characters_read import PNG, CardError, no_card, read_values

__all__ = ["BookEntry", "Card", "CardError", "context_of", "fill_names", "greeting_of", "parse_card"]

MAX_NAME = 200
MAX_TEXT = 1 << 20
MAX_GREETINGS = 200
MAX_TAGS = 100
MAX_ENTRIES = 2000
MAX_KEYS = 100
BOOK_SHARE = 16_000
"""Characters of lorebook that may join the context."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "char_name"),
    "nickname": ("nickname",),
    "description": ("description", "char_persona", "context"),
    "personality": ("personality",),
    "scenario": ("scenario", "world_scenario"),
    "greeting": ("first_mes", "greeting", "char_greeting"),
    "examples": ("mes_example", "example_dialogue"),
    "system_prompt": ("system_prompt",),
    "last_words": ("post_history_instructions",),
    "creator": ("creator",),
    "creator_notes": ("creator_notes", "creatorcomment"),
    "version": ("character_version",),
}
"""Our names and what the formats call them; the first that holds something counts."""

NAMES = re.compile(r"\{\{\s*(user|char)\s*\}\}|<(USER|BOT|CHAR)>", re.IGNORECASE)
ORIGINAL = re.compile(r"\{\{\s*original\s*\}\}", re.IGNORECASE)
START = re.compile(r"^\s*<START>\s*$", re.IGNORECASE | re.MULTILINE)
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A piece of background that joins the prompt when one of its keys is mentioned, or always."""

    keys: tuple[str, ...]
    content: str
    always: bool = False
    enabled: bool = True
    order: int = 100


@dataclass(frozen=True, slots=True)
class Card:
    """`greetings`: the first message and its alternatives. `last_words` stand behind the whole chat. `picture` is the
    file the card came in, if that was one."""

    name: str
    nickname: str = ""
    description: str = ""
    personality: str = ""
    scenario: str = ""
    greetings: tuple[str, ...] = ()
    examples: str = ""
    system_prompt: str = ""
    last_words: str = ""
    creator: str = ""
    creator_notes: str = ""
    version: str = ""
    tags: tuple[str, ...] = ()
    book: tuple[BookEntry, ...] = ()
    picture: bytes | None = None

    @property
    def spoken_name(self) -> str:
        return self.nickname or self.name


def parse_card(data: bytes) -> Card:
    """A card out of a PNG (chunk ccv3, else chara), JSON (version 1, 2, 3, Pygmalion's) or YAML file. CardError says in
    a sentence what is wrong; nothing else is ever raised."""
    values = read_values(data)
    if isinstance(values, dict) and isinstance(values.get("data"), dict):
        values = values["data"]
    if not isinstance(values, dict):
        raise no_card("it is no object with a name and a description")
    texts = {field: _first(values, names) for field, names in FIELDS.items()}
    name = " ".join(texts.pop("name").split())[:MAX_NAME]
    if not name:
        raise no_card("it has no name")
    if not any(texts[field] for field in ("description", "personality", "scenario", "greeting", "system_prompt")):
        raise no_card("it has a name, but neither a description nor a greeting")
    first = texts.pop("greeting")
    others = _texts(values.get("alternate_greetings"), MAX_GREETINGS)
    return Card(
        name=name,
        greetings=tuple(text for text in (first, *others) if text),
        tags=_texts(values.get("tags"), MAX_TAGS),
        book=_book(values.get("character_book")),
        picture=data if data.startswith(PNG) else None,
        **texts,
    )


def fill_names(text: str, *, user: str, char: str) -> str:
    """{{user}}, {{char}}, <USER>, <BOT> and <CHAR> become names, in one pass: a name may hold such a mark itself."""

    def name(mark: re.Match[str]) -> str:
        return user if (mark[1] or mark[2]).lower() == "user" else char

    return NAMES.sub(name, text)


def greeting_of(card: Card, user: str, which: int = 0) -> str:
    """The message the character begins with, "" if it has none; `which` counts through the alternatives."""
    if not card.greetings:
        return ""
    return fill_names(card.greetings[which % len(card.greetings)], user=user, char=card.spoken_name)


def context_of(card: Card, user: str, *, recent: str = "", default_system: str = "") -> str:
    """What the model is told of the character, as the system text. `recent`, the end of the chat, decides which entries
    of the card's book belong to it; `default_system` stands where the card's own prompt says {{original}}."""
    system = ORIGINAL.sub(lambda _: default_system, card.system_prompt)
    blocks = [system, card.description]
    if card.personality:
        blocks.append(f"{{{{char}}}}'s personality: {card.personality}")
    if card.scenario:
        blocks.append(f"Scenario: {card.scenario}")
    blocks += _mentioned(card, recent)
    examples = START.sub("", card.examples).strip()
    if examples:
        blocks.append(f"Examples of how {{{{char}}}} talks:\n{examples}")
    text = "\n\n".join(block.strip() for block in blocks if block.strip())
    return fill_names(text, user=user, char=card.spoken_name)


def _mentioned(card: Card, recent: str) -> list[str]:
    """Entries of the book by their order. Keys are plain words: a stranger's regular expression is not run."""
    lowered = recent.lower()
    found: list[str] = []
    left = BOOK_SHARE
    for entry in sorted(card.book, key=lambda entry: entry.order):
        named = entry.always or any(key.lower() in lowered for key in entry.keys)
        if entry.enabled and named and entry.content and len(entry.content) <= left:
            found.append(entry.content)
            left -= len(entry.content)
    return found


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((text for name in names if (text := _text(values.get(name)))), "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return CONTROLS.sub("", value[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")).strip()


def _texts(value: Any, most: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(text for item in value[:most] if (text := _text(item)))


def _book(value: Any) -> tuple[BookEntry, ...]:
    entries = value.get("entries") if isinstance(value, dict) else None
    if isinstance(entries, dict):  # SillyTavern's world files number them
        entries = list(entries.values())
    if not isinstance(entries, list):
        return ()
    found: list[BookEntry] = []
    for entry in entries[:MAX_ENTRIES]:
        content = _text(entry.get("content")) if isinstance(entry, dict) else ""
        if content:
            order = entry.get("insertion_order", entry.get("order"))
            found.append(
                BookEntry(
                    keys=_texts(entry.get("keys", entry.get("key")), MAX_KEYS),
                    content=content,
                    always=entry.get("constant") is True,
                    enabled=entry.get("enabled") is not False and entry.get("disable") is not True,
                    order=order if isinstance(order, int) else 100,
                )
            )
    return tuple(found)
