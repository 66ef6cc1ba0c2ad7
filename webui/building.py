"""Builds the parts of the program from the settings, in one place and in their order."""

from __future__ import annotations

import time

from webui.errors import WebUIError
from webui.hub.library import Library, ModelEntry
from webui.services import Services
from webui.settings import Settings
from webui.types import LoadSpec


def build_services(settings: Settings, library: Library, problem: WebUIError | None = None) -> Services:
    """Everything pages and API work with. `problem` is what the start could not do and the page has to say."""
    from webui.chat.conversation import Conversations
    from webui.chat.history import History
    from webui.chosen import reply_settings
    from webui.hub.comparing import Comparer
    from webui.hub.quantise import Quantiser
    from webui.hub.queue import Downloads
    from webui.hub.search import Hub
    from webui.preferences import Preferences
    from webui.runtime.models import Models

    models = Models(echo=settings.verbose)
    preferences = Preferences(settings.data_dir / "settings.json")
    history = History(settings.data_dir / "chats.sqlite3")
    hub, folder = Hub.from_environment(), settings.model_dir[0]
    conversations = Conversations(models, history, lambda: reply_settings(preferences))
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
        problem=problem,
    )


def load_spec(settings: Settings, entry: ModelEntry) -> LoadSpec:
    """How a model is loaded when nobody has said anything about it: the flags."""
    return LoadSpec(
        path=str(entry.path),
        engine="llamacpp" if entry.kind == "gguf" else "exllamav2",
        name=entry.name,
        n_ctx=settings.n_ctx,
        n_gpu_layers=settings.n_gpu_layers,
        threads=settings.threads,
        slots=settings.parallel,
    )


async def first_load(services: Services, entry: ModelEntry) -> None:
    """Load the model of the start behind the page; a failure stands in the models' status, where the page shows it."""
    started = time.monotonic()
    try:
        await services.models.load(load_spec(services.settings, entry))
    except WebUIError as error:
        print(error.message, flush=True)
        return
    print(f"{entry.name} is ready ({time.monotonic() - started:.1f} s).", flush=True)
