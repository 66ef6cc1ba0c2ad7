"""Probabilities of tokens in the two forms OpenAI has for them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from webui.types import Token

Best = list[tuple[str, int, float]]

FLOOR = -9999.0
"""Stands for minus infinity, which JSON does not have."""


def completion_logprobs(
    tokens: Sequence[Token], top: int, start: int = 0, prompt: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Parallel lists; `text_offset` counts characters of the answer. `prompt`: the score of an echoed prompt, first."""
    texts, chosen, best, offsets = _of_prompt(prompt, top) if prompt else ([], [], [], [])
    place = start
    for token in tokens:
        offsets.append(place)
        place += len(token.text)
        texts.append(token.piece)
        chosen.append(_log(token.raw))
        best.append([(text, id, _log(value)) for text, id, value in _best(token, top)])
    return {
        "tokens": texts,
        "token_logprobs": chosen,
        "top_logprobs": [{text: value for text, _, value in one} or None for one in best] if top else None,
        "top_logprobs_ids": [{str(id): value for _, id, value in one} or None for one in best] if top else None,
        "text_offset": offsets,
    }


def _of_prompt(score: Mapping[str, Any], top: int) -> tuple[list[str], list[float | None], list[Best], list[int]]:
    pieces = score["pieces"]
    texts = [pieces[token] for token in score["tokens"]]
    chosen = [None if value is None else max(value, FLOOR) for value in score["logprobs"]]
    best = [[(pieces[id], id, max(value, FLOOR)) for id, value in one[:top]] for one in score["top"]]
    return texts, chosen, best, list(accumulate((len(text) for text in texts), initial=0))[:-1]


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


def _best(token: Token, top: int) -> Best:
    """The likeliest candidates by the model's own view; two tokens of the same text show the likelier one."""
    ranked = sorted(token.alternatives, key=lambda a: a.raw, reverse=True)[:top]
    seen: dict[str, tuple[str, int, float]] = {}
    for candidate in ranked:
        seen.setdefault(candidate.text, (candidate.text, candidate.token, candidate.raw))
    return list(seen.values())


def _log(probability: float) -> float:
    return max(math.log(probability), FLOOR) if probability > 0 else FLOOR
