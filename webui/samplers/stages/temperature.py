"""Temperature: divides the logits, so that differences grow (below 1) or shrink (above 1)."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context

# Ollama never goes below this instead of becoming greedy at 0.
_OLLAMA_FLOOR = 1e-7


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    temperature = values["temperature"]
    if values["flavour"] == "ollama":
        temperature = max(temperature, _OLLAMA_FLOOR)
    divide(candidates, temperature)


def divide(candidates: Candidates, temperature: float) -> None:
    """Logits over temperature; at 0 only the likeliest token stays."""
    if temperature <= 0:
        candidates.keep_best(1)
    elif temperature < 0.01:
        # Down here float32 would overflow for large logits.
        candidates.replace(candidates.logits.astype(np.float64) / temperature)
    else:
        candidates.replace(candidates.logits / candidates.logits.dtype.type(temperature))


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
