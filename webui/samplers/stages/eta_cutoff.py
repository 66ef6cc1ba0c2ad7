"""Eta cutoff: like epsilon, but the limit falls where the model is unsure."""

from __future__ import annotations

import math

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    epsilon = values["eta_cutoff"]
    threshold = min(epsilon, math.sqrt(epsilon) * math.exp(-candidates.entropy()))
    candidates.keep_likelier(threshold, values["min_keep"])
    context.note(threshold=threshold)


SAMPLER = Sampler(
    name="eta_cutoff",
    title=Text("Eta cutoff", "Отсечка эта"),
    summary=Text(
        "Cuts every token below a probability that shrinks when the model is unsure.",
        "Отсекает токены ниже вероятности, которая уменьшается, когда модель не уверена.",
    ),
    formula="p ≥ min({eta_cutoff}, √{eta_cutoff} · e^(−H))",
    family="cut",
    order=71,
    aliases=("eta",),
    params=(
        Param(
            name="eta_cutoff",
            label=Text("Eta", "Эта"),
            help=Text(
                "The highest limit (0.0003 is 3 where 1/10 000 is the unit); 0 is off.",
                "Наибольший порог (0,0003 — это 3 там, где считают в 1/10 000); 0 — выкл.",
            ),
            default=0.0003,
            slider=(0.0, 0.01),
            legal=(0.0, 1.0),
            step=0.0001,
            neutral=0.0,
            short=(
                "epsilon",
                "eta",
            ),
            field_unit=1e-4,
        ),
        min_keep(),
    ),
    apply=apply,
)
