"""Top-nσ: keeps the tokens within n standard deviations of the best logit."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    sigma = spread(candidates, ooba=values["flavour"] == "ooba")
    threshold = candidates.maximum - values["top_n_sigma"] * sigma
    candidates.keep_above(threshold)
    context.note(sigma=sigma, threshold_logit=threshold)


def spread(candidates: Candidates, *, ooba: bool = False) -> float:
    """Standard deviation of the logits. text-generation-webui divides by n - 1 and counts dead tokens as logit 0."""
    best = candidates.maximum
    if ooba:
        logits = candidates.logits.astype(np.float64)
        dead = np.isneginf(logits)
        count = candidates.row_size
        # What was cut before counts as a 0 there too.
        total = float(logits[~dead].sum())
        squares = float(np.square(logits[~dead]).sum())
        return math.sqrt(max(0.0, squares - total * total / count) / max(1, count - 1))
    below = candidates.logits - candidates.logits.dtype.type(best)
    if below.min() == -np.inf:
        below = below[below > -np.inf]
    mean = float(below.sum(dtype=np.float64)) / len(below)
    return math.sqrt(max(0.0, float(np.square(below).sum(dtype=np.float64)) / len(below) - mean * mean))


SAMPLER = Sampler(
    name="top_n_sigma",
    title=Text("Top-nσ", "Top-nσ"),
    summary=Text(
        "Keeps tokens whose logit is within n standard deviations of the best; on the full row, temperature cannot "
        "change what it keeps.",
        "Оставляет токены не дальше n стандартных отклонений от лучшего логита; на полном ряду температура на это "
        "не влияет.",
    ),
    formula="l ≥ l_max − {top_n_sigma} · σ",
    family="cut",
    order=20,
    aliases=("nsigma", "top_nsigma"),
    flavours=("generic", "ooba"),
    params=(
        Param(
            name="top_n_sigma",
            label=Text("Top-nσ", "Top-nσ"),
            help=Text(
                "How many standard deviations below the best logit still count; 1 is usual, 0 is off.",
                "На сколько стандартных отклонений ниже лучшего логита ещё можно быть; обычно 1; 0 — выкл.",
            ),
            default=1.0,
            slider=(0.0, 5.0),
            legal=(-1.0, 100.0),
            neutral=0.0,
            aliases=(
                "nsigma",
                "n_sigma",
            ),
            short=("n",),
        ),
    ),
    apply=apply,
    off=lambda values: values["top_n_sigma"] <= 0,
)
