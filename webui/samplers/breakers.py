"""DRY's sequence breakers: from texts to tokens, once for each vocabulary.

A breaker can be one token, part of a bigger one, or spread over several: a head that ends with the breaker's beginning,
and a tail of tokens that spell the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from webui.samplers.candidates import Mask
from webui.samplers.shared import Ids
from webui.samplers.state import Tokens, Vocabulary

MAX_BYTES = 40
MAX_TAIL = 20


@dataclass(frozen=True, slots=True)
class Breakers:
    """`heads` flags by id the tokens a breaker can begin with; `tails` has, for each, what must follow (or nothing)."""

    heads: Mask
    tails: Mapping[int, tuple[tuple[int, ...], ...]]
    alone: Mask

    def limit(self, recent: Tokens) -> int:
        """How many tokens back the nearest breaker lies: no passage may be longer."""
        if not self.tails:
            return len(recent)
        known = np.clip(recent, 0, len(self.heads) - 1)
        backwards = recent[::-1]
        for back in np.flatnonzero((self.heads[known] & (known == recent))[::-1]).tolist():
            found = -1
            for tail in self.tails[int(backwards[back])]:
                size = len(tail)
                after = backwards[back - size : back][::-1]
                if found < size <= back and tuple(after.tolist()) == tail:
                    found = size
            if found >= 0:
                return int(back) - found
        return len(recent)

    def single(self, tokens: Ids) -> Mask:
        """Which of these tokens are a breaker, or have one in them, all by themselves: they are never penalised."""
        if not self.tails:
            return np.zeros(len(tokens), dtype=np.bool_)
        known = np.clip(tokens, 0, len(self.alone) - 1)
        return np.asarray(self.alone[known] & (known == tokens))


def breakers_of(vocabulary: Vocabulary, texts: tuple[str, ...]) -> Breakers:
    """Worked out once for each vocabulary and set of texts, because every piece must be looked at."""
    key = ("dry", texts)
    if key not in vocabulary.memo:
        vocabulary.memo[key] = _find(vocabulary, texts)
    found: Breakers = vocabulary.memo[key]
    return found


def _pieces(vocabulary: Vocabulary) -> list[bytes]:
    if "pieces" not in vocabulary.memo:
        pieces = vocabulary.pieces
        vocabulary.memo["pieces"] = [pieces(token) for token in range(vocabulary.size)] if pieces else []
    found: list[bytes] = vocabulary.memo["pieces"]
    return found


def _find(vocabulary: Vocabulary, texts: tuple[str, ...]) -> Breakers:
    tails: dict[int, set[tuple[int, ...]]] = {}
    pieces = _pieces(vocabulary)
    for text in texts if pieces else ():
        breaker = text.encode()[:MAX_BYTES]
        for token, piece in enumerate(pieces):
            if breaker in piece:
                tails.setdefault(token, set()).add(())
        for cut in range(1, len(breaker)):
            tail = _tail(vocabulary, breaker[cut:])
            if tail:
                for token, piece in enumerate(pieces):
                    if piece.endswith(breaker[:cut]) and breaker not in piece:
                        tails.setdefault(token, set()).add(tail)
    heads = np.zeros(max(1, vocabulary.size), dtype=np.bool_)
    alone = heads.copy()
    for token, found in tails.items():
        heads[token] = True
        alone[token] = () in found
    return Breakers(heads, {token: tuple(sorted(found)) for token, found in tails.items()}, alone)


def _tail(vocabulary: Vocabulary, rest: bytes) -> tuple[int, ...]:
    """The tokens of the rest of a breaker; nothing if it is cut within a character or cannot be tokenised."""
    try:
        text = rest.decode()
    except UnicodeDecodeError:
        return ()
    return tuple(vocabulary.tokenize(text)[:MAX_TAIL]) if vocabulary.tokenize is not None else ()
