"""Guidance (CFG): strengthens what the prompt adds beside a second, negative prompt."""

from __future__ import annotations

import math

import numpy as np

from webui.errors import BadValue
from webui.samplers.candidates import Candidates, Doubles
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context, Row


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    """Without a second row there is nothing to compare with, and nothing changes."""
    context.note(applied=context.guidance is not None)
    if context.guidance is None:
        return
    if len(context.guidance) != candidates.row_size:
        raise BadValue("The row for guidance must be as long as the logits.", param="guidance_row")
    scale = values["guidance_scale"]
    conditional = candidates.logits.astype(np.float64) - (candidates.maximum + math.log(candidates.total))
    other = log_softmax(context.guidance)
    other = other if candidates.is_whole else other[candidates.ids]
    with np.errstate(invalid="ignore"):
        combined = other + scale * (conditional - other)
    dead = np.isneginf(conditional)
    combined[dead] = -np.inf
    # A token that only the negative prompt rules out is as good as without guidance.
    unknown = np.isneginf(other) & ~dead
    combined[unknown] = conditional[unknown]
    candidates.replace(combined, is_sorted=False)


def log_softmax(row: Row) -> Doubles:
    logits = row.astype(np.float64)
    logits -= logits.max()
    return np.asarray(logits - math.log(float(np.exp(logits).sum())))


SAMPLER = Sampler(
    name="guidance",
    title=Text("Guidance (CFG)", "Направление (CFG)"),
    summary=Text(
        "Pushes the reply away from what a negative prompt would bring; costs a second computation for each token.",
        "Уводит ответ от того, что дал бы негативный запрос; требует второго расчёта на каждый токен.",
    ),
    formula="u + {guidance_scale} · (c − u), of log-probabilities",
    family="shape",
    order=0,
    aliases=("cfg", "guidance_scale"),
    params=(
        Param(
            name="guidance_scale",
            label=Text("Scale", "Сила"),
            help=Text(
                "How strongly the negative prompt is avoided: 1 is off, 1.5 is usual.",
                "Насколько сильно избегать негативного запроса: 1 — выкл., обычно 1,5.",
            ),
            default=1.5,
            slider=(-0.5, 2.5),
            legal=(-10.0, 30.0),
            step=0.05,
            neutral=1.0,
            aliases=("cfg_scale",),
            short=("scale",),
        ),
    ),
    apply=apply,
)
