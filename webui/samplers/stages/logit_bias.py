"""Logit bias: adds a number to the logits of chosen tokens."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    bias = values["logit_bias"]
    tokens = np.fromiter(bias.keys(), dtype=np.int64, count=len(bias))
    amounts = np.fromiter(bias.values(), dtype=np.float64, count=len(bias))
    finite = amounts > -np.inf
    positions, there = candidates.find(tokens)
    changed = there & finite
    candidates.put(positions[changed], candidates.logits[positions[changed]] + amounts[changed])
    candidates.drop(tokens[~finite])
    context.note(tokens=int(np.count_nonzero(there)))


SAMPLER = Sampler(
    name="logit_bias",
    title=Text("Logit bias", "Смещение логитов"),
    summary=Text(
        "Makes chosen tokens likelier or less likely by a fixed amount.",
        "Делает выбранные токены вероятнее или маловероятнее на заданную величину.",
    ),
    formula="l + bias",
    family="penalty",
    order=7,
    params=(
        Param(
            name="logit_bias",
            label=Text("Biases", "Смещения"),
            help=Text(
                "Token ids with what is added to their logits: 5 is a strong push, -100 or -inf a ban.",
                "Номера токенов и то, что прибавляется к их логитам: 5 — сильно вверх, -100 или -inf — запрет.",
            ),
            kind="biases",
            default={},
            neutral={},
            short=(
                "bias",
                "biases",
            ),
        ),
    ),
    apply=apply,
)
