"""Encoder repetition penalty: favours (above 1) or avoids (below 1) the tokens of the prompt."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    factor = values["encoder_repetition_penalty"]
    prompt = np.unique(context.history.tokens[: context.history.prompt_length])
    positions, there = candidates.find(prompt)
    positions = positions[there]
    logits = candidates.logits[positions].astype(np.float64)
    candidates.put(positions, np.where(logits > 0, logits * factor, logits / factor))
    context.note(tokens=len(positions))


SAMPLER = Sampler(
    name="encoder_repetition_penalty",
    title=Text("Prompt faithfulness", "Верность запросу"),
    summary=Text(
        "Favours the words of the prompt: the repetition penalty turned round, for what the user wrote.",
        "Поощряет слова запроса: штраф за повторы наоборот, применённый к тому, что написал пользователь.",
    ),
    formula="l > 0: l · {encoder_repetition_penalty}; else l / {encoder_repetition_penalty}",
    family="penalty",
    order=4,
    params=(
        Param(
            name="encoder_repetition_penalty",
            label=Text("Encoder repetition penalty", "Верность запросу"),
            help=Text(
                "Above 1 keeps the reply closer to the words of the prompt, below 1 away from them; 1 is off.",
                "Выше 1 держит ответ ближе к словам запроса, ниже 1 — дальше от них; 1 — выкл.",
            ),
            default=1.1,
            slider=(0.8, 1.5),
            legal=(0.01, 3.0),
            neutral=1.0,
            aliases=("encoder_rep_pen",),
            short=(
                "penalty",
                "hallucinations_penalty",
            ),
        ),
    ),
    apply=apply,
)
