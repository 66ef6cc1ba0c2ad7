"""Token bans: chosen tokens can never be picked."""

from __future__ import annotations

import numpy as np

from webui.samplers.candidates import Candidates
from webui.samplers.declare import Param, Sampler, Text, Values
from webui.samplers.state import Context


def apply(candidates: Candidates, values: Values, context: Context) -> None:
    candidates.drop(np.array(values["token_bans"], dtype=np.int64))


SAMPLER = Sampler(
    name="token_bans",
    title=Text("Token bans", "Запрет токенов"),
    summary=Text("Chosen tokens can never be picked.", "Выбранные токены никогда не будут взяты."),
    formula="l = −∞",
    family="penalty",
    order=9,
    aliases=("custom_token_bans",),
    params=(
        Param(
            name="token_bans",
            label=Text("Banned tokens", "Запрещённые токены"),
            help=Text(
                "Ids of the tokens that may not be picked, separated by commas.",
                "Номера токенов, которые нельзя брать, через запятую.",
            ),
            kind="tokens",
            default=(),
            neutral=(),
            aliases=("custom_token_bans",),
            short=("tokens",),
        ),
    ),
    apply=apply,
)
