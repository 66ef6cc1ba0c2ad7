"""The parts of the program that tabs and api work with, built once (building.py) and passed down."""

from __future__ import annotations

from dataclasses import dataclass

from webui.chat.conversation import Conversations
from webui.depot import Depot
from webui.errors import WebUIError
from webui.fallback_settings import FallbackSettings
from webui.hub.comparing import Comparer
from webui.hub.library import Library
from webui.hub.quantise import Quantiser
from webui.hub.queue import Downloads
from webui.hub.search import Hub
from webui.model_settings import ModelSettings
from webui.preferences import Preferences
from webui.runtime.fallback import Fallback
from webui.runtime.fleet import Fleet
from webui.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Each part is added here by whoever writes it. `problem` is what the start could not do; the page shows it."""

    settings: Settings
    library: Library
    models: Fleet
    preferences: Preferences
    conversations: Conversations
    hub: Hub
    downloads: Downloads
    quantiser: Quantiser
    comparer: Comparer
    model_settings: ModelSettings
    depot: Depot
    fallback_settings: FallbackSettings
    fallback: Fallback
    problem: WebUIError | None = None

    async def close(self) -> None:
        """End what runs (downloads go on at the next start), then flush what is kept; in this order."""
        await self.downloads.close()
        await self.quantiser.close()
        await self.comparer.close()
        await self.conversations.close()
        await self.models.close()
