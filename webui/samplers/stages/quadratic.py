"""Quadratic smoothing: brings the runners-up closer to the best token and pushes the tail away."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context

_MONOTONE = 3.0


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    factor = values["smoothing_factor"]
    curve = 1.0 if values["flavour"] == "koboldcpp" else values["smoothing_curve"]
    best = candidates.maximum
    below = candidates.logits.astype(np.float64) - best
    with np.errstate(invalid="ignore", over="ignore"):
        smooth = best + below * below * factor * ((curve - 1) / 2 * below - (3 - curve) / 2)
    smooth[np.isneginf(below)] = -np.inf
    candidates.replace(smooth, is_sorted=candidates.is_sorted and curve <= _MONOTONE)


def _warn(values: Values) -> Text | None:
    if values["smoothing_curve"] <= _MONOTONE or values["flavour"] == "koboldcpp":
        return None
    return Text(
        "Above 3 the curve lifts some tokens over the best one: their order is turned round.",
        "Выше 3 кривая поднимает часть токенов над лучшим: их порядок переворачивается.",
    )


SAMPLER = Sampler(
    name="quadratic",
    title=Text("Quadratic smoothing", "Квадратичное сглаживание"),
    summary=Text(
        "Evens out the best few tokens and pushes down the unlikely rest, by the square of the distance to the best.",
        "Сближает несколько лучших токенов и прижимает остальные — по квадрату расстояния до лучшего.",
    ),
    formula="l_max − {smoothing_factor}·d²·(3 − {smoothing_curve})/2 + {smoothing_factor}·d³·({smoothing_curve} − 1)/2,"
    " d = l − l_max",
    family="shape",
    order=12,
    aliases=("smoothing", "quadratic_sampling", "quadratic_smoothing", "smoothing_factor"),
    flavours=("generic", "koboldcpp"),
    params=(
        Param(
            name="smoothing_factor",
            label=Text("Factor", "Коэффициент"),
            help=Text(
                "How strong the smoothing is: small values flatten, large ones sharpen; 0 is off.",
                "Сила сглаживания: малые значения выравнивают, большие обостряют; 0 — выкл.",
            ),
            default=0.25,
            slider=(0.0, 10.0),
            legal=(0.0, 100.0),
            neutral=0.0,
            short=("factor",),
        ),
        Param(
            name="smoothing_curve",
            label=Text("Curve", "Кривизна"),
            help=Text(
                "Above 1 the unlikely tokens fall faster; above 3 the order of tokens is no longer kept.",
                "Выше 1 маловероятные токены падают быстрее; выше 3 порядок токенов уже не сохраняется.",
            ),
            default=1.0,
            slider=(1.0, 3.0),
            legal=(1.0, 10.0),
            short=("curve",),
        ),
    ),
    apply=apply,
    warn=_warn,
)
