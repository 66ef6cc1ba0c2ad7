"""Compares two versions of a model as a job that a page can watch, leave and come back to: one at a time.

What is measured is in quantise.py (compare_quality) and worker/compare.py. Knows nothing of pages.

To call: `comparer = Comparer(scratch_folder)`, then `await comparer.start(reference, other, text)` (returns at once),
`comparer.view()` (ComparisonView or None), `await comparer.cancel()`, `.close()`; `default_text()` is the text that
comes with the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import BadValue, Busy
from webui.hub.library import ModelEntry
from webui.hub.quantise import COMPARED_TOKENS, Quality, compare_quality
from webui.hub.watched import JobView, WatchedJob

LONGEST_TEXT = 1_000_000
SOONEST = 0.05
_TEXT = Path(__file__).with_name("comparing.txt")


@dataclass(frozen=True, slots=True)
class ComparisonView(JobView):
    reference: str
    other: str
    quality: Quality | None = None


def default_text() -> str:
    """A few pages of prose, code, figures and two languages."""
    return _TEXT.read_text(encoding="utf-8")


class Comparer(WatchedJob[ComparisonView]):
    def __init__(self, scratch_folder: Path, *, threads: int = 0) -> None:
        super().__init__(scratch_folder)
        self._threads = threads

    async def start(
        self, reference: ModelEntry, other: ModelEntry, text: str, *, tokens: int = COMPARED_TOKENS
    ) -> ComparisonView:
        """Begin. Two files of one model, the more precise one first."""
        if self.runs:
            raise Busy("Two models are being compared already: wait for the result, or cancel it.", code="comparing")
        if reference.path == other.path:
            raise BadValue("Choose two different files.", param="other", code="compare_same")
        if not text.strip():
            raise BadValue("There is no text to compare on: paste a page or two.", param="text", code="compare_no_text")
        self.folder.mkdir(parents=True, exist_ok=True)
        view = ComparisonView(reference.name, other.name)
        return self._begin(view, lambda: self._measure(reference, other, text, tokens), "compare quality")

    async def _measure(self, reference: ModelEntry, other: ModelEntry, text: str, tokens: int) -> Mapping[str, Any]:
        def tell(progress: float, _: str) -> None:
            self._tell(progress, SOONEST)

        found = await compare_quality(
            reference, other, text, tell, scratch_folder=self.folder, tokens=tokens, threads=self._threads
        )
        return {"quality": found}
