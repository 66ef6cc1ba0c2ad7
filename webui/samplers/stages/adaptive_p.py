"""Adaptive-p: prefers tokens near a chosen probability, and steers so that the average comes out there."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Accept, Param, Sampler, Text, Values
from webui.samplers.state import Context

# The shape of the preference, as in llama.cpp: a peak of this height and width, with tails that never quite end.
_WIDTH = 0.3
_PEAK = 5.0
_SHARPNESS = 10.0


def apply(candidates: Candidates, values: Values, context: Context) -> Accept:
    target, decay = values["adaptive_target"], values["adaptive_decay"]
    weighted, weight = context.memory or (target / (1 - decay), 1 / (1 - decay))
    aim = min(1.0, max(0.0, 2 * target - weighted / weight))
    before = candidates.copy()
    probabilities = candidates.probabilities()
    distance = np.abs(probabilities - aim) / _WIDTH
    preference = _PEAK - _SHARPNESS * distance * distance / (1 + distance)
    preference[candidates.logits == -np.inf] = -np.inf
    candidates.replace(preference, is_sorted=False)
    context.note(aim=aim, average=weighted / weight)

    def accept(token: int) -> tuple[float, float]:
        position, there = before.find(np.array([token]))
        chosen = float(probabilities[position[0]]) if there[0] else 0.0
        return chosen + decay * weighted, 1 + decay * weight

    return accept


SAMPLER = Sampler(
    name="adaptive_p",
    title=Text("Adaptive-p", "Adaptive-p"),
    summary=Text(
        "Prefers tokens near a chosen probability and corrects itself so that the picks average out there.",
        "Предпочитает токены с вероятностью около заданной и поправляет себя, чтобы среднее держалось на ней.",
    ),
    formula="l = 5 − 10·d²/(1+d), d = |p − aim|/0.3, aim = 2·{adaptive_target} − average",
    family="select",
    order=91,
    params=(
        Param(
            name="adaptive_target",
            label=Text("Target", "Цель"),
            help=Text(
                "The probability the picks should have on average: lower is bolder; below 0 is off.",
                "Вероятность, которую выборы должны иметь в среднем: ниже — смелее; меньше 0 — выкл.",
            ),
            default=0.5,
            slider=(-0.01, 1.0),
            legal=(-1.0, 1.0),
            neutral=-0.01,
            short=("target",),
        ),
        Param(
            name="adaptive_decay",
            label=Text("Memory", "Память"),
            help=Text(
                "How long past picks are remembered: 0.9 is about ten tokens, 0.99 about a hundred.",
                "Как долго помнятся прошлые выборы: 0,9 — около десяти токенов, 0,99 — около сотни.",
            ),
            default=0.9,
            slider=(0.0, 0.99),
            legal=(0.0, 0.99),
            short=("decay",),
        ),
    ),
    apply=apply,
    off=lambda values: values["adaptive_target"] < 0,
)
