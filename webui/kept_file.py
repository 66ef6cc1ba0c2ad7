"""One JSON object that outlives the program: read once, brought up to date, set aside when damaged, written whole.

Knows nothing of what is in it; that is the affair of those who keep it (preferences.py, model_settings.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from webui.files import write_atomically

Migration = Callable[[dict[str, Any]], None]
"""Turns the values of one version into those of the next, in place."""


class KeptFile:
    """`set_aside` is where a damaged file went, so that the page can name it. Number n of `migrations` turns the values
    of version n + 1 into those of version n + 2; what a newer program wrote keeps its version."""

    def __init__(self, file: Path, *, version: int = 1, migrations: tuple[Migration, ...] = ()) -> None:
        self.set_aside: Path | None = None
        self._file = file
        self._version = version
        self._migrations = migrations

    def read(self) -> dict[str, Any]:
        """The values, without their version; nothing if there is no file, or none that can be read."""
        if not self._file.exists():
            return {}
        try:
            values: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            version = values.pop("version")
            if not isinstance(version, int) or version < 1:
                raise ValueError("no version")
        except (ValueError, AttributeError, KeyError, TypeError):
            self._put_aside()
            return {}
        if version < self._version:
            for migration in self._migrations[version - 1 :]:
                migration(values)
        self._version = max(version, self._version)
        return values

    def write(self, values: Mapping[str, Any]) -> None:
        """All of them; on the disk when this returns."""
        content = {"version": self._version, **values}
        write_atomically(self._file, json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    def _put_aside(self) -> None:
        self.set_aside = self._file.with_name(f"{self._file.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
        self._file.replace(self.set_aside)
