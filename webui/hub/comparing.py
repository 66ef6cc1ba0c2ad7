"""Compares two versions of a model as a job that a page can watch, leave and come back to: one at a time.

What is measured is in quantise.py (compare_quality) and worker/compare.py. Knows nothing of pages.

To call: `comparer = Comparer(scratch_folder)`, then `await comparer.start(reference, other, text)` (returns at once),
`comparer.view()` (ComparisonView or None), `await comparer.cancel()`, `.close()`; `default_text()` is the text that
comes with the program.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from webui.errors import BadValue, Busy, WebUIError
from webui.hub.faults import NotWritten
from webui.hub.library import ModelEntry
from webui.hub.quantise import COMPARED_TOKENS, Quality, State, compare_quality

LONGEST_TEXT = 1_000_000
_TEXT = Path(__file__).with_name("comparing.txt")


@dataclass(frozen=True, slots=True)
class ComparisonView:
    reference: str
    other: str
    state: State
    progress: float = 0.0
    seconds_left: float | None = None
    quality: Quality | None = None
    problem: str = ""
    code: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def default_text() -> str:
    """A few pages of prose, code, figures and two languages."""
    return _TEXT.read_text(encoding="utf-8")


class Comparer:
    def __init__(self, scratch_folder: Path, *, threads: int = 0) -> None:
        self._folder = scratch_folder
        self._threads = threads
        self._view: ComparisonView | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0

    def view(self) -> ComparisonView | None:
        """The comparison that runs, or the last one."""
        return self._view

    async def start(
        self, reference: ModelEntry, other: ModelEntry, text: str, *, tokens: int = COMPARED_TOKENS
    ) -> ComparisonView:
        """Begin. Two files of one model, the more precise one first."""
        if self._task is not None and not self._task.done():
            raise Busy("Two models are being compared already: wait for the result, or cancel it.", code="comparing")
        if reference.path == other.path:
            raise BadValue("Choose two different files.", param="other", code="compare_same")
        if not text.strip():
            raise BadValue("There is no text to compare on: paste a page or two.", param="text", code="compare_no_text")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._view = ComparisonView(reference.name, other.name, "running")
        self._started = time.monotonic()
        work = self._run(reference, other, text, tokens)
        self._task = asyncio.get_running_loop().create_task(work, name="compare quality")
        return self._view

    async def cancel(self) -> None:
        """Stop it; nothing is left on the disk."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        await self.cancel()

    async def _run(self, reference: ModelEntry, other: ModelEntry, text: str, tokens: int) -> None:
        try:
            quality = await compare_quality(
                reference, other, text, self._tell, scratch_folder=self._folder, tokens=tokens, threads=self._threads
            )
            self._change(state="done", progress=1.0, seconds_left=0.0, quality=quality)
        except asyncio.CancelledError:
            self._change(state="cancelled", seconds_left=None)
            raise
        except WebUIError as error:
            self._change(state="failed", problem=error.message, code=error.code, values=error.values)
        except OSError as error:
            fault = NotWritten(str(self._folder), error.strerror or str(error))
            self._change(state="failed", problem=fault.message, code=fault.code, values=fault.values)

    def _change(self, **changes: Any) -> None:
        assert self._view is not None
        self._view = replace(self._view, **changes)

    def _tell(self, progress: float, _: str) -> None:
        spent = time.monotonic() - self._started
        left = spent * (1 - progress) / progress if progress > 0.05 else None
        self._change(progress=progress, seconds_left=left)
