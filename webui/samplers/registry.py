"""The samplers there are: every module of `webui.samplers.stages` that declares a `SAMPLER`, found by looking."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from webui.samplers import stages
from webui.samplers.declare import Sampler


def find_samplers() -> Mapping[str, Sampler]:
    """By name, in the order in which lists show them."""
    found: list[Sampler] = []
    for module in pkgutil.iter_modules(stages.__path__):
        sampler = getattr(importlib.import_module(f"{stages.__name__}.{module.name}"), "SAMPLER", None)
        if isinstance(sampler, Sampler):
            found.append(sampler)
    found.sort(key=lambda sampler: (sampler.order, sampler.name))
    return MappingProxyType({sampler.name: sampler for sampler in found})


SAMPLERS = find_samplers()


def sampler_names() -> Mapping[str, str]:
    """Every name a sampler answers to, with its own."""
    names = {alias: sampler.name for sampler in SAMPLERS.values() for alias in sampler.aliases}
    return {**names, **{name: name for name in SAMPLERS}}
