"""Epsilon cutoff: cuts every token below a fixed probability."""

from __future__ import annotations

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    candidates.keep_likelier(values["epsilon_cutoff"], values["min_keep"])
    context.note(threshold=values["epsilon_cutoff"])


SAMPLER = Sampler(
    name="epsilon_cutoff",
    title=Text("Epsilon cutoff", "Отсечка эпсилон"),
    summary=Text("Cuts every token below a fixed probability.", "Отсекает все токены ниже фиксированной вероятности."),
    formula="p ≥ {epsilon_cutoff}",
    family="cut",
    order=70,
    aliases=("epsilon",),
    params=(
        Param(
            name="epsilon_cutoff",
            label=Text("Epsilon", "Эпсилон"),
            help=Text(
                "The probability below which a token is cut (0.0003 is 3 where 1/10 000 is the unit); 0 is off.",
                "Вероятность, ниже которой токен отсекается (0,0003 — это 3 там, где считают в 1/10 000); 0 — выкл.",
            ),
            default=0.0003,
            slider=(0.0, 0.01),
            legal=(0.0, 1.0),
            step=0.0001,
            neutral=0.0,
            short=("epsilon",),
            field_unit=1e-4,
        ),
        min_keep(),
    ),
    apply=apply,
)
