"""The chain as a list one can edit: order, switches, values. The same list stands in Parameters and beside Logits.

The samplers' own declarations make every row; nothing here knows a sampler by name.
"""

from __future__ import annotations

import asyncio
from typing import Any

from webui.chosen import chosen_chain, keep_chain, values_as_json
from webui.errors import BadValue
from webui.preferences import Preferences
from webui.samplers import BALANCED, SAMPLERS, Chain
from webui.samplers.declare import Param, Sampler
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function
from webui.tabs.pieces import ChainEditor
from webui.tabs.words import Words


class ChainServer:
    """Reads and keeps the chosen chain."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        declared = {name: _sampler(sampler, words.language) for name, sampler in SAMPLERS.items()}
        return {**self._stages(words), "samplers": declared}

    async def _ask_set(self, words: Words, asked: Asked) -> Answer:
        """Check the whole chain, then keep it; a bad value changes nothing."""
        steps = asked.get("steps")
        if not isinstance(steps, list):
            raise BadValue("chain must be a list of [name, {parameter: value}].", param="chain")
        await asyncio.to_thread(keep_chain, self._preferences, steps)
        return self._stages(words)

    async def _ask_reset(self, words: Words, asked: Asked) -> Answer:
        await asyncio.to_thread(keep_chain, self._preferences, BALANCED)
        return self._stages(words)

    def _stages(self, words: Words) -> Answer:
        chain = Chain.parse(chosen_chain(self._preferences))
        warnings = {index: text[words.language] for index, text in chain.warnings()}
        stages = [
            {
                "name": stage.sampler.name,
                "values": values_as_json(stage.values),
                "off": stage.off,
                "warning": warnings.get(stage.index, ""),
            }
            for stage in chain.stages
        ]
        return {"stages": stages, "balanced": not self._preferences["chain"]}


def _sampler(sampler: Sampler, language: str) -> dict[str, Any]:
    return {
        "title": sampler.title[language],
        "summary": sampler.summary[language],
        "formula": sampler.formula,
        "family": sampler.family,
        "neutral": values_as_json(sampler.neutral()),
        "defaults": values_as_json({p.name: p.default for p in sampler.params}),
        "params": [_param(param, language) for param in sampler.params],
    }


def _param(param: Param, language: str) -> dict[str, Any]:
    return {
        "name": param.name,
        "label": param.label[language],
        "help": param.help[language],
        "kind": param.kind,
        "slider": param.slider,
        "legal": param.legal,
        "step": param.step,
        "choices": param.choices,
        "advanced": param.advanced,
    }


def build(services: Services, elem_id: str) -> ChainEditor:
    """The editor; it triggers `changed` after every change that was kept."""
    return ChainEditor(
        elem_id=elem_id, server_functions=[server_function("chain", services, ChainServer(services.preferences))]
    )
