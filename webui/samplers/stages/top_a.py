"""Top-a: like min-p, but the limit falls with the square of the best probability."""

from __future__ import annotations

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    best = 1.0 / candidates.total
    threshold = values["top_a"] * best * best
    candidates.keep_likelier(threshold, values["min_keep"])
    context.note(threshold=threshold)


SAMPLER = Sampler(
    name="top_a",
    title=Text("Top-a", "Top-a"),
    summary=Text(
        "Cuts tokens below a share of the best one's probability squared: strict when the model is sure.",
        "Отсекает токены ниже доли квадрата лучшей вероятности: строго, когда модель уверена.",
    ),
    formula="p ≥ {top_a} · p_max²",
    family="cut",
    order=65,
    params=(
        Param(
            name="top_a",
            label=Text("Top-a", "Top-a"),
            help=Text(
                "The share of the squared best probability that a token needs; 0 is off.",
                "Какая доля квадрата лучшей вероятности нужна токену; 0 — выкл.",
            ),
            default=0.2,
            slider=(0.0, 1.0),
            legal=(0.0, 10.0),
            neutral=0.0,
            short=("a",),
        ),
        min_keep(),
    ),
    apply=apply,
)
