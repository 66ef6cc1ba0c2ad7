"""The models on the disk as the fleet asks for them: by name, with their kept settings, and whether there is room.

Brings library, kept settings and the memory estimate together. Knows nothing of workers or requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from webui.errors import BadValue
from webui.hub.library import Library, ModelEntry
from webui.hub.machine import Machine, Used, machine_now, used_by
from webui.hub.memory import Estimate, verdict
from webui.hub.reasons import BadModelFile
from webui.hub.room import Held, room
from webui.hub.shapes import Shapes
from webui.model_settings import ModelSettings
from webui.runtime.fallback import Order
from webui.runtime.fleet import Occupant, key_of
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

    def estimate(self, spec: LoadSpec, machine: Machine | None = None) -> Estimate | None:
        """What it takes on this machine; None where nothing can be said (another engine, an unreadable file)."""
        if spec.engine != "llamacpp":
            return None
        try:
            return self.shapes.estimate(self._library.look_at(Path(spec.path)), spec, machine or machine_now())
        except (BadModelFile, BadValue, OSError):
            return None

    def shortage(self, spec: LoadSpec, staying: Sequence[Occupant], leaving: Sequence[Occupant] = ()) -> str:
        """Counts what each of them really holds now, and what those that are still being loaded come to."""
        there = room(machine_now(), [self._held(one) for one in staying], [self._held(one) for one in leaving])
        needed = self.estimate(spec, there)
        if needed is None:
            return ""
        found = verdict(needed, there)
        return "" if found.fits else found.sentence

    def _held(self, one: Occupant) -> Held:
        used = (used_by(one.pid) if one.pid else None) or Used(0)
        expected = self.estimate(one.spec) if one.loading else None
        return Held(one.spec.name, False, used, expected, one.spec.options.get("mlock") is True)

    def check(self, spec: LoadSpec) -> None:
        """Raise what is wrong with the file now: it may be another one than when it was loaded."""
        if spec.engine == "llamacpp":
            entry = self._library.look_at(Path(spec.path))
            if entry.reason:
                raise BadModelFile(entry.reason, entry.culprit or entry.path.name)


def _keys(entry: ModelEntry) -> tuple[str, str]:
    return key_of(entry.name), key_of(entry.path.name)
