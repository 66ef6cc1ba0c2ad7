"""The default chain: llama.cpp's order and values, every stage of it visible, those it leaves off included."""

from __future__ import annotations

from webui.samplers.registry import SAMPLERS
from webui.types import Step

_ORDER = (
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "dry",
    "top_n_sigma",
    "top_k",
    "typical_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
)
_VALUES = {"top_k": 40, "top_p": 0.95, "min_p": 0.05, "temperature": 0.8}


def balanced() -> tuple[Step, ...]:
    """Balanced, with all values filled in."""
    steps = []
    for name in (name for name in _ORDER if name in SAMPLERS):
        values = SAMPLERS[name].neutral()
        if name in _VALUES:
            values[name] = _VALUES[name]
        steps.append(Step(name, values))
    return tuple(steps)


BALANCED = balanced()
