"""Ban EOS: the model may not end its turn; the length limit and stop strings still do."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    candidates.drop(np.array(context.vocabulary.end_ids, dtype=np.int64))
    context.note(tokens=len(context.vocabulary.end_ids))


SAMPLER = Sampler(
    name="ban_eos",
    title=Text("Never end", "Запрет конца (EOS)"),
    summary=Text(
        "The model may not end its reply by itself; it stops at the length limit or a stop string.",
        "Модель не может закончить ответ сама; он кончается по длине или на стоп-строке.",
    ),
    formula="l(end) = −∞",
    family="penalty",
    order=9,
    aliases=("ban_eos_token", "ignore_eos"),
    params=(
        Param(
            name="ban_eos_token",
            label=Text("Ban the end token", "Запретить токен конца"),
            help=Text(
                "The reply goes on until the length limit, a stop string or Stop.",
                "Ответ продолжается до предела длины, стоп-строки или кнопки «Стоп».",
            ),
            kind="bool",
            default=True,
            neutral=False,
            aliases=("ignore_eos",),
            short=("ban_eos",),
        ),
    ),
    apply=apply,
)
