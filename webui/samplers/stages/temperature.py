"""Temperature: divides the logits, so that differences grow (below 1) or shrink (above 1)."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context

# Ollama never goes below this instead of becoming greedy at 0.
_OLLAMA_FLOOR = 1e-7
_HUGE = 1e30


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    temperature = values["temperature"]
    if values["flavour"] == "ollama":
        temperature = max(temperature, _OLLAMA_FLOOR)
    divide(candidates, temperature)


def divide(candidates: Candidates, temperature: float) -> None:
    """Logits over temperature; at 0 only the likeliest token stays."""
    if temperature <= 0:
        candidates.keep_best(1)
    elif abs(candidates.maximum) > _HUGE * temperature:
        # So cold that nothing but what is exactly as likely as the best can be drawn.
        candidates.take(candidates.logits == candidates.maximum)
    else:
        exact = candidates.logits.astype(np.float64) if temperature < 0.01 else candidates.logits
        with np.errstate(over="ignore"):
            candidates.replace(exact / exact.dtype.type(temperature))


SAMPLER = Sampler(
    name="temperature",
    title=Text("Temperature", "Температура"),
    summary=Text(
        "Makes likely tokens likelier (below 1) or gives unlikely ones a chance (above 1); 0 always takes the best.",
        "Делает вероятные токены ещё вероятнее (ниже 1) или даёт шанс маловероятным (выше 1); 0 — всегда лучший.",
    ),
    formula="l / {temperature}",
    family="shape",
    order=10,
    aliases=("temp", "temperature_ext"),
    flavours=("generic", "ollama"),
    params=(
        Param(
            name="temperature",
            label=Text("Temperature", "Температура"),
            help=Text(
                "How bold the choice is: 0 always takes the likeliest token, 1 is the model as it is, above 1 wilder.",
                "Смелость выбора: 0 — всегда самый вероятный токен, 1 — модель как есть, выше 1 — свободнее.",
            ),
            default=0.8,
            slider=(0.0, 5.0),
            legal=(0.0, 100.0),
            neutral=1.0,
            aliases=("temp",),
            short=("t",),
        ),
    ),
    apply=apply,
    off=lambda values: values["temperature"] == 1.0,
)
