"""Presets above the chain in Parameters: choose, keep as an own one, delete, import from other programs.

Choosing writes the chain that every tab generates with; which preset is in force is read off that chain, never kept.
"""

from __future__ import annotations

import asyncio
from typing import Any

from webui.chosen import chosen_chain, keep_chain
from webui.errors import BadValue
from webui.lab.export import chain_data
from webui.samplers import Chain
from webui.samplers.declare import Text
from webui.samplers.preset_import import import_preset
from webui.samplers.presets import Preset, Presets
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function, text
from webui.tabs.pieces import PresetBar
from webui.tabs.words import Words

LONGEST_NAME = 60
LONGEST_FILE = 64 * 1024


class PresetServer:
    def __init__(self, services: Services) -> None:
        self._preferences = services.preferences
        self._presets = Presets(services.settings.data_dir / "presets")

    async def _ask_list(self, words: Words, asked: Asked) -> Answer:
        return await asyncio.to_thread(self._list, words)

    async def _ask_use(self, words: Words, asked: Asked) -> Answer:
        """The preset's chain becomes the chain of every tab."""
        name = text(asked, "name", LONGEST_NAME)

        def use() -> Answer:
            preset = self._presets.load(name)
            keep_chain(self._preferences, preset.steps)
            return {**self._list(words), "notes": _notes(words, preset)}

        return await asyncio.to_thread(use)

    async def _ask_save(self, words: Words, asked: Asked) -> Answer:
        """The present chain under a name; an own preset is only replaced when that was asked for."""
        name = text(asked, "name", LONGEST_NAME).strip()

        def save() -> Answer:
            if not name:
                raise BadValue("Give the preset a name first.", param="name", code="empty_name")
            if name in self._presets.names() and not asked.get("replace"):
                return {**self._list(words), "exists": name}
            self._presets.save(name, chosen_chain(self._preferences))
            return {**self._list(words), "saved": name}

        return await asyncio.to_thread(save)

    async def _ask_delete(self, words: Words, asked: Asked) -> Answer:
        """Gone, but the answer still holds it, for `restore`."""
        name = text(asked, "name", LONGEST_NAME)

        def delete() -> Answer:
            preset = self._presets.load(name)
            self._presets.delete(name)
            steps = chain_data(preset.steps)
            note = {"en": preset.note.en, "ru": preset.note.ru}
            return {**self._list(words), "deleted": {"name": name, "steps": steps, "note": note}}

        return await asyncio.to_thread(delete)

    async def _ask_restore(self, words: Words, asked: Asked) -> Answer:
        name, note = text(asked, "name", LONGEST_NAME), asked.get("note")
        texts = note if isinstance(note, dict) else {}

        def restore() -> Answer:
            steps: Any = asked.get("steps")
            self._presets.save(name, steps, Text(str(texts.get("en", "")), str(texts.get("ru", ""))))
            return self._list(words)

        return await asyncio.to_thread(restore)

    async def _ask_import(self, words: Words, asked: Asked) -> Answer:
        """A file of another program becomes an own preset and is used at once; what it asks in vain is named."""
        filename, content = text(asked, "filename", 255), text(asked, "content", LONGEST_FILE)

        def take() -> Answer:
            preset = import_preset(filename, content.encode("utf-8", "replace")).preset
            name = self._free_name(preset.name[:LONGEST_NAME])
            self._presets.save(name, preset.steps, preset.note)
            keep_chain(self._preferences, preset.steps)
            return {**self._list(words), "saved": name, "notes": _notes(words, preset)}

        return await asyncio.to_thread(take)

    def _free_name(self, name: str) -> str:
        taken = {known.casefold() for known in self._presets.names()}
        number, free = 2, name
        while free.casefold() in taken:
            number, free = number + 1, f"{name} ({number})"
        return free

    def _list(self, words: Words) -> Answer:
        """All presets with their notes, and which one the present chain is. One that cannot be read says why."""
        now = effect_of(Chain.parse(chosen_chain(self._preferences)))
        listed: list[dict[str, Any]] = []
        current = ""
        for name in self._presets.names():
            try:
                preset = self._presets.load(name)
            except BadValue as error:
                problem = words.problem(error.code, error.message, error.values)
                listed.append({"name": name, "note": problem, "own": self._presets.is_own(name), "broken": True})
                continue
            listed.append({"name": name, "note": preset.note[words.language], "own": preset.own})
            if not current and effect_of(Chain.parse(preset.steps)) == now:
                current = name
        return {"presets": listed, "current": current}


def effect_of(chain: Chain) -> list[tuple[str, dict[str, Any]]]:
    """What the chain really does: two with different stages switched off are the same."""
    return [(stage.sampler.name, dict(stage.values)) for stage in chain.plan]


def _notes(words: Words, preset: Preset) -> list[str]:
    return [f"{note.field}: {note.reason[words.language]}" for note in preset.not_applied]


def build(services: Services) -> PresetBar:
    return PresetBar(elem_id="presets", server_functions=[server_function("presets", services, PresetServer(services))])
