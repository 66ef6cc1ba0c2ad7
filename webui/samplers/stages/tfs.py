"""Tail-free sampling: cuts where the curve of sorted probabilities becomes flat."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.shared import min_keep
from webui.samplers.state import Context

# Below this the curve is a straight line and every place on it counts alike.
_STRAIGHT = 1e-6


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    if len(candidates) <= 2:
        return
    candidates.sort()
    probabilities = candidates.probabilities()
    bends = np.abs(np.diff(probabilities, n=2))
    total = bends.sum()
    bends = bends / total if total > _STRAIGHT else np.full(len(bends), 1.0 / len(bends))
    cumulative = np.cumsum(bends)
    beyond = int(np.searchsorted(cumulative, values["tfs"], side="right"))
    if values["flavour"] == "ooba":
        count = min(beyond + 1, len(probabilities) - 1)  # centred on the bend; the last token always goes
    else:
        count = beyond if beyond < len(bends) else len(probabilities)
    candidates.keep_best(max(1, count, values["min_keep"]))


SAMPLER = Sampler(
    name="tfs",
    title=Text("Tail-free sampling", "Сэмплинг без хвоста (TFS)"),
    summary=Text(
        "Looks for the place where the sorted probabilities flatten out, and cuts the tail from there.",
        "Находит место, где кривая отсортированных вероятностей становится плоской, и отсекает хвост.",
    ),
    formula="Σ |second difference of p| ≤ {tfs}",
    family="cut",
    order=45,
    aliases=("tail_free", "tfs_z"),
    flavours=("llama.cpp-old", "ooba"),
    params=(
        Param(
            name="tfs",
            label=Text("TFS", "TFS"),
            help=Text(
                "How much of the curve's bend is kept: lower cuts more of the tail; 1 is off.",
                "Какая часть изгиба кривой остаётся: чем ниже, тем больше хвоста отсекается; 1 — выкл.",
            ),
            default=0.95,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=1.0,
            aliases=("tfs_z",),
            short=("z",),
        ),
        min_keep(),
    ),
    apply=apply,
)
