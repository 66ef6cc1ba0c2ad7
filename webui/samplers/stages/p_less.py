"""P-less: cuts below the chance that two draws would agree; has no number to set."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    weights = candidates.weights()
    threshold = float(np.square(weights).sum(dtype=np.float64)) / candidates.total**2
    candidates.keep_likelier(threshold)
    context.note(threshold=threshold)


SAMPLER = Sampler(
    name="p_less",
    title=Text("P-less", "P-less"),
    summary=Text(
        "Cuts tokens less likely than the chance that two draws agree; nothing to tune.",
        "Отсекает токены, менее вероятные, чем совпадение двух случайных выборов; настраивать нечего.",
    ),
    formula="p ≥ Σ p²",
    family="cut",
    order=75,
    params=(
        Param(
            name="p_less",
            label=Text("P-less", "P-less"),
            help=Text(
                "On or off: the limit follows from the probabilities themselves.",
                "Вкл. или выкл.: порог следует из самих вероятностей.",
            ),
            kind="bool",
            default=True,
            neutral=False,
            short=("enabled",),
        ),
    ),
    apply=apply,
)
