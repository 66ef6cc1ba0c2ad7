"""Where a stage belongs when nobody says: the order of Balanced, with the samplers it does not name fitted in.

Also what other tools call the order: text-generation-webui's sampler_priority, llama.cpp's samplers, KoboldCpp's
sampler_order. Knows names and places, no values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webui.errors import BadValue
from webui.samplers.registry import SAMPLERS, sampler_names
from webui.types import Step

NATURAL = (
    "guidance",
    "logit_bias",
    "sequence_bias",
    "token_bans",
    "ban_eos",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "encoder_repetition_penalty",
    "dry",
    "no_repeat_ngram",
    "top_n_sigma",
    "top_k",
    "typical_p",
    "tfs",
    "top_p",
    "min_p",
    "top_a",
    "epsilon_cutoff",
    "eta_cutoff",
    "p_less",
    "top_h",
    "xtc",
    "dynamic_temperature",
    "quadratic",
    "temperature",
    "mirostat",
    "adaptive_p",
    "skew",
)
TEMPERATURES = ("temperature", "dynamic_temperature", "quadratic")
_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")
_LLAMA_CPP_LETTERS: Mapping[str, str] = {
    "e": "penalties", "d": "dry", "s": "top_n_sigma", "k": "top_k", "y": "typical_p", "p": "top_p", "m": "min_p",
    "x": "xtc", "t": "temperature", "a": "adaptive_p",
}  # fmt: skip
_KOBOLD_NUMBERS = ("top_k", "top_a", "top_p", "tfs", "typical_p", "temperature", "repetition_penalty")


def place(name: str) -> int:
    """A sampler this module has not heard of goes where its family does."""
    if name in NATURAL:
        return NATURAL.index(name)
    neighbour = {"penalty": "no_repeat_ngram", "cut": "top_h", "shape": "quadratic", "select": "skew"}
    return NATURAL.index(neighbour[SAMPLERS[name].family])


def insert(steps: list[Step], step: Step) -> None:
    """Behind the last stage that naturally comes earlier."""
    earlier = [i for i, other in enumerate(steps) if place(other.sampler) < place(step.sampler)]
    steps.insert(earlier[-1] + 1 if earlier else 0, step)


def reorder(steps: Sequence[Step], names: Sequence[str]) -> list[Step]:
    """The stages named in that order; those not named keep their natural place around them.

    Penalties that a list leaves out come first, as they always do; the others come after the cuts it names.
    """
    named = [step for name in names for step in steps if step.sampler == name]
    rest = [step for step in steps if step.sampler not in names]
    first = [step for step in rest if SAMPLERS[step.sampler].family == "penalty" or step.sampler == "guidance"]
    last = [step for step in rest if SAMPLERS[step.sampler].family == "select"]
    middle = [step for step in rest if step not in first and step not in last]
    end = len(named)
    while end > 0 and SAMPLERS[named[end - 1].sampler].family in ("shape", "select"):
        end -= 1
    return [*first, *named[:end], *middle, *named[end:], *last]


def temperature_last(steps: Sequence[Step]) -> list[Step]:
    """All stages that change the temperature behind all that cut; what picks by itself stays at the very end."""
    hot = [step for step in steps if step.sampler in TEMPERATURES]
    last = [step for step in steps if SAMPLERS[step.sampler].family == "select"]
    return [*(step for step in steps if step not in hot and step not in last), *hot, *last]


def read_priority(value: Any, field: str) -> tuple[list[str], list[str]]:
    """Names from a list or from text with one a line or commas between; then those that nobody here answers to."""
    items = value.replace(",", "\n").split("\n") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise BadValue(f"{field} must be a list of sampler names.", param=field)
    return _known([item.strip() for item in items if item.strip()])


def read_llama_cpp_samplers(value: Any) -> tuple[list[str], list[str]]:
    """llama.cpp's `samplers`: a list of names, or one letter for each."""
    if isinstance(value, str) and ";" not in value and not set(value) - set(_LLAMA_CPP_LETTERS):
        return _known([_LLAMA_CPP_LETTERS[letter] for letter in value])
    return read_priority(value.replace(";", "\n") if isinstance(value, str) else value, "samplers")


def read_kobold_order(value: Any) -> tuple[list[str], list[str]]:
    """KoboldCpp's `sampler_order`: numbers from 0 to 6."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(n, int) and 0 <= n <= 6 for n in value):
        raise BadValue("sampler_order must be a list of whole numbers from 0 to 6.", param="sampler_order")
    return _known([_KOBOLD_NUMBERS[number] for number in value])


def _known(items: Sequence[str]) -> tuple[list[str], list[str]]:
    names = sampler_names()
    known: list[str] = []
    unknown: list[str] = []
    for item in items:
        found = _PENALTIES if item == "penalties" else (names[item],) if item in names else ()
        known += [name for name in found if name not in known]
        if not found:
            unknown.append(item)
    return known, unknown
