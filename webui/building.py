"""Builds the parts of the program from the settings, in one place and in their order."""

from __future__ import annotations

import asyncio
import time

from webui.errors import WebUIError
from webui.hub.library import Library, ModelEntry
from webui.services import Services
from webui.settings import Settings


def build_services(settings: Settings, library: Library, problem: WebUIError | None = None) -> Services:
    """Everything pages and API work with. `problem` is what the start could not do and the page has to say."""
    from webui.chat.conversation import Conversations
    from webui.chat.history import History
    from webui.chosen import reply_settings
    from webui.depot import Depot
    from webui.fallback_settings import FILE, FallbackSettings
    from webui.hub.comparing import Comparer
    from webui.hub.quantise import Quantiser
    from webui.hub.queue import Downloads
    from webui.hub.search import Hub
    from webui.model_settings import ModelSettings
    from webui.preferences import Preferences
    from webui.runtime.fallback import Fallback
    from webui.runtime.fleet import Fleet
    from webui.runtime.models import Models

    preferences = Preferences(settings.data_dir / "settings.json")
    model_settings = ModelSettings(settings.data_dir / "models.json", settings, preferences)
    fallback_settings = FallbackSettings(settings.data_dir / FILE)
    depot = Depot(library, model_settings, on_demand=settings.load_on_demand, order=fallback_settings.order)
    models = Fleet(depot, lambda: Models(echo=settings.verbose, dress=model_settings.dressed, check=depot.check))
    fallback = Fallback(models, fallback_settings.order)
    history = History(settings.data_dir / "chats.sqlite3")
    hub, folder = Hub.from_environment(), settings.model_dir[0]
    conversations = Conversations(models, history, lambda: reply_settings(preferences), fallback=fallback)
    return Services(
        settings=settings,
        library=library,
        models=models,
        preferences=preferences,
        conversations=conversations,
        hub=hub,
        downloads=Downloads(folder, hub, on_done=lambda _: library.scan()),
        quantiser=Quantiser(folder, on_done=lambda _: library.scan()),
        comparer=Comparer(settings.data_dir, threads=settings.threads),
        model_settings=model_settings,
        depot=depot,
        fallback_settings=fallback_settings,
        fallback=fallback,
        problem=problem,
    )


def chosen_at_start(services: Services) -> tuple[ModelEntry, ...]:
    """What is loaded when no --model was given: those marked for it, else the last one chosen, else the starter."""
    library = services.library
    there = {entry.name: entry for entry in library.entries() if entry.loadable}
    marked = tuple(there[name] for name in services.model_settings.at_start() if name in there)
    if marked:
        return marked
    last = services.preferences["model"]
    chosen = [entry for entry in there.values() if last and str(entry.path) == last]
    fallback = library.default()
    return (chosen[0],) if chosen else (fallback,) if fallback else ()


async def first_load(services: Services, named: ModelEntry | None) -> None:
    """Load the models of the start behind the page, the first as the current one; a failure stands in the models'
    status, where the page shows it."""
    entries = (named,) if named else await asyncio.to_thread(chosen_at_start, services)
    for place, entry in enumerate(entries):
        started = time.monotonic()
        print(f"Loading {entry.name} ...", flush=True)
        try:
            await services.models.load(services.model_settings.spec(entry), beside=place > 0)
        except WebUIError as error:
            print(error.message, flush=True)
            continue
        print(f"{entry.name} is ready ({time.monotonic() - started:.1f} s).", flush=True)
