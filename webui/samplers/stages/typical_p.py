"""Typical-p: keeps the tokens whose surprise is nearest to the average surprise."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    entropy = candidates.entropy()
    log_probabilities = candidates.logits - (candidates.maximum + math.log(candidates.total))
    distance = np.abs(log_probabilities + entropy)
    if values["flavour"] == "hf":
        _keep_with_ties(candidates, distance, values["typical_p"], values["min_keep"])
    else:
        candidates.keep_prefix(values["typical_p"], values["min_keep"], reaching=False, score=-distance)
    context.note(entropy=entropy)


def _keep_with_ties(candidates: Candidates, distance: np.ndarray, mass: float, least: int) -> None:
    """Transformers stops where the mass is reached, and keeps whatever is as typical as the last one kept."""
    order = np.argsort(distance, kind="stable")
    cumulative = np.cumsum(candidates.weights()[order], dtype=np.float64)
    last = min(int(np.searchsorted(cumulative, mass * candidates.total, side="left")), len(order) - 1)
    last = max(last, min(least, len(order)) - 1)
    candidates.take(distance <= distance[order[last]])


SAMPLER = Sampler(
    name="typical_p",
    title=Text("Typical-p", "Typical-p"),
    summary=Text(
        "Keeps tokens that are about as surprising as text usually is; the too obvious goes as well as the too odd.",
        "Оставляет токены с обычной для текста неожиданностью; отсекает и слишком очевидное, и слишком странное.",
    ),
    formula="|−ln p − H| smallest first, Σ p > {typical_p}",
    family="cut",
    order=40,
    aliases=("typical", "typ_p", "locally_typical"),
    flavours=("generic", "hf"),
    params=(
        Param(
            name="typical_p",
            label=Text("Typical-p", "Typical-p"),
            help=Text(
                "The share of the probability that is kept, most typical tokens first; 1 is off.",
                "Какая доля вероятности остаётся, начиная с самых типичных токенов; 1 — выкл.",
            ),
            default=0.95,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=1.0,
            aliases=(
                "typical",
                "typ_p",
            ),
            short=(
                "p",
                "mass",
            ),
        ),
        min_keep(),
    ),
    apply=apply,
)
