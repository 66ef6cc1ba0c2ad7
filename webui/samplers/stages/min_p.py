"""Min-p: cuts tokens that are too unlikely beside the best one."""

from __future__ import annotations

import math

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    threshold = candidates.maximum + math.log(values["min_p"])
    candidates.keep_above(threshold, values["min_keep"])
    if context.notes is not None:
        context.note(threshold_logit=threshold)


SAMPLER = Sampler(
    name="min_p",
    title=Text("Min-p", "Min-p"),
    summary=Text(
        "Cuts tokens whose probability is below a share of the best one's.",
        "Отсекает токены, чья вероятность ниже заданной доли вероятности лучшего.",
    ),
    formula="p ≥ {min_p} · p_max",
    family="cut",
    order=60,
    params=(
        Param(
            name="min_p",
            label=Text("Min-p", "Min-p"),
            help=Text(
                "How likely a token must be beside the best one: 0.05 means at least a twentieth. 0 is off.",
                "Насколько вероятен должен быть токен рядом с лучшим: 0,05 — не меньше двадцатой доли. 0 — выкл.",
            ),
            default=0.05,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=0.0,
            short=("p",),
        ),
        min_keep(),
    ),
    apply=apply,
)
