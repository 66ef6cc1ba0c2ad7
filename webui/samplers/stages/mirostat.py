"""Mirostat 1 and 2: keep the surprise of the text at a chosen level by cutting more or less of the tail."""

from __future__ import annotations

import math

import numpy as np

from webui.samplers.candidates import Candidates, Doubles
from webui.samplers.declare import Accept, Param, Sampler, Text, Values
from webui.samplers.state import Context

# How many of the likeliest tokens version 1 estimates the steepness of the distribution from.
_ESTIMATE_FROM = 100


def apply(candidates: Candidates, values: Values, context: Context) -> Accept:
    tau, eta = values["mirostat_tau"], values["mirostat_eta"]
    mu = 2 * tau if context.memory is None else float(context.memory)
    if values["mirostat_mode"] == 1:
        probabilities = candidates.weights_at(candidates.head(_ESTIMATE_FROM)) / candidates.total
        s_hat, k = estimate(probabilities.astype(np.float64), mu, candidates.row_size)
        candidates.keep_best(max(1, min(int(k), len(candidates))))
        context.note(mu=mu, s_hat=s_hat, k=k)
    else:
        # -log2 p ≤ mu, and what is cut is a tail: p is above 2^-mu
        candidates.keep_likelier(2.0**-mu if mu < 1000 else 0.0)
        context.note(mu=mu, threshold=2.0**-mu if mu > -1000 else math.inf)
    kept = candidates.copy()

    def accept(token: int) -> float:
        return float(mu - eta * (surprise(kept, token) - tau))

    return accept


def estimate(probabilities: Doubles, mu: float, n_vocab: int) -> tuple[float, float]:
    """The steepness of the sorted probabilities (as of Zipf's law), and the k that would give a surprise of mu."""
    present = probabilities[probabilities > 0]
    if len(present) < 2:
        return math.inf, 1.0
    rank = np.arange(1, len(present))
    t = np.log((rank + 1) / rank)
    b = np.log(present[:-1] / present[1:])
    s_hat = float((t * b).sum() / (t * t).sum())
    epsilon = s_hat - 1
    if s_hat <= 0:
        return s_hat, float(n_vocab)
    if abs(epsilon) < 1e-9:  # the limit of the formula below
        return s_hat, 2.0 ** min(mu, 60.0) / math.log(n_vocab)
    log_k = (mu * math.log(2) + math.log(epsilon / -math.expm1(-epsilon * math.log(n_vocab)))) / s_hat
    return s_hat, math.exp(min(log_k, 60.0))


def surprise(candidates: Candidates, token: int) -> float:
    """Of a token among what was kept, in bits."""
    positions, there = candidates.find(np.array([token]))
    if not there[0]:
        return 0.0
    return -math.log2(float(candidates.weights_at(positions)[0]) / candidates.total)


SAMPLER = Sampler(
    name="mirostat",
    title=Text("Mirostat", "Mirostat"),
    summary=Text(
        "Keeps the surprise of the text near a chosen level: after a dull token it allows more.",
        "Держит неожиданность текста у заданного уровня: после скучного токена допускает больше.",
    ),
    formula="−log₂ p ≤ μ; then μ ← μ − {mirostat_eta} · (surprise − {mirostat_tau})",
    family="select",
    order=90,
    aliases=("mirostat_v2", "mirostat_mode"),
    params=(
        Param(
            name="mirostat_mode",
            label=Text("Version", "Версия"),
            help=Text(
                "2 is the simpler and usual one, 1 the original; 0 is off.",
                "2 — более простая и обычная, 1 — исходная; 0 — выкл.",
            ),
            kind="int",
            default=2,
            slider=(0, 2),
            legal=(0, 2),
            step=1,
            neutral=0,
            aliases=("mirostat",),
            short=(
                "mode",
                "version",
            ),
        ),
        Param(
            name="mirostat_tau",
            label=Text("Tau (target surprise)", "Тау (целевая неожиданность)"),
            help=Text(
                "How surprising the text should be, in bits for each token: 5 is lively, 2 is tame.",
                "Насколько неожиданным должен быть текст, в битах на токен: 5 — живо, 2 — сдержанно.",
            ),
            default=5.0,
            slider=(0.0, 10.0),
            legal=(0.0, 100.0),
            short=("tau",),
        ),
        Param(
            name="mirostat_eta",
            label=Text("Eta (learning rate)", "Эта (скорость подстройки)"),
            help=Text(
                "How fast it corrects itself after each token.", "Как быстро он поправляет себя после каждого токена."
            ),
            default=0.1,
            slider=(0.0, 1.0),
            legal=(0.0, 10.0),
            short=("eta",),
        ),
    ),
    apply=apply,
)
