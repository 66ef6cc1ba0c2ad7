"""Presence penalty: subtracts the same amount from every token that was used, once."""

from __future__ import annotations

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import used_tokens, window
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    used, strengths, _ = used_tokens(context.history, values)
    positions, there = candidates.find(used)
    positions = positions[there]
    candidates.put(positions, candidates.logits[positions] - values["presence_penalty"] * strengths[there])
    context.note(tokens=len(positions))


SAMPLER = Sampler(
    name="presence_penalty",
    title=Text("Presence penalty", "Штраф за присутствие"),
    summary=Text(
        "Lowers every token that was used by the same amount, so that new words and topics come up.",
        "Понижает каждый уже использованный токен на одну и ту же величину, чтобы появлялись новые слова и темы.",
    ),
    formula="l − {presence_penalty}",
    family="penalty",
    order=3,
    flavours=("generic", "exllamav3"),
    params=(
        Param(
            name="presence_penalty",
            label=Text("Presence penalty", "Штраф за присутствие"),
            help=Text(
                "How much a token loses once it has been used at all; 0 is off, below 0 rewards it.",
                "Сколько теряет токен, если он уже встречался хотя бы раз; 0 — выкл., ниже 0 поощряет.",
            ),
            default=0.5,
            slider=(0.0, 2.0),
            legal=(-2.0, 5.0),
            step=0.05,
            neutral=0.0,
            aliases=("presence_pen",),
            short=(
                "presence",
                "present",
            ),
        ),
        *window(),
    ),
    apply=apply,
)
