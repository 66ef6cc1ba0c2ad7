"""Which waiting prompt is read next and how far, so that short ones are soon done and long ones are not forgotten.

Knows lengths; nothing of engines, slots or events.
"""

from __future__ import annotations

from webui.engines.base import Engine
from webui.worker.jobs import Sequence
from webui.worker.slots import next_cut

OLDEST_FIRST = 4
"""Every so many chunks go to the prompt that waits longest; the others to the one that has least left."""


class ReadingOrder:
    """Turns are as long as one chunk: several short prompts are read in one, so that those who write wait once for all
    of them, and are all there for the next batch."""

    def __init__(self, engine: Engine) -> None:
        self._chunk, self._grid, self._rows = engine.chunk, engine.grid, engine.max_rows
        self._count = 0
        self._left = 0

    def begin_turn(self) -> None:
        self._left = self._chunk

    def next(self, reading: list[Sequence]) -> tuple[Sequence, int] | None:
        """A sequence and where its chunk ends (where it stands, if it was read already). None: enough for this turn."""
        if not reading:
            return None
        oldest = self._count % OLDEST_FIRST == OLDEST_FIRST - 1
        sequence = reading[0] if oldest else min(reading, key=lambda s: len(s.prompt) - s.read)
        end = self._end(sequence)
        size = end - sequence.read
        if size > self._left and self._left < self._chunk:
            return None
        self._count += 1
        self._left -= size
        return sequence, end

    def _end(self, sequence: Sequence) -> int:
        start, length = sequence.read, len(sequence.prompt)
        if sequence.job.on_rows is not None:
            return min(length, start + self._rows)
        return start if start == length else next_cut(start, length, self._chunk, self._grid)
