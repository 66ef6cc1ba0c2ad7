"""Top-h: keeps likeliest tokens as long as their share of the entropy allows."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context

# Only so many tokens are looked at, as in transformers, where this comes from.
_LOOKED_AT = 100
_ROUNDING = 1e-7


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    candidates.keep_best(_LOOKED_AT)
    probabilities = candidates.probabilities()
    present = probabilities[probabilities > 0]
    cumulative = np.cumsum(-present * np.log(present))
    entropy = float(cumulative[-1])
    limit = values["top_h"] * entropy
    count = int(np.searchsorted(cumulative, limit + _ROUNDING, side="right"))
    candidates.keep_best(max(1, count))
    context.note(entropy=entropy, limit=limit)


SAMPLER = Sampler(
    name="top_h",
    title=Text("Top-h", "Top-h"),
    summary=Text(
        "Keeps the likeliest tokens until they use up a share of the entropy: few when sure, many when unsure.",
        "Оставляет самые вероятные токены, пока они не исчерпают долю энтропии: мало при уверенности, много без неё.",
    ),
    formula="Σ −p ln p (best first, at most 100) ≤ {top_h} · H",
    family="cut",
    order=76,
    params=(
        Param(
            name="top_h",
            label=Text("Top-h", "Top-h"),
            help=Text(
                "The share of the entropy that may be kept; lower is stricter. 0 is off.",
                "Какую долю энтропии можно оставить; меньше — строже. 0 — выкл.",
            ),
            default=0.7,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=0.0,
            short=("h",),
        ),
    ),
    apply=apply,
)
