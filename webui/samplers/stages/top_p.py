"""Top-p (nucleus sampling): keeps the smallest set of likeliest tokens that reaches a given probability."""

from __future__ import annotations

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    crossing = values["flavour"] != "exllama"  # exllama drops the token that crosses the limit
    candidates.keep_prefix(values["top_p"], values["min_keep"], crossing=crossing)


SAMPLER = Sampler(
    name="top_p",
    title=Text("Top-p", "Top-p"),
    summary=Text(
        "Keeps the smallest set of likeliest tokens whose probabilities add up to a share of the whole.",
        "Оставляет наименьший набор самых вероятных токенов, чьи вероятности в сумме дают заданную долю.",
    ),
    formula="Σ p (best first) ≥ {top_p}",
    family="cut",
    order=50,
    aliases=("nucleus",),
    flavours=("generic", "exllama"),
    params=(
        Param(
            name="top_p",
            label=Text("Top-p", "Top-p"),
            help=Text(
                "The share of the probability that is kept, likeliest tokens first; the rest is cut. 1 is off.",
                "Какая доля вероятности остаётся, начиная с самых вероятных токенов; остальное отсекается. 1 — выкл.",
            ),
            default=0.95,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=1.0,
            short=("p",),
        ),
        min_keep(),
    ),
    apply=apply,
)
