"""What a reply must look like (GBNF, JSON schema, regular expression), as a mask over tokens, by llguidance.

Knows an engine's vocabulary; nothing of rows, samplers or requests. Everything is compiled, capped and tried before
anything is generated.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper, grammar_from
from numpy.typing import NDArray

from webui.engines.base import Engine
from webui.worker.gbnf import prepared
from webui.worker.refusals import ENDLESS, Kind, bad, first_line, too_complex

Mask = NDArray[np.bool_]

MAX_SIZE = 256 << 10
MAX_DEPTH = 200
MAX_REPEAT = 10_000
_FORMATS = {"grammar": "gbnf", "json_schema": "json_schema", "regex": "regex"}
_REPEAT = re.compile(r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")


class GrammarVocabulary:
    """A model's tokens in the form llguidance wants; takes a moment, so it is made once and only when it is needed."""

    def __init__(self, engine: Engine) -> None:
        info = engine.info
        found = [engine.piece(token) for token in range(info.n_vocab)]
        controls = [token for token in range(info.n_vocab) if not found[token]]
        for token in controls:
            found[token] = engine.piece(token, special=True)

        class Tokens:
            eos_token_id = info.end_ids[0] if info.end_ids else info.eos_id
            bos_token_id = info.bos_id if info.bos_id >= 0 else None
            tokens = found
            special_token_ids = controls

            def __call__(self, text: bytes) -> list[int]:
                return engine.tokenize(text.decode("utf-8", "replace"), add_bos=False, special=False)

        self.size = info.n_vocab
        self.tokenizer = LLTokenizer(TokenizerWrapper(Tokens()), eos_token=list(info.end_ids) or [info.eos_id])


class Constraint:
    """The state of one reply within its grammar."""

    __slots__ = ("_matcher", "_size")

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._size = size

    def allows(self, token: int) -> bool:
        return bool(self._matcher.validate_tokens([token]) == 1)

    def mask(self) -> Mask:
        """Which tokens may follow."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, bitorder="little")[: self._size].astype(np.bool_)

    def accept(self, token: int) -> None:
        self._matcher.consume_token(token)

    def rewind(self, count: int) -> None:
        if count:
            self._matcher.rollback(count)

    @property
    def finished(self) -> bool:
        """The text is complete: nothing can follow any more."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    @property
    def error(self) -> str:
        """Why the matcher gave up (a grammar can grow too costly on the way); empty if it did not."""
        return first_line(self._matcher.get_error()) if self._matcher.is_error() else ""

    def copy(self) -> Constraint:
        return Constraint(self._matcher.deep_copy(), self._size)


def compile_constraint(kind: Kind, text: str, vocabulary: GrammarVocabulary) -> Constraint:
    """A constraint at its beginning. BadValue says what is wrong with the grammar, schema or pattern."""
    check_caps(kind, text)
    try:
        grammar = grammar_from(_FORMATS[kind], prepared(text) if kind == "grammar" else text)
    except (ValueError, RecursionError) as error:
        raise bad(kind, str(error)) from error
    matcher = LLMatcher(vocabulary.tokenizer, grammar, log_level=0)
    if not matcher.is_error():
        matcher.compute_bitmask()  # some faults, a cyclic $ref for one, show only now
    if matcher.is_error():
        raise bad(kind, matcher.get_error())
    constraint = Constraint(matcher, vocabulary.size)
    if not constraint.mask().any():
        raise bad(kind, ENDLESS)
    return constraint


def check_caps(kind: Kind, text: str) -> None:
    """Refuse by size, depth and repetition what would take the compiler forever."""
    if not isinstance(text, str) or len(text) > MAX_SIZE:
        raise too_complex(kind, "constraint_long", f"shorten it to {MAX_SIZE} characters", limit=MAX_SIZE)
    if _depth(text) > MAX_DEPTH:
        words = f"brackets are nested deeper than {MAX_DEPTH}: use rules of their own"
        raise too_complex(kind, "constraint_deep", words, limit=MAX_DEPTH)
    if kind == "json_schema":
        _check_schema(kind, text)
        return
    _check_repeats(kind, text)


def _check_repeats(kind: Kind, text: str) -> None:
    for low, high in _REPEAT.findall(text):
        if max(int(low or 0), int(high or 0)) > MAX_REPEAT:
            words = f"something may repeat more than {MAX_REPEAT} times: lower that number"
            raise too_complex(kind, "constraint_repeats", words, limit=MAX_REPEAT)


def _check_schema(kind: Kind, text: str) -> None:
    try:
        schema = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise bad(kind, f"it is not JSON ({error}): correct it") from error
    if not isinstance(schema, (dict, bool)):
        raise bad(kind, "it must be an object: put {} around it")
    stack: list[Any] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for name, value in node.items():
                if name == "pattern" and isinstance(value, str):
                    _check_repeats(kind, value)
                numeric = name in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
                if numeric and isinstance(value, (int, float)) and value > MAX_REPEAT:
                    words = f"{name} is above {MAX_REPEAT}: lower it"
                    raise too_complex(kind, "constraint_repeats", words, limit=MAX_REPEAT)
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest
