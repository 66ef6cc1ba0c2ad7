"""The chain as a list one can edit: order, switches, values. The same list stands in Parameters and beside Logits.

The samplers' own declarations make every row; nothing here knows a sampler by name.
"""

from __future__ import annotations

import asyncio

from webui.chosen import chosen_chain, keep_chain, values_as_json
from webui.errors import BadValue
from webui.preferences import Preferences
from webui.samplers import BALANCED, Chain
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function
from webui.tabs.declared import tell_samplers
from webui.tabs.pieces import ChainEditor
from webui.tabs.words import Words


class ChainServer:
    """Reads and keeps the chosen chain."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    async def _ask_get(self, words: Words, asked: Asked) -> Answer:
        return {**self._stages(words), "samplers": tell_samplers(words.language)}

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


def build(services: Services, elem_id: str) -> ChainEditor:
    """The editor; it triggers `changed` after every change that was kept."""
    return ChainEditor(
        elem_id=elem_id, server_functions=[server_function("chain", services, ChainServer(services.preferences))]
    )
