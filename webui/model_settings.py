"""What is kept for each model: how it is loaded, its preset and template, whether at start, when it may go to sleep.

One JSON file in the data folder, models.json, by the names of the library. The one place where flags, general settings
and a model's own become a LoadSpec. Knows nothing of what is loaded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from webui import load_options
from webui.chat.templates import OwnTemplates, choose_template
from webui.errors import BadValue, WebUIError
from webui.hub.library import ModelEntry
from webui.kept_file import KeptFile
from webui.preferences import Preferences
from webui.settings import Settings
from webui.types import LoadSpec, ModelInfo

log = logging.getLogger(__name__)

NUMBERS = ("n_ctx", "n_gpu_layers", "threads", "slots", "n_batch")
LONGEST_NAME = 200
LONGEST_IDLE = 60 * 24 * 365


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for one model. None, "" or nothing in `options` means: as for all models.

    `options` are those of load_options.py by name (RoPE and LoRAs among them); `preset` and `template` are names;
    `idle_minutes` is after how many minutes without work it goes to sleep (0: never).
    """

    n_ctx: int | None = None
    n_gpu_layers: int | None = None
    threads: int | None = None
    slots: int | None = None
    n_batch: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""
    template: str = ""
    load_at_start: bool = False
    idle_minutes: int | None = None

    @property
    def numbers(self) -> dict[str, int]:
        """Those of LoadSpec's own numbers that are kept."""
        return {name: value for name in NUMBERS if (value := getattr(self, name)) is not None}

    def as_data(self) -> dict[str, Any]:
        """Only what differs from what holds for all models."""
        nothing = Kept()
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != getattr(nothing, f.name)}


NAMES = frozenset(item.name for item in fields(Kept))


class ModelSettings:
    """Reading is free; every change is on the disk when the call returns. Call from any thread."""

    def __init__(self, file: Path, settings: Settings, preferences: Preferences) -> None:
        self._settings = settings
        self._preferences = preferences
        self._lock = threading.Lock()
        self._file = KeptFile(file)
        self._read = self._file.read()
        self._kept: dict[str, Kept] = {}
        ignored: list[str] = []
        for name, data in self._read.items():
            self._kept[name], lost = _from_data(name, data)
            ignored += lost
        self.ignored = tuple(ignored)
        """What stood in the file and cannot be: "model" or "model: setting"."""

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file went."""
        return self._file.set_aside

    def of(self, name: str) -> Kept:
        return self._kept.get(name, Kept())

    def keep(self, name: str, **values: Any) -> Kept:
        """Check, keep, write. None forgets a value; `options` are replaced as a whole."""
        unknown = sorted(values.keys() - NAMES)
        if unknown:
            raise BadValue(f"A model has no setting called {unknown[0]!r}.", param=unknown[0])
        nothing = Kept()
        wanted = {key: getattr(nothing, key) if value is None else value for key, value in values.items()}
        with self._lock:
            kept = replace(self.of(name), **wanted)
            _check(name, kept)
            if kept == self.of(name):
                return kept
            if kept.load_at_start and not self.of(name).load_at_start:
                self._kept.pop(name, None)  # to the end: the first that was marked stays the first
            self._kept[name] = kept
            self._write()
        return kept

    def forget(self, name: str) -> None:
        """As if nothing had ever been set for this model."""
        with self._lock:
            if self._kept.pop(name, None) is not None:
                self._write()

    def at_start(self) -> tuple[str, ...]:
        """The models to load at start, in the order they were marked."""
        return tuple(name for name, kept in self._kept.items() if kept.load_at_start)

    def idle_minutes(self, name: str) -> int:
        """After how long without work a model goes to sleep; 0: never."""
        own = self.of(name).idle_minutes
        return self._settings.idle_unload if own is None else own

    def spec(self, entry: ModelEntry) -> LoadSpec:
        """How this model is loaded: the flags, over them what is set for all models, over that its own."""
        kept, preferences = self.of(entry.name), self._preferences
        general = {name: preferences[name] for name in ("n_ctx", "n_gpu_layers") if name in preferences}
        if not general.get("n_ctx"):
            general["n_ctx"] = self._settings.n_ctx
        flags = LoadSpec(
            path=str(entry.path),
            engine="llamacpp" if entry.kind == "gguf" else "exllamav2",
            name=entry.name,
            n_gpu_layers=self._settings.n_gpu_layers,
            threads=self._settings.threads,
            slots=self._settings.parallel,
        )
        return replace(flags, **{**general, **kept.numbers}, options=dict(kept.options))

    def dressed(self, info: ModelInfo) -> ModelInfo:
        """A loaded model with the template that is kept for it in the place of its own."""
        wanted = self.of(info.name).template
        if not wanted:
            return info
        try:
            source = choose_template(info, wanted, OwnTemplates(self._settings.data_dir / "templates")).source
        except WebUIError as error:
            log.warning("%s keeps its own prompt template: %s", info.name, error.message)
            return info
        return replace(info, chat_template=source)

    def _write(self) -> None:
        self._file.write({name: data for name, kept in self._kept.items() if (data := kept.as_data())})


def _check(name: str, kept: Kept) -> None:
    """BadValue for what no model could be loaded with."""
    if not name or len(name) > LONGEST_NAME or not isinstance(name, str):
        raise BadValue("A model's settings need the model's name.", param="name")
    if not isinstance(kept.options, Mapping):
        raise BadValue("options must be load options by name.", param="options")
    load_options.check_spec(replace(LoadSpec(name, options=kept.options), **kept.numbers))  # type: ignore[arg-type]
    for text in ("preset", "template"):
        value = getattr(kept, text)
        if not isinstance(value, str) or len(value) > LONGEST_NAME:
            raise BadValue(f"{text} must be a name of at most {LONGEST_NAME} characters.", param=text)
    if not isinstance(kept.load_at_start, bool):
        raise BadValue("load_at_start must be true or false.", param="load_at_start")
    idle = kept.idle_minutes
    if idle is not None and (isinstance(idle, bool) or not isinstance(idle, int) or not 0 <= idle <= LONGEST_IDLE):
        raise BadValue(
            f"idle_minutes must be a whole number from 0 (never) to {LONGEST_IDLE}, not {idle!r}.", param="idle_minutes"
        )


def _from_data(name: str, data: Any) -> tuple[Kept, list[str]]:
    """What a file says of a model, setting by setting, and what of it cannot be."""
    if not isinstance(data, dict):
        return Kept(), [name]
    kept, lost = Kept(), []
    for key, value in data.items():
        if key not in NAMES:
            lost.append(f"{name}: {key}")
            continue
        try:
            wanted = replace(kept, **{key: value})
            _check(name, wanted)
        except BadValue:
            lost.append(f"{name}: {key}")
        else:
            kept = wanted
    return kept, lost
