"""The words of the page in its languages, out of locale/*.json, and which language a visitor gets.

Labels that Gradio shows are sent as keys (gr.I18n) and become words in the browser; everything that is made at run time
is made here. Knows nothing of components.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

LANGUAGES = ("en", "ru")
_FOLDER = Path(__file__).parent / "locale"


@cache
def load(language: str) -> Mapping[str, str]:
    """All words of one language by key."""
    return MappingProxyType(json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8")))


class Words:
    """Words of one language. A key that is missing is a bug that a test finds."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else LANGUAGES[0]
        self._words = load(self.language)

    def __call__(self, key: str, **values: Any) -> str:
        text = self._words[key]
        return text.format(**values) if values else text

    def translated(self, key: str, english: str) -> str:
        """For sentences whose English stands where they belong, in the code: the other languages have a key for it."""
        return english if self.language == LANGUAGES[0] else self._words.get(key, english)

    def problem(self, code: str, message: str, values: Mapping[str, Any]) -> str:
        """The sentence for an error. English is the error's own; other languages have one for each code (or cause), and
        a second (`.other`) for errors of that code that lack the values the first one tells."""
        cause = str(values.get("cause") or code)
        for key in (f"problem.{cause}", f"problem.{code}", f"problem.{code}.other"):
            text = self._words.get(key)
            if text is None or self.language == LANGUAGES[0]:
                continue
            try:
                return text.format(**{**values, "message": message})
            except (KeyError, IndexError):
                continue
        return message

    def number(self, value: float, digits: int) -> str:
        """A number with this language's decimal mark."""
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "ru" else text

    def starting_with(self, prefix: str) -> dict[str, str]:
        """The words a piece of the page needs in the browser, without their prefix."""
        return {key[len(prefix) :]: text for key, text in self._words.items() if key.startswith(prefix)}

    def count(self, key: str, number: int) -> str:
        """Words that change with a number: `key.one`, `key.few` (Russian), `key.many`."""
        return self(f"{key}.{_form(self.language, number)}", n=number)


def _form(language: str, number: int) -> str:
    if language != "ru":
        return "one" if number == 1 else "many"
    if number % 10 == 1 and number % 100 != 11:
        return "one"
    return "few" if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14 else "many"


def language_of(kept: str, accept_language: str) -> str:
    """The language that was chosen, else the first one of the browser's that we have."""
    if kept in LANGUAGES:
        return kept
    wanted = []
    for part in accept_language.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((-weight, tag.strip().lower().split("-")[0]))
    for _, language in sorted(wanted, key=lambda pair: pair[0]):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]
