"""The window of recent tokens that the penalties share: one declaration, so that they all name and explain it alike."""

from __future__ import annotations

from webui.samplers.declare import Param, Text


def window_param() -> Param:
    return Param(
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
        aliases=("range", "rep_pen_range", "repeat_last_n", "last_n", "penalty_last_n"),
    )
