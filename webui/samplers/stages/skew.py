"""Skew: bends the draw itself towards the unlikely (above 0) or the likely end (below 0)."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    """Drawing with u^(e^-skew) instead of u is the same as drawing with u from bent cumulative probabilities."""
    exponent = math.exp(values["skew"])
    candidates.sort()
    probabilities = candidates.probabilities()
    cumulative = np.minimum(np.cumsum(probabilities), 1.0)
    cumulative[-1] = 1.0
    bent = np.where(probabilities > 0, np.diff(cumulative**exponent, prepend=0.0), 0.0)
    with np.errstate(divide="ignore"):
        candidates.replace(np.log(bent), is_sorted=False)
    candidates.take(bent > 0)
    context.note(exponent=exponent)


SAMPLER = Sampler(
    name="skew",
    title=Text("Skew", "Перекос"),
    summary=Text(
        "Bends the throw of the dice towards unlikely tokens (above 0) or likely ones (below 0).",
        "Смещает бросок костей к маловероятным токенам (выше 0) или к вероятным (ниже 0).",
    ),
    formula="F(p, best first) → F^(e^{skew})",
    family="select",
    order=92,
    params=(
        Param(
            name="skew",
            label=Text("Skew", "Перекос"),
            help=Text(
                "Above 0 favours what is less likely, below 0 what is likelier; 0 is off.",
                "Выше 0 — в пользу менее вероятного, ниже 0 — более вероятного; 0 — выкл.",
            ),
            default=0.5,
            slider=(-5.0, 5.0),
            legal=(-20.0, 20.0),
            neutral=0.0,
        ),
    ),
    apply=apply,
)
