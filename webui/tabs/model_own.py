"""What is kept for a model beside its load options: preset, template, idle minutes, load at start; LoRA scales live.

Every change is kept at once. Knows nothing of memory or of how a model is loaded.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any

from webui.chat.templates import OwnTemplates, shipped
from webui.chosen import chosen_chain, keep_chain
from webui.errors import BadValue
from webui.hub.library import ModelEntry
from webui.load_options import rescaled
from webui.model_settings import LONGEST_IDLE, LONGEST_NAME, Kept
from webui.samplers import Chain
from webui.samplers.presets import Presets
from webui.services import Services
from webui.tabs import model_lora
from webui.tabs.asking import Answer, Asked, number, old_page, text
from webui.tabs.model_list import find_entry
from webui.tabs.presets import effect_of
from webui.tabs.words import Words
from webui.types import Step


@dataclass(frozen=True, slots=True)
class Switch:
    """The chain was changed for a model's sake; `before` is what it was."""

    model: str
    preset: str
    before: tuple[Step, ...]


class OwnServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._presets = Presets(services.settings.data_dir / "presets")
        self._templates = OwnTemplates(services.settings.data_dir / "templates")

    async def _ask_own(self, words: Words, asked: Asked) -> Answer:
        """What is kept for this model, and what there is to choose from."""
        return await asyncio.to_thread(lambda: self._own(words, self._find(asked)))

    async def _ask_keep(self, words: Words, asked: Asked) -> Answer:
        """One of them, changed."""
        name = text(asked, "name", 40)

        def keep() -> Answer:
            entry = self._find(asked)
            self._services.model_settings.keep(entry.name, **{name: self._checked(name, asked)})
            return self._own(words, entry)

        return await asyncio.to_thread(keep)

    async def _ask_adapters(self, words: Words, asked: Asked) -> Answer:
        """Other scales for LoRAs of a loaded model: at once, and kept for the next load."""
        entry = await asyncio.to_thread(self._find, asked)
        scales = asked.get("scales")
        if not isinstance(scales, dict) or not all(_is_number(value) for value in scales.values()):
            raise old_page("scales")
        settings = self._services.model_settings
        kept = rescaled(settings.spec(entry), scales)
        await self._services.models.set_adapters(entry.name, scales)
        await asyncio.to_thread(lambda: settings.keep(entry.name, options=kept.options))
        return {"scales": scales}

    def use_preset(self, name: str) -> Switch | None:
        """The preset that is kept for this model becomes the chain of every tab; None if there is nothing to do."""
        wanted = self._services.model_settings.of(name).preset
        if not wanted:
            return None
        before = chosen_chain(self._services.preferences)
        steps = self._presets.load(wanted).steps
        if effect_of(Chain.parse(steps)) == effect_of(Chain.parse(before)):
            return None
        keep_chain(self._services.preferences, steps)
        return Switch(name, wanted, before)

    def _find(self, asked: Asked) -> ModelEntry:
        return find_entry(self._services.library, text(asked, "path", 4096))

    def _own(self, words: Words, entry: ModelEntry) -> Answer:
        kept = self._services.model_settings.of(entry.name)
        loaded = next((seat for seat in self._services.models.seats() if seat.name == entry.name), None)
        spec = loaded.status.spec if loaded and loaded.status.info else None
        return {
            "kept": {name: getattr(kept, name) for name in ("preset", "template", "load_at_start", "idle_minutes")},
            "presets": self._presets.names(),
            "templates": self._template_names(),
            "in_file": bool(entry.facts and entry.facts.chat_template),
            "idle_general": self._services.settings.idle_unload,
            "idle_most": LONGEST_IDLE,
            "summary": self._summary(words, kept),
            "loras": model_lora.fitting(words, self._services.library, entry),
            "live": [lora["path"] for lora in spec.options.get("loras", ())] if spec else [],
        }

    def _summary(self, words: Words, kept: Kept) -> str:
        """What of it differs from other models, in a few words."""
        parts = [
            words("model.own.summary.preset", name=kept.preset) if kept.preset else "",
            words("model.own.summary.template", name=kept.template) if kept.template else "",
            words("model.own.summary.idle", n=kept.idle_minutes) if kept.idle_minutes else "",
            words("model.own.summary.awake") if kept.idle_minutes == 0 else "",
            words("model.own.summary.at_start") if kept.load_at_start else "",
        ]
        return " · ".join(part for part in parts if part) or words("model.own.summary.none")

    def _template_names(self) -> list[str]:
        return [*shipped(), *(name for name in self._templates.names() if name not in shipped())]

    def _checked(self, name: str, asked: Asked) -> Any:
        if name == "load_at_start":
            return asked.get("value") is True
        if name == "idle_minutes":
            return None if asked.get("value") is None else number(asked, "value", 0, LONGEST_IDLE)
        known = {"preset": self._presets.names, "template": self._template_names}.get(name)
        if known is None:
            raise old_page("name")
        value = text(asked, "value", LONGEST_NAME)
        if value and value not in known():
            raise BadValue(
                f"{value!r} is not there any more: choose another one.",
                param=name,
                code="choice_gone",
                values={"name": value},
            )
        return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
