"""The downloads: at most two at once, the others wait; pause, continue, cancel; they survive reloads and restarts.

Trouble that may pass (no network, a stall, too many requests) is waited out: the job is "waiting" with its problem, and
tried again by itself. Belongs to one asyncio loop. Its state is on the disk (jobs.py), so a page only ever shows what
`views()` says: a timer on the page is enough. Knows nothing of pages.

To call: `downloads = Downloads(model_folder, hub)`, once `await downloads.start()` (goes on with what was running),
- `await downloads.add(offer)`: a JobView, or a HubFault at once (no space, exists, already queued, offline, ...);
- `downloads.views()`: every job, oldest first, with state, done, total, speed, seconds_left, problem;
- `await downloads.pause(id)`, `.resume(id)` (also tries a failed one again, or one that rests), `.cancel(id)`,
  `.forget(id)` (takes a finished or failed one off the list), `.close()` (stops; the next start goes on);
- `await downloads.sooner(id)` (one place up among those that wait), `.use(hub)` (another token or address);
- `on_done`: called with the path of each finished model, for the library to look again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from webui.datadir import DataDir
from webui.errors import BadValue, Busy, WebUIError
from webui.hub.advice import Offer, OfferKind
from webui.hub.faults import AlreadyQueued, HubFault, NoFile, NotWritten, Offline
from webui.hub.jobs import FOLDER, Job, State, check_content, check_space, jobs_on_disk, new_job, put_in_place
from webui.hub.search import Hub
from webui.hub.transfer import Patience, Source, fetch, new_client

PARALLEL = 2
_WINDOW = 8.0
_UNFINISHED = frozenset({"waiting", "running", "checking", "paused", "failed"})


@dataclass(frozen=True, slots=True)
class JobView:
    """A download as pages show it. `problem` is the sentence, `code` and `values` are for translating it."""

    id: str
    title: str
    repo: str
    kind: OfferKind
    state: State
    done: int
    total: int
    speed: float
    seconds_left: float | None
    path: Path
    problem: str = ""
    code: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    notice: HubFault | None = None
    """Trouble on the way that did not end it."""

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0


class _Speed:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, done: int) -> None:
        now = time.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    def now(self) -> float:
        if len(self._seen) < 2:
            return 0.0
        (start, first), (_, last) = self._seen[0], self._seen[-1]
        elapsed = time.monotonic() - start
        return max(0.0, (last - first) / elapsed) if elapsed > 0 else 0.0


class Downloads:
    def __init__(
        self,
        folder: Path,
        hub: Hub,
        *,
        parallel: int = PARALLEL,
        patience: Patience | None = None,
        on_done: Callable[[Path], object] = lambda path: None,
    ) -> None:
        self.folder = folder
        self.hub = hub
        self._parallel = parallel
        self._patience = patience or Patience()
        self._on_done = on_done
        self._jobs: dict[str, Job] = {}
        self._done: dict[str, int] = {}
        self._speeds: dict[str, _Speed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._rests: dict[str, int] = {}
        self._notices: dict[str, HubFault] = {}
        self._client: httpx.AsyncClient | None = None
        self._lock: DataDir | None = None
        self._closed = False

    async def start(self) -> None:
        """Find what an earlier run left and go on with it: what was paused stays paused, what failed stays failed."""
        if not (self.folder / FOLDER).exists():
            return
        try:
            self._hold()
        except WebUIError:
            # Another program downloads into this folder: its jobs are not ours. `add` will say so.
            return
        for job in await asyncio.to_thread(lambda: list(jobs_on_disk(self.folder))):
            if job.state in ("running", "checking"):
                job.state = "waiting"
            self._jobs.setdefault(job.id, job)
            self._done[job.id] = job.offer.size if job.state == "done" else job.arrived()
        self._pump()

    def views(self) -> tuple[JobView, ...]:
        """Every download, oldest first. Costs nothing: call it as often as a page likes."""
        return tuple(self._view(job) for job in self._jobs.values())

    async def add(self, offer: Offer) -> JobView:
        """Put it in the queue. Everything that can be known to fail fails here, before a byte is asked for."""
        if self.hub.offline:
            raise Offline()
        if offer.missing:
            raise NoFile(offer.repo, offer.missing[0])
        self._hold()
        job = new_job(offer, self.folder)
        if any(other.target == job.target for other in self._unfinished()):
            raise AlreadyQueued(offer.title)
        waiting = sum(other.offer.size - self._done[other.id] for other in self._unfinished())
        check_space(self.folder, offer.size + waiting)
        self._save(job)
        self._jobs[job.id] = job
        self._done[job.id] = 0
        self._pump()
        return self._view(job)

    async def pause(self, id: str) -> None:
        """Stop it where it is; what has arrived is kept."""
        job = self._job(id)
        if job.state in ("waiting", "running", "checking"):
            await self._stop(job)
        # Read anew: it may have finished or failed while it was being stopped.
        if self._job(id).state in ("waiting", "running", "checking"):
            self._become(job, "paused")
            self._pump()

    async def resume(self, id: str) -> None:
        """Go on with a paused or failed one."""
        job = self._job(id)
        if job.id in self._resting:
            self._rested(id)
        elif job.state in ("paused", "failed"):
            if self.hub.offline:
                raise Offline()
            check_space(self.folder, job.offer.size - self._done[id])
            self._become(job, "waiting")
            self._pump()

    async def cancel(self, id: str) -> None:
        """Stop it and delete what has arrived. A finished one is only taken off the list."""
        job = self._job(id)
        await self._stop(job)
        self._jobs.pop(id, None)
        self._done.pop(id, None)
        self._speeds.pop(id, None)
        self._notices.pop(id, None)
        await asyncio.to_thread(job.delete)
        self._pump()

    async def sooner(self, id: str) -> None:
        """Let one that waits take the place of the waiting one before it."""
        job = self._job(id)
        waiting = [other for other in self._jobs.values() if other.state == "waiting"]
        place = next((number for number, other in enumerate(waiting) if other is job), 0)
        if not place:
            return
        before = waiting[place - 1]
        job.created, before.created = before.created, job.created
        self._save(job)
        self._save(before)
        self._jobs = {one.id: one for one in sorted(self._jobs.values(), key=lambda one: one.created)}

    def use(self, hub: Hub) -> None:
        """From now on ask this hub: for the next file of what runs, and for everything that waits."""
        self.hub = hub

    async def forget(self, id: str) -> None:
        """Take a finished one off the list; the model stays."""
        if self._job(id).state not in ("done", "failed"):
            raise BadValue("Only a finished download can be taken off the list: cancel this one instead.", param="id")
        await self.cancel(id)

    async def close(self) -> None:
        """Stop all transfers. The next `start` goes on with them."""
        self._closed = True
        for job in list(self._jobs.values()):
            await self._stop(job)
        if self._client is not None:
            await self._client.aclose()
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    # Inside -------------------------------------------------------------------------------------------------------

    def _job(self, id: str) -> Job:
        if id not in self._jobs:
            raise BadValue("This download is no longer on the list: reload the page.", param="id")
        return self._jobs[id]

    def _unfinished(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state in _UNFINISHED]

    def _hold(self) -> None:
        """Two programs must not download into one folder: they would write the same partial files."""
        if self._lock is not None:
            return
        lock = DataDir(self.folder / FOLDER)
        try:
            lock.__enter__()
        except Busy as error:
            raise Busy(f"Another Sampler Lab downloads into {self.folder}: use that one, or close it.") from error
        except BadValue as error:
            raise NotWritten(str(self.folder), "no permission") from error
        self._lock = lock

    def _save(self, job: Job) -> None:
        try:
            job.save()
        except OSError as error:
            raise NotWritten(str(self.folder), error.strerror or str(error)) from error

    def _become(self, job: Job, state: State, problem: WebUIError | None = None) -> None:
        job.state = state
        job.problem = None
        if problem is not None:
            job.problem = {"message": problem.message, "code": problem.code, "values": dict(problem.values)}
        # A full disk must not hide the reason: the state is kept in memory then.
        with suppress(OSError):
            job.save()

    def _pump(self) -> None:
        """Start what may run."""
        for job in self._jobs.values():
            if self._closed or len(self._tasks) >= self._parallel:
                return
            if job.state == "waiting" and job.id not in self._tasks and job.id not in self._resting:
                self._become(job, "running")
                self._notices.pop(job.id, None)
                self._speeds[job.id] = _Speed()
                task = asyncio.get_running_loop().create_task(self._run(job), name=f"download {job.offer.title}")
                self._tasks[job.id] = task

    async def _stop(self, job: Job) -> None:
        self._wake(job.id)
        task = self._tasks.pop(job.id, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        before = self._done[job.id]
        try:
            await self._transfer(job)
        except WebUIError as error:
            self._done[job.id] = job.arrived()
            if self._done[job.id] > before:
                self._rests.pop(job.id, None)
            if not (isinstance(error, HubFault) and error.retry and self._rest(job, error)):
                self._become(job, "failed", error)
        except OSError as error:
            self._become(job, "failed", NotWritten(str(self.folder), error.strerror or str(error)))
        else:
            self._done[job.id] = job.offer.size
            self._become(job, "done")
        self._tasks.pop(job.id, None)
        self._pump()
        if job.state == "done":
            self._on_done(job.target)

    def _rest(self, job: Job, fault: HubFault) -> bool:
        """Wait and try again by itself; False when that has been done often enough."""
        times = self._rests.get(job.id, 0)
        if times >= self._patience.tries:
            self._rests.pop(job.id, None)
            return False
        self._rests[job.id] = times + 1
        asked = fault.values.get("seconds")
        seconds = max(asked if isinstance(asked, int) else 0, self._patience.rest * 2**times)
        self._become(job, "waiting", fault)
        loop = asyncio.get_running_loop()
        self._resting[job.id] = loop.call_later(seconds, self._rested, job.id)
        return True

    def _rested(self, id: str) -> None:
        self._wake(id)
        self._pump()

    def _wake(self, id: str) -> None:
        timer = self._resting.pop(id, None)
        if timer is not None:
            timer.cancel()

    async def _transfer(self, job: Job) -> None:
        self._client = self._client or new_client(self._patience)
        sizes = [job.arrived_of(number) for number in range(len(job.offer.files))]
        for number, file in enumerate(job.offer.files):
            if job.is_complete(number):
                continue

            def saw(done: int, number: int = number) -> None:
                sizes[number] = done
                self._done[job.id] = sum(sizes)
                self._speeds[job.id].saw(sum(sizes))

            source = Source(
                self.hub.file_url(job.offer.repo, job.offer.commit, file.path),
                job.offer.repo,
                file.path,
                file.size,
                file.sha256,
                file.git_oid,
                self.hub.headers(),
            )

            def noticed(fault: HubFault) -> None:
                self._notices[job.id] = fault

            await fetch(self._client, source, job.part(number), progress=saw, notice=noticed, patience=self._patience)
            await asyncio.to_thread(check_content, job, number)
            job.mark_whole(number)
        self._become(job, "checking")
        await asyncio.to_thread(put_in_place, job)

    def _view(self, job: Job) -> JobView:
        done, total = self._done.get(job.id, 0), job.offer.size
        running = job.state == "running" and job.id in self._speeds
        speed = self._speeds[job.id].now() if running else 0.0
        left = (total - done) / speed if speed > 0 else None
        problem = job.problem or {}
        return JobView(
            job.id,
            job.offer.title,
            job.offer.repo,
            job.offer.kind,
            job.state,
            done,
            total,
            speed,
            left,
            job.target,
            str(problem.get("message", "")),
            str(problem.get("code", "")),
            dict(problem.get("values", {})),
            self._notices.get(job.id),
        )
