"""Repetition penalty: makes every token that has been used less likely, by a factor on its logit."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import used_tokens, window
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    penalty = values["repetition_penalty"]
    used, strengths, _ = used_tokens(context.history, values)
    positions, there = candidates.find(used)
    positions, strengths = positions[there], strengths[there]
    logits = candidates.logits[positions].astype(np.float64)
    if values["flavour"] == "exllamav2":
        factors = 1.0 + (penalty - 1.0) * strengths  # its factor fades, not its effect
        penalised = np.where(logits > 0, logits / factors, logits * factors)
    else:
        full = np.where(logits > 0, logits / penalty, logits * penalty)
        with np.errstate(invalid="ignore"):
            faded = logits + (full - logits) * strengths
        penalised = np.where((strengths == 1.0) | np.isneginf(logits), full, faded)
    candidates.put(positions, penalised)
    context.note(tokens=len(positions))


SAMPLER = Sampler(
    name="repetition_penalty",
    title=Text("Repetition penalty", "Штраф за повторы"),
    summary=Text(
        "Makes every token that was used recently less likely, by the same factor however often it was used.",
        "Понижает вероятность недавно использованных токенов; сколько раз они встречались — неважно.",
    ),
    formula="l > 0: l / {repetition_penalty}; else l · {repetition_penalty}",
    family="penalty",
    order=1,
    flavours=("generic", "exllamav2", "exllamav3"),
    params=(
        Param(
            name="repetition_penalty",
            label=Text("Repetition penalty", "Штраф за повторы"),
            help=Text(
                "The factor against used tokens: 1 is off, 1.1 is gentle, 1.3 is strong; below 1 rewards repeating.",
                "Множитель против использованных токенов: 1 — выкл., 1,1 — мягко, 1,3 — сильно; ниже 1 поощряет.",
            ),
            default=1.1,
            slider=(1.0, 1.5),
            legal=(0.01, 3.0),
            neutral=1.0,
            aliases=(
                "rep_pen",
                "repeat_penalty",
            ),
            short=(
                "penalty",
                "repeat",
            ),
        ),
        *window(),
    ),
    apply=apply,
    off=lambda values: values["repetition_penalty"] == 1.0,
)
