"""Frequency penalty: subtracts from a token as often as it was used."""

from __future__ import annotations

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import used_tokens, window
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    used, _, counts = used_tokens(context.history, values)
    positions, there = candidates.find(used)
    positions = positions[there]
    candidates.put(positions, candidates.logits[positions] - values["frequency_penalty"] * counts[there])
    context.note(tokens=len(positions))


SAMPLER = Sampler(
    name="frequency_penalty",
    title=Text("Frequency penalty", "Штраф за частоту"),
    summary=Text(
        "Lowers a token by as much as it was used: the more often, the less likely again.",
        "Понижает токен тем сильнее, чем чаще он встречался.",
    ),
    formula="l − {frequency_penalty} · count",
    family="penalty",
    order=2,
    flavours=("generic", "exllamav3"),
    params=(
        Param(
            name="frequency_penalty",
            label=Text("Frequency penalty", "Штраф за частоту"),
            help=Text(
                "How much a token loses for each time it was used; 0 is off, below 0 rewards it.",
                "Сколько теряет токен за каждое своё появление; 0 — выкл., ниже 0 поощряет.",
            ),
            default=0.5,
            slider=(0.0, 2.0),
            legal=(-2.0, 5.0),
            step=0.05,
            neutral=0.0,
            aliases=(
                "frequency_pen",
                "freq_pen",
            ),
            short=(
                "frequency",
                "freq",
            ),
        ),
        *window(),
    ),
    apply=apply,
)
