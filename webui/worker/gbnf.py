"""GBNF as people write it, made into what the compiler of constraints takes. Pure text; knows nothing of tokens.

llguidance's own reader drops brackets around a repetition that is repeated, misreads some escapes, and has no room for
a rule called "start".
"""

from __future__ import annotations

import re

_PARTS = re.compile(
    r"""
    (?P<text>"(?:\\.|[^"\\])*" | \[(?:\\.|[^\]\\])*\])
    | (?P<comment>\#[^\n]*)
    | (?P<name>[A-Za-z0-9_-]+)
    | (?P<group>(?<=[*+?})])\s*\)(?=[ \t]*[*+?{]))
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(\\|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2})")
_TAKEN, _FREE = "start", "start-rule"


def prepared(text: str) -> str:
    """The same grammar, every part of which the compiler reads as it was meant."""

    def part(match: re.Match[str]) -> str:
        found = match.group()
        if match["text"]:
            return _ESCAPE.sub(_character, found)
        if match["group"]:
            # A second, empty part: only around several the brackets are kept.
            return f' ""{found}'
        return _FREE if match["name"] == _TAKEN else found

    return _PARTS.sub(part, text)


def _character(match: re.Match[str]) -> str:
    """\\u0416 and \\xe9 as the characters themselves; what has a meaning of its own keeps its backslash."""
    code = match.group(1)
    if code == "\\":
        return match.group()
    number = int(code[1:], 16)
    if not 32 <= number < 0x110000 or 0xD800 <= number < 0xE000:
        return match.group()
    found = chr(number)
    return "\\" + found if found in '"\\[]-^' else found
