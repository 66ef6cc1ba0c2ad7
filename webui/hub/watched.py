"""A long job that a page can watch, leave and come back to: one at a time, with a view of how it stands.

Knows how a job begins, is cancelled, and ends well or badly; not what it does. quantise.py and comparing.py are such.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from webui.errors import WebUIError
from webui.hub.faults import NotWritten

Work = Callable[[], Awaitable[Mapping[str, Any]]]
State = Literal["running", "done", "failed", "cancelled"]
_SOONEST = 0.02
"""The share of a job after which the time it will still take can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What every job tells of itself."""

    state: State = "running"
    progress: float = 0.0
    seconds_left: float | None = None
    problem: str = ""
    code: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


ViewT = TypeVar("ViewT", bound=JobView)


class WatchedJob(Generic[ViewT]):
    """`folder` is where it writes: it is named when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._view: ViewT | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0

    def view(self) -> ViewT | None:
        """The job that runs, or the last one."""
        return self._view

    @property
    def runs(self) -> bool:
        return self._task is not None and not self._task.done()

    async def cancel(self) -> None:
        """Stop it; nothing half-written is left on the disk."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        await self.cancel()

    def _begin(self, view: ViewT, work: Work, name: str) -> ViewT:
        """`work` returns what the view shows of a job that is done."""
        self._view = view
        self._started = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._run(work), name=name)
        return view

    async def _run(self, work: Work) -> None:
        try:
            found = await work()
            self._change(state="done", progress=1.0, seconds_left=0.0, **found)
            self._done()
        except asyncio.CancelledError:
            self._change(state="cancelled", seconds_left=None)
            raise
        except WebUIError as error:
            self._change(state="failed", problem=error.message, code=error.code, values=error.values)
        except OSError as error:
            fault = NotWritten(str(self.folder), error.strerror or str(error))
            self._change(state="failed", problem=fault.message, code=fault.code, values=fault.values)

    def _done(self) -> None:
        """What else there is to do when it ended well."""

    def _change(self, **changes: Any) -> None:
        assert self._view is not None, "a job that changes has begun"
        self._view = replace(self._view, **changes)

    def _tell(self, progress: float, soonest: float = _SOONEST, **more: Any) -> None:
        spent = time.monotonic() - self._started
        left = spent * (1 - progress) / progress if progress > soonest else None
        self._change(progress=progress, seconds_left=left, **more)
