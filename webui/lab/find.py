"""Where a token stands and what became of it, however far down it is.

Knows rows and funnels; what tokens are called is given as a list of texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from webui.lab.funnel import Funnel, in_race, share_of
from webui.lab.texts import Texts
from webui.samplers.state import Row

MOST = 20


@dataclass(frozen=True, slots=True)
class Passage:
    """A token after one stage: its rank (0 if it is out) and probability there."""

    index: int
    rank: int
    probability: float


@dataclass(frozen=True, slots=True)
class Fate:
    token: int
    rank: int
    raw: float
    final: float
    cut_by: int
    stages: tuple[Passage, ...]


def matching(wanted: str, texts: Texts, row: Row | None = None, most: int = MOST) -> list[int]:
    """Ids of tokens that are this text, then with a blank before it, then in any case, then those that contain it.

    Within each kind the likelier first. `#123` and a bare number that is no token's text mean an id.
    """
    if not wanted:
        return []
    number = wanted.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(texts):
        ids = [int(number)]
        if wanted.startswith("#"):
            return ids
    else:
        ids = []
    folded = wanted.strip().casefold() or wanted
    ranked: list[tuple[int, float, int]] = []
    for token, text in enumerate(texts):
        kind = _kind(text, wanted, folded)
        if kind is not None:
            ranked.append((kind, 0.0 if row is None else -float(row[token]), token))
    ranked.sort()
    found = [token for _, _, token in ranked if token not in ids]
    return (found + ids)[:most] if ranked and ranked[0][0] == 0 else (ids + found)[:most]


def _kind(text: str, wanted: str, folded: str) -> int | None:
    bare = text.strip()
    if text == wanted or (bare == wanted and bare):
        return 0
    if wanted not in text and folded not in text.casefold():
        return None
    if bare == wanted.strip() and bare:
        return 1
    if bare.casefold() == folded:
        return 2
    return 3 if text.casefold().lstrip().startswith(folded) else 4


def fate(funnel: Funnel, token: int) -> Fate:
    """A token's way through the stages that are on."""
    one = np.array([token])
    passages: list[Passage] = []
    for stage in funnel.stages:
        if stage.off:
            continue
        if not in_race(stage.after, one)[0]:
            passages.append(Passage(stage.index, 0, 0.0))
            break
        logits = stage.after.logits
        position, _ = stage.after.find(one)
        rank = int(np.count_nonzero(logits > logits[position[0]])) + 1
        passages.append(Passage(stage.index, rank, float(share_of(stage.after, one)[0])))
    return Fate(
        token=token,
        rank=funnel.row.rank(token),
        raw=float(funnel.row.raw(one)[0]),
        final=float(funnel.final_probabilities(one)[0]),
        cut_by=int(funnel.cut_by(one)[0]),
        stages=tuple(passages),
    )
