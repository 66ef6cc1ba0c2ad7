"""Top-k: keeps the k likeliest tokens."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    k = max(values["top_k"], values["min_keep"])
    if values["flavour"] == "hf" and k < len(candidates):
        # Transformers keeps whatever ties with the k-th.
        threshold = candidates.logits[candidates.head(k)[-1]]
        candidates.take(np.flatnonzero(candidates.logits >= threshold), is_sorted=candidates.is_sorted)
    else:
        candidates.keep_best(k)
    if context.notes is not None:
        context.note(threshold_logit=float(candidates.logits.min()))


SAMPLER = Sampler(
    name="top_k",
    title=Text("Top-k", "Top-k"),
    summary=Text("Keeps a fixed number of the likeliest tokens.", "Оставляет заданное число самых вероятных токенов."),
    formula="rank ≤ {top_k}",
    family="cut",
    order=30,
    flavours=("generic", "hf"),
    params=(
        Param(
            name="top_k",
            label=Text("Top-k", "Top-k"),
            help=Text(
                "How many of the likeliest tokens stay, whatever their probability; 0 is off.",
                "Сколько самых вероятных токенов остаётся, какой бы ни была их вероятность; 0 — выкл.",
            ),
            kind="int",
            default=40,
            slider=(0, 200),
            legal=(-1, 10_000_000),
            step=1,
            neutral=0,
            short=(
                "k",
                "topk",
            ),
        ),
        min_keep(),
    ),
    apply=apply,
    off=lambda values: values["top_k"] <= 0,
)
