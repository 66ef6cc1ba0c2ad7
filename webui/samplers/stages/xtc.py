"""XTC ("exclude top choices"): now and then removes the most obvious tokens, all but the least likely of them."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.candidates import Candidates, Ints
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context, Vocabulary


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    flavour, probability = values["flavour"], values["xtc_probability"]
    if flavour == "exllama":
        _expected(candidates, values, context.vocabulary)
        return
    coin = float(context.random.random())
    context.note(coin=coin, fired=coin < probability)
    if coin < probability:
        obvious = above(candidates, values["xtc_threshold"])
        _exclude(candidates, obvious, flavour, context.vocabulary, values["min_keep"])


def above(candidates: Candidates, threshold: float) -> Ints:
    """Positions of the tokens that reach the threshold, likeliest first."""
    # No more than 1 / threshold tokens can reach it.
    most = len(candidates) if threshold * len(candidates) <= 1 else int(1 / threshold) + 1
    positions = candidates.head(most)
    probabilities = candidates.weights_at(positions) / candidates.total
    return positions[(probabilities >= threshold * (1 - 1e-6)) & (probabilities > 0)]


def _exclude(candidates: Candidates, obvious: Ints, flavour: str, vocabulary: Vocabulary, least: int) -> None:
    if len(obvious) < 2:
        return
    if flavour == "mlx":
        lowest = candidates.logits[obvious[-1]]
        out = obvious[(candidates.logits[obvious] > lowest) & ~_protected(candidates.ids_at(obvious), vocabulary)]
    else:
        out = obvious[:-1]
        if flavour == "ooba" and _protected(candidates.ids_at(out), vocabulary).any():
            return
    if len(candidates) - len(out) >= max(1, least):
        mask = np.ones(len(candidates), dtype=np.bool_)
        mask[out] = False
        candidates.take(mask)


def _expected(candidates: Candidates, values: Values, vocabulary: Vocabulary) -> None:
    """ExLlama tosses no coin: what may go loses the expected share, the rest gains it."""
    obvious = above(candidates, values["xtc_threshold"])
    obvious = obvious[~_protected(candidates.ids_at(obvious), vocabulary)]
    out = obvious[:-1]
    mass = float(candidates.weights_at(out).sum(dtype=np.float64)) / candidates.total
    if len(out) == 0 or mass >= 1.0:
        return
    probability = values["xtc_probability"]
    logits = candidates.logits.astype(np.float64) + math.log1p(probability * mass / (1 - mass))
    with np.errstate(divide="ignore"):
        logits[out] = candidates.logits[out] + np.log1p(-probability)
    mask = logits > -np.inf
    candidates.replace(logits, is_sorted=False)
    candidates.take(mask)


def _protected(ids: Ints, vocabulary: Vocabulary) -> np.ndarray:
    return np.isin(ids, np.array(vocabulary.end_ids + vocabulary.newline_ids, dtype=np.int64))


SAMPLER = Sampler(
    name="xtc",
    title=Text("XTC", "XTC"),
    summary=Text(
        "Now and then removes all the obvious tokens but the least likely of them, for less worn paths.",
        "Иногда убирает все очевидные токены, кроме наименее вероятного из них, чтобы текст шёл не по накатанной.",
    ),
    formula="with chance {xtc_probability}: of all p ≥ {xtc_threshold} only the smallest stays",
    family="cut",
    order=80,
    flavours=("generic", "mlx", "ooba", "exllama"),
    params=(
        Param(
            name="xtc_probability",
            label=Text("Probability", "Вероятность"),
            help=Text(
                "How often it strikes: 0.5 is every other token on average; 0 is off.",
                "Как часто он срабатывает: 0,5 — в среднем на каждом втором токене; 0 — выкл.",
            ),
            default=0.5,
            slider=(0.0, 1.0),
            legal=(0.0, 1.0),
            neutral=0.0,
            short=("probability",),
        ),
        Param(
            name="xtc_threshold",
            label=Text("Threshold", "Порог"),
            help=Text(
                "How likely a token must be to count as obvious; above 0.5 there can never be two, so it is off.",
                "Насколько вероятен должен быть токен, чтобы считаться очевидным; выше 0,5 — выкл.",
            ),
            default=0.1,
            slider=(0.01, 0.5),
            legal=(0.0, 1.0),
            short=("threshold",),
        ),
        Param(
            name="min_keep",
            label=Text("Keep at least", "Оставлять не меньше"),
            help=Text(
                "It does not strike if fewer tokens than this would remain.",
                "Не срабатывает, если осталось бы меньше токенов.",
            ),
            kind="int",
            default=1,
            slider=(1, 20),
            legal=(0, 10_000_000),
            step=1,
            advanced=True,
        ),
    ),
    apply=apply,
    off=lambda values: values["xtc_probability"] <= 0 or values["xtc_threshold"] > 0.5,
)
