"""Tokens and numbers as people read them: nothing invisible, nothing that could disturb the line it stands in.

Pure text; knows nothing of HTML, and never makes any.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from typing import Protocol

_NAMES = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽"}
_THIN = "\u202f"
LONGEST = 60


class Texts(Protocol):
    """What tokens are called, by id; a list of strings is one."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, token: int, /) -> str: ...


def visible(text: str, token: int = -1) -> str:
    """A token's text with blanks, control and formatting characters shown; a token without any text by its id."""
    if not text:
        return f"⟨{token}⟩" if token >= 0 else "⟨⟩"
    shown = "".join(_visible(character) for character in text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _visible(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    # Formatting (zero-width, right-to-left marks), separators, surrogates, private and unassigned characters.
    if unicodedata.category(character)[0] in "CZ":
        return f"⟨{code:04X}⟩"
    return f"◌{character}" if unicodedata.combining(character) else character


def localized(text: str, language: str) -> str:
    """A number in plain notation with the language's decimal sign."""
    return text.replace(".", ",") if language == "ru" else text


def number(value: float, language: str = "en") -> str:
    """Three significant digits, never in exponents where people would not use them."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return count(int(value))
    size = abs(value)
    if size >= 1000:
        return count(round(value))
    if size < 1e-4:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return localized(mantissa, language).replace("-", "−") + "·10" + raised
    digits = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return localized(text, language).replace("-", "−")


def given(value: float, language: str = "en") -> str:
    """A value somebody set: exactly, not rounded."""
    return localized(f"{value:g}", language).replace("-", "−")


def count(value: int) -> str:
    """A whole number, its thousands set apart."""
    return f"{value:,}".replace(",", _THIN).replace("-", "−")


def percent(share: float, language: str = "en") -> str:
    """A share of one: more digits the smaller it is, and never rounded up to all or down to nothing."""
    value = share * 100
    if value <= 0:
        text = "0"
    elif value < 0.001:
        text = "<0.001"
    elif value < 0.1:
        text = f"{value:.3f}"
    elif value < 10:
        text = f"{value:.2f}"
    elif 99.95 <= value < 100:
        text = ">99.9"
    else:
        text = f"{value:.1f}"
    if "." in text and text[0] not in "<>":
        text = text.rstrip("0").rstrip(".")
    return f"{localized(text, language)}{_THIN}%"
