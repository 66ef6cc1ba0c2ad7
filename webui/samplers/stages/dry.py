"""DRY ("don't repeat yourself"): the longer a passage is repeated word for word, the harder the next word is hit."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.breakers import breakers_of
from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import Ids
from webui.samplers.state import Context, Tokens

# ln of the largest float32: the exponent is capped where a float32 penalty would overflow, as llama.cpp does.
_FLOAT_MAX_LOG = 88.7228391


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    allowed, base = values["dry_allowed_length"], values["dry_base"]
    recent = context.history.last(values["dry_penalty_last_n"])
    breakers = breakers_of(context.vocabulary, values["dry_sequence_breakers"])
    highest = int(_FLOAT_MAX_LOG / math.log(base)) if base > 1.000001 else 0
    longest = allowed + highest if highest else len(recent)
    tokens, lengths = repeats(recent, allowed, breakers.limit(recent), longest)
    free = breakers.single(tokens)
    tokens, lengths = tokens[~free], lengths[~free]
    positions, there = candidates.find(tokens)
    positions, lengths = positions[there], lengths[there]
    if len(positions):
        penalties = values["dry_multiplier"] * np.power(float(base), lengths - allowed)
        candidates.put(positions, candidates.logits[positions] - penalties)
    context.note(tokens=len(positions), longest=int(lengths.max(initial=0)))


def repeats(recent: Tokens, allowed: int, limit: int, longest: int) -> tuple[Ids, Ids]:
    """Which tokens would go on with a passage that ends the text and was there before, and how long that passage is.

    Looks back from every earlier occurrence of the last token at once, dropping those that no longer match.
    """
    nothing = np.empty(0, dtype=np.int64)
    limit = min(limit, longest)
    if len(recent) <= allowed or limit < allowed or limit <= 0:
        return nothing, nothing
    ends, lengths = _matches(recent, limit)
    long_enough = lengths >= allowed
    following, places = np.unique(recent[ends[long_enough] + 1], return_inverse=True)
    longest_of = np.zeros(len(following), dtype=np.int64)
    np.maximum.at(longest_of, places, lengths[long_enough])
    return following, longest_of


def _matches(recent: Tokens, limit: int) -> tuple[Ids, Ids]:
    """Where the last token was before, and how far what led up to it is the same as what led up to the end."""
    count = len(recent)
    match = recent[:-1] == recent[-1]
    ends = np.flatnonzero(match)
    every = match.astype(np.int32)
    length = 1
    # A text that goes round in circles matches nearly everywhere: whole rows are then faster than lists of places.
    while length < limit and np.count_nonzero(match) * 16 > count:
        match[length:] &= recent[: count - 1 - length] == recent[count - 1 - length]
        match[:length] = False
        every += match
        length += 1
    lengths = every[ends].astype(np.int64)
    alive = np.flatnonzero(match[ends])
    for further in range(length, limit):
        starts = ends[alive] - further
        alive = alive[(starts >= 0) & (recent[starts] == recent[count - 1 - further])]
        if len(alive) == 0:
            break
        lengths[alive] += 1
    return ends, lengths


SAMPLER = Sampler(
    name="dry",
    title=Text("DRY", "DRY"),
    summary=Text(
        "Penalises only what would go on repeating a passage word for word, ever harder the longer the passage.",
        "Штрафует лишь то, что продолжило бы дословный повтор, — тем сильнее, чем длиннее повтор.",
    ),
    formula="l − {dry_multiplier} · {dry_base}^(length − {dry_allowed_length})",
    family="penalty",
    order=5,
    params=(
        Param(
            name="dry_multiplier",
            label=Text("Multiplier", "Множитель"),
            help=Text(
                "How strong the penalty is; 0.8 is the usual value, 0 is off.",
                "Сила штрафа; обычное значение — 0,8; 0 — выкл.",
            ),
            default=0.8,
            slider=(0.0, 5.0),
            legal=(0.0, 100.0),
            neutral=0.0,
            short=("multiplier",),
        ),
        Param(
            name="dry_base",
            label=Text("Base", "Основание"),
            help=Text(
                "How fast the penalty grows with every further token of a repeated passage.",
                "Как быстро растёт штраф с каждым следующим токеном повтора.",
            ),
            default=1.75,
            slider=(1.0, 4.0),
            legal=(1.0, 100.0),
            short=("base",),
        ),
        Param(
            name="dry_allowed_length",
            label=Text("Allowed length", "Допустимая длина"),
            help=Text(
                "Passages up to this length may be repeated freely.",
                "Повторы не длиннее этого не штрафуются.",
            ),
            kind="int",
            default=2,
            slider=(1, 20),
            legal=(1, 10_000),
            step=1,
            short=("allowed_length",),
        ),
        Param(
            name="dry_penalty_last_n",
            label=Text("Range", "Дальность"),
            help=Text(
                "How many of the last tokens are searched for repeats; 0 is the whole context.",
                "Среди скольких последних токенов ищутся повторы; 0 — весь контекст.",
            ),
            kind="int",
            default=0,
            slider=(0, 8192),
            legal=(0, 10_000_000),
            step=64,
            aliases=("dry_range",),
            short=(
                "range",
                "last_n",
            ),
        ),
        Param(
            name="dry_sequence_breakers",
            label=Text("Sequence breakers", "Разделители"),
            help=Text(
                "Where repeats are cut off: a passage never counts across one of these texts.",
                "Где повтор прерывается: отрывок не считается повтором через такой текст.",
            ),
            kind="texts",
            default=("\n", ":", '"', "*"),
            short=(
                "sequence_breakers",
                "breakers",
            ),
        ),
    ),
    apply=apply,
)
