"""Probabilities of tokens in the two forms OpenAI has for them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from webui.types import Token

FLOOR = -9999.0
"""Stands for minus infinity, which JSON does not have."""


def completion_logprobs(tokens: Sequence[Token], top: int, start: int = 0) -> dict[str, Any]:
    """Parallel lists; `text_offset` counts characters of the answer from `start`."""
    offsets: list[int] = []
    place = start
    for token in tokens:
        offsets.append(place)
        place += len(token.text)
    return {
        "tokens": [token.piece for token in tokens],
        "token_logprobs": [_log(token.raw) for token in tokens],
        "top_logprobs": [{text: _log(value) for text, _, value in _best(token, top)} for token in tokens]
        if top
        else None,
        "top_logprobs_ids": [{str(id): _log(value) for _, id, value in _best(token, top)} for token in tokens]
        if top
        else None,
        "text_offset": offsets,
    }


def chat_logprobs(tokens: Sequence[Token], top: int) -> dict[str, Any]:
    return {
        "content": [
            {
                **_entry(token.piece, token.raw),
                "top_logprobs": [_entry(text, value) for text, _, value in _best(token, top)],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _entry(text: str, probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": _log(probability), "bytes": list(text.encode())}


def _best(token: Token, top: int) -> list[tuple[str, int, float]]:
    """The likeliest candidates by the model's own view; two tokens of the same text show the likelier one."""
    ranked = sorted(token.alternatives, key=lambda a: a.raw, reverse=True)[:top]
    seen: dict[str, tuple[str, int, float]] = {}
    for candidate in ranked:
        seen.setdefault(candidate.text, (candidate.text, candidate.token, candidate.raw))
    return list(seen.values())


def _log(probability: float) -> float:
    return max(math.log(probability), FLOOR) if probability > 0 else FLOOR
