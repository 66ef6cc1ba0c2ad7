"""The sampler chain of a request. The samplers' own declarations say which fields there are and what they may be."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

from webui.samplers.chain import Chain
from webui.samplers.foreign import ForeignChain, chain_from_fields, field_params
from webui.types import Step

NATIVE = frozenset({"banned_strings"})
"""Fields the worker honours itself: nothing for a chain to say about them."""

_IGNORED: Mapping[str, tuple[object, ...]] = {
    "length_penalty": (1,),
    "early_stopping": (False,),
    "best_of": (1,),
    "suffix": ("",),
    "static_cache": (False,),
    "cache_prompt": (True,),
}
"""Fields of other tools that are taken and have no effect here, with the values that ask for nothing anyway."""


def chain_of(fields: Mapping[str, Any], base: tuple[Step, ...]) -> ForeignChain:
    """The base chain, changed by the sampler fields of a body."""
    given = {name: _unquoted(name, value) for name, value in fields.items() if name not in NATIVE}
    return chain_from_fields(given, base)


def _unquoted(name: str, value: Any) -> Any:
    """Numbers and switches that a client sends as text ("0.7", "True"), as pydantic reads the fields it knows."""
    kind = _kinds().get(name) if isinstance(value, str) else None
    if kind is None:
        return value
    try:
        read = json.loads(value.strip().lower())
    except ValueError:
        return value
    fits = isinstance(read, bool) if kind is bool else type(read) in (int, float) and math.isfinite(read)
    return read if fits else value


@functools.lru_cache(maxsize=1)
def _kinds() -> Mapping[str, type]:
    """Which fields are numbers and which are switches."""
    switches = ("do_sample", "temperature_last", "dynamic_temperature")
    found: dict[str, type] = {**dict.fromkeys(switches, bool), "dynatemp_range": float}
    for param in field_params():
        if param.kind in ("float", "int", "bool"):
            kind = bool if param.kind == "bool" else float
            found |= dict.fromkeys((param.name, *param.aliases), kind)
    return found


def ignored(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """What was asked for outside the samplers and is not done, as sentences."""
    asked = [name for name, nothing in _IGNORED.items() if name in fields and fields[name] not in nothing]
    return tuple(f"{name}: this server has nothing like it" for name in asked)


def describe(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """The effective chain as answers tell it: what is off is left out."""
    stages = Chain.parse(steps).plan
    return [{"sampler": stage.sampler.name, "values": plain(stage.values)} for stage in stages]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON can hold them: text for keys, lists for tuples."""
    return {name: _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_json(item) for item in value]
    return "-inf" if isinstance(value, float) and value == -math.inf else value
