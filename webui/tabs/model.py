"""The Model tab: what there is to load, what is loaded, context and GPU layers, progress and cancel."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import gradio as gr

from webui.errors import BadValue, LoadFailed, WebUIError
from webui.hub.library import ModelEntry
from webui.preferences import Preferences
from webui.services import Services
from webui.tabs import downloads
from webui.tabs.asking import Answer, Asked, number, server_function, text
from webui.tabs.labels import label
from webui.tabs.pieces import ModelView
from webui.tabs.shell import model_state
from webui.tabs.words import Words
from webui.types import LoadSpec

SMALLEST_CONTEXT, LARGEST_CONTEXT = 64, 1 << 24


class ModelServer:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._models = services.models
        self._preferences: Preferences = services.preferences
        self._loading: asyncio.Task[None] | None = None

    async def _ask_list(self, words: Words, asked: Asked) -> Answer:
        """What there is; with `scan` the folders are looked at again."""
        library = self._services.library
        look = library.scan if asked.get("scan") else library.entries
        entries = await asyncio.to_thread(look)
        kept = {"n_ctx": self._context(), "n_gpu_layers": self._preferences["n_gpu_layers"]}
        folders = [str(folder) for folder in library.folders]
        listed = [entry for entry in entries if entry.kind not in ("lora", "projector", "tokenizer")]
        return {
            **await self._ask_state(words, {}),
            **kept,
            "folders": folders,
            "models": [_row(words, e) for e in listed],
        }

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        status = self._models.status()
        info = status.info
        facts: list[list[str]] = []
        if info is not None:
            rows = {
                "architecture": info.architecture,
                "parameters": _short(words, info.n_params),
                "size": _bytes(words, info.size_bytes),
                "context": words("model.fact.context.value", n=info.n_ctx, trained=info.n_ctx_train or "?"),
                "slots": str(info.slots),
                "vocabulary": str(info.n_vocab),
                "layers": words("model.fact.layers.value", gpu=info.n_gpu_layers, all=info.n_layers),
                "seconds": words("model.fact.seconds.value", n=words.number(info.load_seconds, 1)),
            }
            facts = [[words(f"model.fact.{name}"), value] for name, value in rows.items()]
        loaded = status.spec.path if status.spec and status.stage in ("ready", "loading") else ""
        return {**model_state(words, status), "loaded": loaded, "facts": facts}

    async def _ask_load(self, words: Words, asked: Asked) -> Answer:
        """Begin to load; how it goes on is the state's affair."""
        entry = await self._find(text(asked, "path", 4096))
        n_ctx = number(asked, "n_ctx", SMALLEST_CONTEXT, LARGEST_CONTEXT)
        n_gpu_layers = number(asked, "n_gpu_layers", -1, 10_000)
        await asyncio.to_thread(
            lambda: self._preferences.set(model=str(entry.path), n_ctx=n_ctx, n_gpu_layers=n_gpu_layers)
        )
        spec = replace(self._spec(entry), n_ctx=n_ctx, n_gpu_layers=n_gpu_layers)
        self._loading = asyncio.create_task(self._load(spec), name="load from the page")
        await asyncio.sleep(0.05)
        return await self._ask_state(words, {})

    async def _ask_cancel(self, words: Words, asked: Asked) -> Answer:
        await self._models.cancel_load()
        return await self._ask_state(words, {})

    async def _ask_unload(self, words: Words, asked: Asked) -> Answer:
        await self._models.unload()
        return await self._ask_state(words, {})

    async def _ask_add(self, words: Words, asked: Asked) -> Answer:
        """A file or folder where it is; nothing is copied."""
        path = text(asked, "path", 4096).strip().strip('"')
        await asyncio.to_thread(self._services.library.add, path)
        return await self._ask_list(words, {"scan": True})

    async def _ask_forget(self, words: Words, asked: Asked) -> Answer:
        await asyncio.to_thread(self._services.library.forget, Path(text(asked, "path", 4096)))
        return await self._ask_list(words, {"scan": True})

    async def _load(self, spec: LoadSpec) -> None:
        try:
            await self._models.load(spec)
        except WebUIError:
            return  # the models' status says why, and the page shows that

    async def _find(self, path: str) -> ModelEntry:
        """Only what the library lists can be loaded from the page."""
        for entry in await asyncio.to_thread(self._services.library.entries):
            if str(entry.path) == path:
                if not entry.loadable:
                    raise LoadFailed(entry.problem or "This is not a model that can be loaded.", code="not_loadable")
                return entry
        raise BadValue("This model is gone: scan the folder again.", param="path", code="model_gone")

    def _spec(self, entry: ModelEntry) -> LoadSpec:
        settings = self._services.settings
        return LoadSpec(
            path=str(entry.path),
            engine="llamacpp" if entry.kind == "gguf" else "exllamav2",
            name=entry.name,
            threads=settings.threads,
            slots=settings.parallel,
        )

    def _context(self) -> int:
        return int(self._preferences["n_ctx"] or self._services.settings.n_ctx)


def _row(words: Words, entry: ModelEntry) -> Answer:
    facts = entry.facts
    return {
        "name": entry.name,
        "path": str(entry.path),
        "origin": entry.origin,
        "kind": entry.kind,
        "size": _bytes(words, entry.size_bytes),
        "architecture": facts.architecture if facts else "",
        "parameters": _short(words, facts.parameters) if facts and facts.parameters else "",
        "quantisation": facts.quantisation if facts else "",
        "in_words": facts.quantisation_in_words(words.language) if facts else "",
        "context": facts.context if facts else 0,
        "template": bool(facts and facts.chat_template),
        "layers": facts.layers if facts else 0,
        "problem": entry.problem_in(words.language) or "",
        "loadable": entry.loadable,
    }


def _bytes(words: Words, count: int) -> str:
    if count >= 10**9:
        return words("unit.gb", n=words.number(count / 1e9, 2))
    return words("unit.mb", n=words.number(count / 1e6, 0))


def _short(words: Words, count: int) -> str:
    if count >= 10**9:
        return words("unit.billion", n=words.number(count / 1e9, 1))
    return words("unit.million", n=words.number(count / 1e6, 0))


def build(services: Services) -> None:
    """The tab's frame: one section beside the other; `Lab.openTab("model-get")` shows one from a script."""
    with gr.Column(elem_classes="page"), gr.Tabs(elem_id="model-tabs"):
        with _section("own"):
            ModelView(elem_id="model", server_functions=[server_function("model", services, ModelServer(services))])
        with _section("get"):
            downloads.build(services)


def _section(name: str) -> gr.Tab:
    """A part of the tab: own (your models), get (downloads, search, first suggestions), quantise."""
    return gr.Tab(label(f"tab.model-{name}"), id=f"model-{name}", elem_id=f"tab-model-{name}")
