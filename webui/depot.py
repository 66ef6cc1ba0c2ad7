"""The models on the disk as the fleet asks for them: by name, with their kept settings, and whether there is room.

Brings library, kept settings and the memory estimate together. Knows nothing of workers or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from webui.errors import BadValue
from webui.hub.library import Library, ModelEntry
from webui.hub.machine import machine_now
from webui.hub.memory import Estimate, estimate, plan_of, verdict
from webui.hub.reasons import BadModelFile
from webui.hub.shape import Shape
from webui.hub.shapes import Shapes
from webui.model_settings import ModelSettings
from webui.runtime.fallback import Order
from webui.runtime.fleet import key_of
from webui.types import LoadSpec


class Depot:
    """The program's `runtime.fleet.Shelf`. `on_demand` says whether requests may have any model loaded; those of the
    fallback order always come when they are asked for."""

    def __init__(
        self, library: Library, kept: ModelSettings, *, on_demand: bool, order: Callable[[], Order] = Order
    ) -> None:
        self._library = library
        self._kept = kept
        self._on_demand = on_demand
        self._order = order
        self.shapes = Shapes()

    def loadable(self) -> tuple[str, ...]:
        """The names of the models that are loaded when first asked for."""
        allowed = self._allowed()
        return tuple(entry.name for entry in self._library.entries() if entry.loadable and allowed(entry))

    def find(self, name: str) -> LoadSpec | None:
        allowed, wanted = self._allowed(), key_of(name)
        for entry in self._library.entries():
            if entry.loadable and wanted in _keys(entry) and allowed(entry):
                return self._kept.spec(entry)
        return None

    def _allowed(self) -> Callable[[ModelEntry], bool]:
        """Which models a request may have loaded."""
        if self._on_demand:
            return lambda entry: True
        order = self._order()
        listed = {key_of(model.name) for model in order.models} if order.in_force else set()
        return lambda entry: not listed.isdisjoint(_keys(entry))

    def idle_minutes(self, name: str) -> float:
        return self._kept.idle_minutes(name)

    def estimate(self, spec: LoadSpec) -> Estimate | None:
        """What it takes on this machine; None where nothing can be said (another engine, an unreadable file)."""
        shape = self._shape(spec)
        return estimate(shape, plan_of(spec, shape, machine_now())) if shape else None

    def shortage(self, spec: LoadSpec, loaded: Sequence[LoadSpec], loading: Sequence[LoadSpec]) -> str:
        """What is free leaves out what loaded models hold, but for their weights: those are mapped files, which the
        system counts as free although they are in use. Models being loaded have taken nothing yet."""
        needed = self.estimate(spec)
        if needed is None:
            return ""
        machine = machine_now()
        ram, gpu = machine.ram_free, 0
        for other in loaded:
            held = self.estimate(other)
            ram -= held.ram.weights if held and held.plan.mmap else 0
        for other in loading:
            coming = self.estimate(other)
            ram -= coming.ram.total if coming else 0
            gpu += coming.gpu.total if coming else 0
        gpus = tuple(replace(card, free=max(0, card.free - gpu // len(machine.gpus))) for card in machine.gpus)
        found = verdict(needed, replace(machine, ram_free=max(0, ram), gpus=gpus))
        return "" if found.fits else found.sentence

    def check(self, spec: LoadSpec) -> None:
        """Raise what is wrong with the file now: it may be another one than when it was loaded."""
        if spec.engine == "llamacpp":
            entry = self._library.look_at(Path(spec.path))
            if entry.reason:
                raise BadModelFile(entry.reason, entry.culprit or entry.path.name)

    def _shape(self, spec: LoadSpec) -> Shape | None:
        if spec.engine != "llamacpp":
            return None
        try:
            return self.shapes.of(self._library.look_at(Path(spec.path)))
        except (BadModelFile, BadValue, OSError):
            return None


def _keys(entry: ModelEntry) -> tuple[str, str]:
    return key_of(entry.name), key_of(entry.path.name)
