"""The Model tab: its frame, and what is loaded, how it is loaded, how much memory that takes, progress and cancel.

The list is model_list.py's, the form model_options.py's, the estimate model_fit.py's, RoPE model_rope.py's.
"""

from __future__ import annotations

import asyncio

import gradio as gr

from webui.chosen import keep_chain
from webui.errors import BadValue, LoadFailed, WebUIError
from webui.hub.library import ModelEntry
from webui.hub.machine import machine_now, used_by
from webui.hub.memory import Estimate
from webui.hub.room import Held, room
from webui.model_settings import NUMBERS
from webui.services import Services
from webui.tabs import downloads, fallback, guide, model_rope, model_set, quantise
from webui.tabs.asking import Answer, Asked, server_function, text
from webui.tabs.labels import label
from webui.tabs.model_fit import Fitter
from webui.tabs.model_list import ListServer, find_entry, piece_function
from webui.tabs.model_options import form, spec_from, values_of
from webui.tabs.model_own import OwnServer, Switch
from webui.tabs.model_words import short_number, size_text
from webui.tabs.pieces import ModelView
from webui.tabs.shell import model_state
from webui.tabs.words import Words
from webui.types import LoadSpec, ModelInfo


class ModelServer:
    def __init__(self, services: Services, own: OwnServer) -> None:
        self._services = services
        self._models = services.models
        self._preferences = services.preferences
        self._fitter = Fitter(services.depot.shapes)
        self._own = own
        self._news: Switch | BadValue | None = None
        self._loading: set[asyncio.Task[None]] = set()

    async def _ask_form(self, words: Words, asked: Asked) -> Answer:
        """The controls, and the values this model starts with."""
        entry = await self._find(asked)
        return {"groups": form(words), "values": values_of(self._base(entry))}

    async def _ask_fit(self, words: Words, asked: Asked) -> Answer:
        """Whether these values fit in the current model's place, and beside all that are loaded."""
        entry = await self._find(asked)
        spec = spec_from(self._base(entry), asked)
        return await asyncio.to_thread(self._fit, words, entry, spec)

    def _fit(self, words: Words, entry: ModelEntry, spec: LoadSpec) -> Answer:
        machine, models = machine_now(), self._held()
        answer = self._fitter.look(words, entry, spec, room(machine, *model_set.replacing(models, entry.name)))
        needed = self._fitter.planned(entry, spec, room(machine, *model_set.beside(models, entry.name)))
        return {**answer, "set": model_set.look(words, machine, models, entry.name, needed)}

    def _held(self) -> list[Held]:
        """What the models that are there hold now, and come to where they are still being loaded."""
        found = []
        for seat in self._models.seats():
            spec, used = seat.status.spec, used_by(seat.pid) if seat.pid else None
            if spec is None or used is None:
                continue
            coming = self._planned(spec) if seat.status.stage == "loading" else None
            found.append(Held(seat.name, seat.current, used, coming, spec.options.get("mlock") is True))
        return found

    async def _ask_rope(self, words: Words, asked: Asked) -> Answer:
        return model_rope.look(words, await self._find(asked), asked)

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        status = self._models.status()
        loaded = status.spec.path if status.spec and status.stage in ("ready", "loading") else ""
        seats = await asyncio.to_thread(self._seats, words)
        return {**model_state(words, status), "loaded": loaded, "seats": seats, "news": self._told(words)}

    def _told(self, words: Words) -> Answer:
        """What the last change of the current model brought with it."""
        news = self._news
        if isinstance(news, Switch):
            return {"text": words("model.news.preset", model=news.model, preset=news.preset), "undo": True}
        if news is not None:
            reason = words.problem(news.code, news.message, news.values)
            return {"text": words("model.news.preset_gone", model=self._models.current, reason=reason), "undo": False}
        return {"text": "", "undo": False}

    def _seats(self, words: Words) -> list[Answer]:
        """Every model that is loaded, is being loaded, or sleeps until it is asked for."""
        return [
            {
                **model_state(words, seat.status),
                "name": seat.name,
                "path": seat.status.spec.path if seat.status.spec else "",
                "current": seat.current,
                "asleep": seat.asleep,
                "facts": self._facts(words, seat.status.info, seat.status.spec, seat.pid) if seat.status.info else [],
            }
            for seat in self._models.seats()
        ]

    def _facts(self, words: Words, info: ModelInfo, spec: LoadSpec | None, pid: int) -> list[list[str]]:
        rows = {
            "architecture": info.architecture,
            "parameters": short_number(words, info.n_params),
            "size": size_text(words, info.size_bytes),
            "context": words("model.fact.context.value", n=info.n_ctx, trained=info.n_ctx_train or "?"),
            "slots": str(info.slots),
            "vocabulary": str(info.n_vocab),
            "layers": words("model.fact.layers.value", gpu=info.n_gpu_layers, all=info.n_layers),
            "seconds": words("model.fact.seconds.value", n=words.number(info.load_seconds, 1)),
        }
        used = used_by(pid) if pid else None
        if used is not None:
            rows["memory"] = size_text(words, used.ram + used.gpu)
        planned = self._planned(spec)
        if planned is not None:
            rows["planned"] = size_text(words, planned.total)
        return [[words(f"model.fact.{name}"), value] for name, value in rows.items()]

    def _planned(self, spec: LoadSpec | None) -> Estimate | None:
        """What the estimate says of a model that is there; None if there is no file to ask."""
        if spec is None or spec.engine == "fake":
            return None
        try:
            return self._fitter.planned(find_entry(self._services.library, spec.path), spec, machine_now())
        except WebUIError:
            return None

    async def _ask_load(self, words: Words, asked: Asked) -> Answer:
        """Begin to load; how it goes on is the state's affair."""
        entry = await self._find(asked)
        if not entry.loadable:
            raise LoadFailed(entry.problem or "This is not a model that can be loaded.", code="not_loadable")
        spec = spec_from(self._base(entry), asked)
        own = {name: getattr(spec, name) for name in NUMBERS}
        await asyncio.to_thread(lambda: self._services.model_settings.keep(entry.name, **own, options=spec.options))
        await asyncio.to_thread(lambda: self._preferences.set(model=str(entry.path)))
        loading = asyncio.create_task(self._load(spec, beside=asked.get("beside") is True), name="load from the page")
        self._loading.add(loading)
        loading.add_done_callback(self._loading.discard)
        await asyncio.sleep(0.05)
        return await self._ask_state(words, {})

    async def _ask_cancel(self, words: Words, asked: Asked) -> Answer:
        await self._models.cancel_load(text(asked, "name", 400) or None)
        return await self._ask_state(words, {})

    async def _ask_current(self, words: Words, asked: Asked) -> Answer:
        self._models.make_current(text(asked, "name", 400))
        await self._use_preset()
        return await self._ask_state(words, {})

    async def _ask_undo_preset(self, words: Words, asked: Asked) -> Answer:
        """Back to the chain before a model's preset took its place."""
        news, self._news = self._news, None
        if isinstance(news, Switch):
            await asyncio.to_thread(keep_chain, self._preferences, news.before)
        return await self._ask_state(words, {})

    async def _ask_unload(self, words: Words, asked: Asked) -> Answer:
        """Unload, and say how much memory the model held."""
        name = text(asked, "name", 400)
        pid = next((seat.pid for seat in self._models.seats() if seat.name == name), 0)
        used = await asyncio.to_thread(used_by, pid) if pid else None
        await self._models.unload(name)
        freed = words("model.freed", n=size_text(words, used.ram + used.gpu)) if used else ""
        return {**await self._ask_state(words, {}), "freed": freed}

    async def _load(self, spec: LoadSpec, *, beside: bool) -> None:
        try:
            await self._models.load(spec, beside=beside)
        except WebUIError:
            return  # the models' status says why, and the page shows that
        if self._models.current == spec.name:
            await self._use_preset()

    async def _use_preset(self) -> None:
        """The preset that is kept for the current model takes effect, and the page says so."""
        try:
            self._news = await asyncio.to_thread(self._own.use_preset, self._models.current)
        except BadValue as error:
            self._news = error

    async def _find(self, asked: Asked) -> ModelEntry:
        return await asyncio.to_thread(find_entry, self._services.library, text(asked, "path", 4096))

    def _base(self, entry: ModelEntry) -> LoadSpec:
        """How this model is loaded as things stand: flags, general settings, its own."""
        return self._services.model_settings.spec(entry)


def build(services: Services) -> None:
    """The tab's frame: one section beside the other; `Lab.openTab("model-get")` shows one from a script."""
    listed, own = ListServer(services), OwnServer(services)
    asks = [
        server_function("model", services, ModelServer(services, own)),
        server_function("model_own", services, own),
        server_function("model_list", services, listed),
        piece_function(services, listed),
    ]
    with gr.Column(elem_classes="page"), gr.Tabs(elem_id="model-tabs"):
        with _section("own"):
            guide.build(services, "guide-own")
            ModelView(elem_id="model", server_functions=asks)
        with _section("get"):
            guide.build(services, "guide-get")
            downloads.build(services)
        with _section("quantise"):
            quantise.build(services)
        with _section("fallback"):
            fallback.build(services)


def _section(name: str) -> gr.Tab:
    """A part of the tab: own (your models), get (downloads, search, first suggestions), quantise, fallback."""
    return gr.Tab(label(f"tab.model-{name}"), id=f"model-{name}", elem_id=f"tab-model-{name}")
