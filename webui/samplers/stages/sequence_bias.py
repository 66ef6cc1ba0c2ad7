"""Sequence bias: pushes the last token of a chosen sequence up or down when its beginning has just been written."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    amounts: dict[int, float] = {}
    for sequence, bias in values["sequence_bias"]:
        begun = len(sequence) - 1
        if begun == 0 or context.history.tokens[-begun:].tolist() == list(sequence[:-1]):
            amounts[sequence[-1]] = amounts.get(sequence[-1], 0.0) + bias
    tokens = np.fromiter(amounts.keys(), dtype=np.int64, count=len(amounts))
    positions, there = candidates.find(tokens)
    added = np.fromiter(amounts.values(), dtype=np.float64, count=len(amounts))[there]
    candidates.put(positions[there], candidates.logits[positions[there]] + added)
    context.note(tokens=len(added))


SAMPLER = Sampler(
    name="sequence_bias",
    title=Text("Sequence bias", "Смещение последовательностей"),
    summary=Text(
        "Pushes whole phrases: once a phrase has begun, its last token is made likelier or less likely.",
        "Подталкивает целые фразы: когда фраза начата, её последний токен делается вероятнее или маловероятнее.",
    ),
    formula="l + bias, if the sequence has begun",
    family="penalty",
    order=8,
    params=(
        Param(
            name="sequence_bias",
            label=Text("Sequences", "Последовательности"),
            help=Text(
                "Sequences of token ids, each with what is added to the logit of its last token.",
                "Последовательности номеров токенов и то, что прибавляется к логиту последнего из них.",
            ),
            kind="sequences",
            default=(),
            neutral=(),
            short=("bias",),
        ),
    ),
    apply=apply,
)
