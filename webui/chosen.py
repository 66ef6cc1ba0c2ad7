"""The chain, seed and limits a person has chosen, in the kept settings: what every tab generates with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webui.chat.conversation import ReplySettings
from webui.errors import BadValue
from webui.lab.export import chain_data, plain
from webui.preferences import Preferences
from webui.samplers import BALANCED, Chain
from webui.types import Step


def chosen_chain(preferences: Preferences) -> tuple[Step, ...]:
    """The kept chain; Balanced if none is kept or it names what this version does not have."""
    kept = preferences["chain"]
    if not kept:
        return BALANCED
    try:
        return Chain.parse(kept).steps
    except BadValue:
        return BALANCED


def chain_problem(preferences: Preferences) -> BadValue | None:
    """Why the kept chain is not the one in force."""
    try:
        Chain.parse(preferences["chain"])
    except BadValue as problem:
        return problem
    return None


def keep_chain(preferences: Preferences, steps: Iterable[Any]) -> Chain:
    """Check a whole chain, then keep it; a bad value changes nothing. Balanced is kept as nothing at all."""
    chain = Chain.parse(steps)
    same = chain.steps == Chain.parse(BALANCED).steps
    preferences.set(chain=[] if same else chain_data(chain.steps))
    return chain


def values_as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """A step's values in what JSON can say."""
    return {name: plain(value) for name, value in values.items()}


def reply_settings(preferences: Preferences) -> ReplySettings:
    return ReplySettings(
        chain=chosen_chain(preferences),
        seed=preferences["seed"],
        max_tokens=preferences["max_tokens"] or None,
        stop=tuple(preferences["stop"]),
        system=preferences["system"],
    )
