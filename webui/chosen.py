"""The chain, seed and limits a person has chosen, out of the kept settings: what every tab generates with."""

from __future__ import annotations

from webui.chat.conversation import ReplySettings
from webui.errors import BadValue
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


def reply_settings(preferences: Preferences) -> ReplySettings:
    return ReplySettings(
        chain=chosen_chain(preferences),
        seed=preferences["seed"],
        max_tokens=preferences["max_tokens"] or None,
        stop=tuple(preferences["stop"]),
        system=preferences["system"],
    )
