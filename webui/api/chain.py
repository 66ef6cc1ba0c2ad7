"""The sampler chain of a request. The samplers' own declarations say which fields there are and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webui.samplers.chain import Chain
from webui.samplers.registry import SAMPLERS
from webui.types import Step

ORDER = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p")
"""text-generation-webui's default order, as far as the samplers of this first API go."""


def chain_of(fields: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps for the sampler fields of a body; samplers without a field are off."""
    steps: list[Step] = []
    for name in ORDER:
        sampler = SAMPLERS[name]
        values = {param.name: param.neutral for param in sampler.params if param.neutral is not None}
        for param in sampler.params:
            given = next((fields[alias] for alias in (param.name, *param.aliases) if alias in fields), None)
            if given is not None:
                values[param.name] = given
        steps.append(Step(name, values))
    return Chain.parse(steps).steps


def describe(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """The effective chain as answers tell it: what is off is left out."""
    stages = Chain.parse(steps).plan
    return [{"sampler": stage.sampler.name, "values": dict(stage.values)} for stage in stages]
