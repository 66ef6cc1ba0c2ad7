"""Why a grammar, a JSON schema or a regular expression is refused: one sentence that says what to do, from the words of
llguidance's readers. Pure text; `values` carry the parts that change, for other languages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from webui.errors import BadValue

Kind = Literal["grammar", "json_schema", "regex"]
NAMES: dict[Kind, str] = {"grammar": "grammar", "json_schema": "JSON schema", "regex": "regular expression"}

ENDLESS = "NoExtensionBias"
"""What llguidance says of a grammar without any text, or without an end."""

_LONGEST = 300
_GBNF_PREFIX = "Failed to convert the grammar from GBNF to Lark: "
_PLACE = re.compile(r"(?:.*) at line (?P<line>\d+), (?:'.*'|\".*\") \^ (?P<near>'.*'|\".*\")$", re.DOTALL)
_NO_RULE = re.compile(r"Rule '(.+)' not found$")
_PATTERN = re.compile(r'invalid regex "(?P<pattern>.*?)" \(in regex\)')
_CAUSE = re.compile(r"^error: (.+)$", re.MULTILINE)
_KEYS = re.compile(r"Unimplemented keys: \[(.+)\]")
_POSITION = re.compile(r"^(?:at )?\d+\(\d+\): ")


@dataclass(frozen=True, slots=True)
class Reason:
    """What is wrong: the name other languages know it by, the rest of the English sentence, and its parts."""

    cause: str
    sentence: str
    values: dict[str, Any] = field(default_factory=dict)


def bad(kind: Kind, said: str) -> BadValue:
    """For what is written wrongly, or cannot be kept by any text."""
    found = (judge(said) for judge in _JUDGES[kind])
    reason = next((reason for reason in found if reason is not None), None)
    sentence = first_line(said) if reason is None else reason.sentence
    values = {"reason": sentence} if reason is None else {"reason": sentence, **reason.values, "cause": reason.cause}
    message = f"The {NAMES[kind]} cannot be used: {sentence}."
    return BadValue(message, param=kind, code=f"invalid_{kind}", values=values)


def too_complex(kind: Kind, cause: str, sentence: str, **values: Any) -> BadValue:
    message = f"The {NAMES[kind]} is too complex: {sentence}."
    values = {"reason": sentence, **values, "cause": cause}
    return BadValue(message, param=kind, code="grammar_too_complex", values=values)


def first_line(said: str) -> str:
    """The first line of what llguidance says, without the places in its own translation of the text."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it is not understood"]
    # Everything after "<state>" is llguidance's own bookkeeping.
    line = lines[0].split("<state>")[0].strip().rstrip(".").removeprefix(_GBNF_PREFIX)
    return _POSITION.sub("", line)[:_LONGEST]


def _grammar_place(said: str) -> Reason | None:
    """Where our GBNF could not be read any further."""
    match = _PLACE.match(first_line(said)) if said.startswith(_GBNF_PREFIX) else None
    if match is None:
        return None
    line, near = int(match["line"]), match["near"][1:-1]
    if not near:
        words = f"it ends in line {line} before a quote, a bracket or a rule is complete: complete it"
        return Reason("grammar_unfinished", words, {"line": line})
    values = {"line": line, "near": near}
    return Reason("grammar_syntax", f"line {line} is not understood from {near} on: correct it there", values)


def _grammar_root(said: str) -> Reason | None:
    if "No 'root' rule found" in said:
        return Reason("grammar_no_root", "no rule is called root: name the one to begin with root", {})
    if match := _NO_RULE.search(first_line(said)):
        rule = match[1]
        return Reason(
            "grammar_no_rule", f"it uses the rule {rule} and does not say what that is: add it", {"rule": rule}
        )
    return None


def _endless(said: str) -> Reason | None:
    if said.startswith(ENDLESS):
        words = "no text fits it: take out a rule that only leads back to itself"
        return Reason("constraint_endless", words, {})
    return None


def _pattern(said: str) -> Reason | None:
    """A regular expression, also one inside a grammar or a schema."""
    cause = _CAUSE.search(said)
    if cause is None or "regex parse error" not in said:
        return None
    inside = _PATTERN.search(said)
    values = {"said": cause[1], "pattern": inside["pattern"] if inside else ""}
    where = f"the pattern {values['pattern']} is not understood" if values["pattern"] else "a pattern is not understood"
    return Reason("regex_syntax", f"{where} ({cause[1]}): correct it", values)


def _schema_keys(said: str) -> Reason | None:
    if match := _KEYS.search(said):
        keys = match[1].replace('"', "")
        return Reason("schema_keys", f"{keys} cannot be kept while generating: leave it out", {"keys": keys})
    return None


_JUDGES = {
    "grammar": (_grammar_place, _grammar_root, _endless, _pattern),
    "json_schema": (_schema_keys, _endless, _pattern),
    "regex": (_endless, _pattern),
}
