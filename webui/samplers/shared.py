"""Parameters and small rules that several samplers have in common, so that they name, explain and do them alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.samplers.candidates import Doubles
from webui.samplers.declare import Param, Text, Values
from webui.samplers.state import History

Ids = NDArray[np.integer[Any]]


def min_keep() -> Param:
    return Param(
        name="min_keep",
        label=Text("Keep at least", "Оставлять не меньше"),
        help=Text(
            "However strict the rule, this many of the likeliest tokens stay.",
            "Каким бы строгим ни было правило, столько самых вероятных токенов останется.",
        ),
        kind="int",
        default=1,
        slider=(1, 20),
        legal=(0, 10_000_000),
        step=1,
        short=("min_tokens_to_keep",),
        advanced=True,
    )


def window() -> tuple[Param, Param]:
    """Which of the recent tokens a penalty looks at."""
    return (
        Param(
            name="repetition_penalty_range",
            label=Text("Range", "Дальность"),
            help=Text(
                "How many of the last tokens count as used; 0 is the whole context.",
                "Сколько последних токенов считается использованными; 0 — весь контекст.",
            ),
            kind="int",
            default=1024,
            slider=(0, 4096),
            legal=(0, 10_000_000),
            step=64,
            aliases=(
                "rep_pen_range",
                "repeat_last_n",
            ),
            short=(
                "range",
                "last_n",
                "penalty_last_n",
                "sustain",
            ),
        ),
        Param(
            name="repetition_decay",
            label=Text("Fade-out", "Затухание"),
            help=Text(
                "Over how many further tokens the penalty fades to nothing; 0 ends it at once.",
                "На скольких токенах дальше штраф плавно сходит на нет; 0 — обрывается сразу.",
            ),
            kind="int",
            default=0,
            slider=(0, 4096),
            legal=(0, 10_000_000),
            step=64,
            short=("decay",),
            advanced=True,
        ),
    )


def used_tokens(history: History, values: Values) -> tuple[Ids, Doubles, Doubles]:
    """The tokens used within the window, how strongly each counts (1, or less where it fades), and how often."""
    reach, fade = values["repetition_penalty_range"], values["repetition_decay"]
    if reach == 0 or fade == 0:
        ids, counts = np.unique(history.last(reach), return_counts=True)
        strengths = np.ones(len(ids))
        return ids, strengths, counts.astype(np.float64)
    recent = history.last(reach + fade)
    distance = np.arange(len(recent), 0, -1)
    weights = np.clip(1.0 - (distance - reach) / fade, 0.0, 1.0)
    ids, places = np.unique(recent, return_inverse=True)
    strengths = np.zeros(len(ids))
    np.maximum.at(strengths, places, weights)
    return ids, strengths, np.asarray(np.bincount(places, weights=weights, minlength=len(ids)), dtype=np.float64)
