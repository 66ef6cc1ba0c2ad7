"""No-repeat n-gram: forbids any token that would complete a run of n tokens that is already there."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context, Tokens


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    banned = completing(context.history.tokens, values["no_repeat_ngram_size"])
    if len(banned):
        candidates.drop(banned)
    context.note(tokens=len(banned))


def completing(tokens: Tokens, size: int) -> Tokens:
    """The tokens that followed each earlier occurrence of the last size - 1 tokens."""
    places = len(tokens) - size + 1
    if places <= 0:
        return tokens[:0]
    matches = np.ones(places, dtype=np.bool_)
    for offset in range(size - 1):
        matches &= tokens[offset : offset + places] == tokens[len(tokens) - size + 1 + offset]
    return np.unique(tokens[np.flatnonzero(matches) + size - 1])


SAMPLER = Sampler(
    name="no_repeat_ngram",
    title=Text("No-repeat n-gram", "Запрет повтора n-грамм"),
    summary=Text(
        "Forbids repeating any run of n tokens word for word; hard, so it can also break names and phrases.",
        "Запрещает дословно повторять любую цепочку из n токенов; жёстко, может ломать имена и обороты.",
    ),
    formula="no run of {no_repeat_ngram_size} tokens twice",
    family="penalty",
    order=6,
    aliases=("no_repeat_ngram_size",),
    params=(
        Param(
            name="no_repeat_ngram_size",
            label=Text("N-gram size", "Длина n-граммы"),
            help=Text(
                "Runs of this many tokens may not occur twice; 0 is off. Below 4 it soon hurts the text.",
                "Цепочки из стольких токенов не могут повториться; 0 — выкл. Меньше 4 быстро портит текст.",
            ),
            kind="int",
            default=6,
            slider=(0, 20),
            legal=(0, 1000),
            step=1,
            neutral=0,
            short=(
                "n",
                "size",
            ),
        ),
    ),
    apply=apply,
)
