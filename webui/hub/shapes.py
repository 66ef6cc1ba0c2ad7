"""Shapes of models by file, size and time, so that nobody reads a header twice: neither a moved slider nor a load that
looks for room; and what a load by a spec takes, its LoRA files counted in. Call from any thread."""

from __future__ import annotations

import threading
from pathlib import Path

from webui.errors import BadValue
from webui.hub.library import ModelEntry
from webui.hub.machine import Machine
from webui.hub.memory import Estimate, Plan, estimate, plan_of
from webui.hub.shape import Shape, shape_of_facts, shape_of_files
from webui.types import LoadSpec

MOST = 64


class Shapes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, float], Shape] = {}

    def of(self, entry: ModelEntry) -> Shape:
        """BadModelFile or OSError for a file that cannot be read, BadValue where the files do not tell."""
        key = (str(entry.path), entry.size_bytes, entry.modified)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = _read(entry)
            with self._lock:
                while len(self._known) >= MOST:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = known
        return known

    def plan(self, entry: ModelEntry, spec: LoadSpec, machine: Machine) -> Plan:
        """How it would be loaded on this machine; raises as `of`."""
        return plan_of(spec, self.of(entry), machine, adapters=_adapter_bytes(spec))

    def estimate(self, entry: ModelEntry, spec: LoadSpec, machine: Machine) -> Estimate:
        """What that takes; raises as `of`."""
        return estimate(self.of(entry), self.plan(entry, spec, machine))


def _adapter_bytes(spec: LoadSpec) -> int:
    """The bytes of its LoRA files that are there; each is kept in memory whole."""
    files = [Path(str(lora.get("path", ""))) for lora in spec.options.get("loras", ())]
    return sum(file.stat().st_size for file in files if file.is_file())


def _read(entry: ModelEntry) -> Shape:
    if entry.kind == "gguf":
        return shape_of_files(entry.files)
    if entry.facts is None or not entry.facts.layers:
        raise BadValue("Its files do not tell how much memory it needs.", code="no_shape")
    return shape_of_facts(entry.facts)
