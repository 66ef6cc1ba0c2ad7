"""What the user has set and wants to find again: one JSON file in the data folder.

A file from an older version is brought up to date, a damaged one is set aside and named. Knows which values there are
and what they may be; not what they do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import BadValue
from webui.kept_file import KeptFile, Migration

VERSION = 1
TABS = ("chat", "default", "notebook", "logits", "parameters", "model", "session")
MODEL_SECTIONS = ("own", "get", "quantise", "fallback")
"""Parts of the Model tab: your models, downloads, quantising, the fallback order."""
LONGEST_TEXT = 2_000_000

Check = Callable[[Any], bool]

MIGRATIONS: tuple[Migration, ...] = ()
"""Number n turns the values of version n + 1 into those of version n + 2."""


@dataclass(frozen=True, slots=True)
class Preference:
    """`good` says which values are accepted; any other is refused when set and replaced by the default when read."""

    default: Any
    good: Check


def _one_of(*choices: Any) -> Check:
    return lambda value: value in choices


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 16 and all(isinstance(item, str) and item for item in value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _steps(value: Any) -> bool:
    """[[sampler, {parameter: value}], ...]; an empty list stands for the default chain."""
    return isinstance(value, list) and all(
        isinstance(step, list) and len(step) == 2 and isinstance(step[0], str) and isinstance(step[1], dict)
        for step in value
    )


PREFERENCES: Mapping[str, Preference] = {
    "language": Preference("auto", _one_of("auto", "en", "ru")),
    "theme": Preference("auto", _one_of("auto", "light", "dark")),
    "tab": Preference(TABS[0], _one_of(*TABS)),
    "model_section": Preference(MODEL_SECTIONS[0], _one_of(*MODEL_SECTIONS)),
    "chat_list": Preference(True, _flag),
    "system": Preference("", _text),
    "seed": Preference(-1, _whole(-1, (1 << 32) - 1)),
    "max_tokens": Preference(512, _whole(0, 1 << 24)),
    "stop": Preference([], _texts),
    "chain": Preference([], _steps),
    "model": Preference("", _text),
    "n_ctx": Preference(0, _whole(0, 1 << 24)),
    "n_gpu_layers": Preference(-1, _whole(-1, 10_000)),
    "last_chat": Preference(0, _whole(0, 1 << 53)),
    "hint_seen": Preference(False, _flag),
    "guide_seen": Preference(False, _flag),
    "default_prompt": Preference("", _text),
    "default_output": Preference("", _text),
    "notebook": Preference("", _text),
    "logits_prompt": Preference("", _text),
}


class Preferences:
    """Values by name. Reading is free; every change is on the disk when `set` returns."""

    def __init__(self, file: Path, *, version: int = VERSION, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
        self._lock = threading.Lock()
        self._kept = KeptFile(file, version=version, migrations=migrations)
        values = self._kept.read()
        self.ignored = tuple(name for name, p in PREFERENCES.items() if name in values and not p.good(values[name]))
        self._values = {name: value for name, value in values.items() if name not in self.ignored}

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file went."""
        return self._kept.set_aside

    def __contains__(self, name: str) -> bool:
        """Whether somebody has set it; else it has its default."""
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name, PREFERENCES[name].default)

    def all(self) -> dict[str, Any]:
        return {name: self[name] for name in PREFERENCES}

    def set(self, **values: Any) -> None:
        """Check, keep, write. Values equal to those kept cost no write."""
        for name, value in values.items():
            if name not in PREFERENCES:
                raise BadValue(f"There is no setting called {name!r}.", param=name)
            if not PREFERENCES[name].good(value):
                raise BadValue(f"{name} cannot be {str(value)[:60]!r}.", param=name)
        with self._lock:
            if all(self[name] == value for name, value in values.items()):
                return
            self._values = {**self._values, **values}
            self._kept.write(self._values)
