"""Dynamic temperature: cool where the model is sure, warm where it is not."""

from __future__ import annotations

import math

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.stages.temperature import divide
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    low, high = values["dynatemp_low"], values["dynatemp_high"]
    alive = candidates.alive()
    temperature = low
    if low != high and alive > 1:
        sureness = min(1.0, candidates.entropy() / math.log(alive))
        temperature = low + (high - low) * sureness ** values["dynatemp_exponent"]
    elif low != high:
        temperature = 1.0
    divide(candidates, temperature)
    context.note(temperature=temperature)


def _warn(values: Values) -> Text | None:
    if values["dynatemp_low"] <= values["dynatemp_high"]:
        return None
    return Text(
        "Low is above high: the model is now cooled where it is unsure.",
        "Нижняя выше верхней: модель теперь охлаждается там, где не уверена.",
    )


SAMPLER = Sampler(
    name="dynamic_temperature",
    title=Text("Dynamic temperature", "Динамическая температура"),
    summary=Text(
        "Picks the temperature for each token by how unsure the model is: low when sure, high when many words fit.",
        "Выбирает температуру для каждого токена: низкую, когда модель уверена, и высокую, когда подходит многое.",
    ),
    formula="l / T, T = {dynatemp_low} + ({dynatemp_high} − {dynatemp_low}) · (H / ln n)^{dynatemp_exponent}",
    family="shape",
    order=11,
    aliases=("dynatemp",),
    params=(
        Param(
            name="dynatemp_low",
            label=Text("Lowest", "Нижняя"),
            help=Text("The temperature where the model is sure.", "Температура там, где модель уверена."),
            default=0.5,
            slider=(0.0, 5.0),
            legal=(0.0, 100.0),
            neutral=1.0,
            aliases=("min_temp",),
            short=(
                "low",
                "t_min",
                "min",
            ),
        ),
        Param(
            name="dynatemp_high",
            label=Text("Highest", "Верхняя"),
            help=Text(
                "The temperature where every word is equally likely.", "Температура там, где все слова равновероятны."
            ),
            default=1.5,
            slider=(0.0, 5.0),
            legal=(0.0, 100.0),
            neutral=1.0,
            aliases=("max_temp",),
            short=(
                "high",
                "t_max",
                "max",
            ),
        ),
        Param(
            name="dynatemp_exponent",
            label=Text("Exponent", "Показатель"),
            help=Text(
                "How the way from low to high is bent: above 1 stays cool longer.",
                "Как изогнут путь от нижней к верхней: выше 1 — дольше остаётся прохладно.",
            ),
            default=1.0,
            slider=(0.01, 5.0),
            legal=(0.0, 100.0),
            aliases=("temp_exponent",),
            short=("exponent",),
        ),
    ),
    apply=apply,
    warn=_warn,
)
