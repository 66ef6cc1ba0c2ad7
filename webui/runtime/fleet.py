"""Several models at once, each in a seat of its own, and which of them is the current one.

Pages and API reach models through it: methods named as those of `Models` are the current seat's. Belongs to one asyncio
loop. Knows nothing of folders, memory or HTTP: what there is to load and whether there is room, a `Shelf` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from webui import load_options
from webui.errors import BadValue, LoadFailed
from webui.runtime.check import check_spec
from webui.runtime.client import Generation
from webui.runtime.models import Models
from webui.runtime.session import ModelStatus, loading_status
from webui.types import GenerationRequest, LoadSpec, ModelInfo
from webui.worker.wire import Frame

TICK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Occupant:
    """A model that takes memory: its worker's process (0: not yet there), and whether it is still being loaded."""

    spec: LoadSpec
    pid: int = 0
    loading: bool = False


class Shelf(Protocol):
    """What a fleet asks about models that are not loaded."""

    def find(self, name: str) -> LoadSpec | None:
        """How the model of this very name is loaded; None if there is none or it may not be loaded on demand."""
        ...

    def shortage(self, spec: LoadSpec, staying: Sequence[Occupant], leaving: Sequence[Occupant]) -> str:
        """Why this does not fit beside those that stay, once those that leave are gone, in words; "" if it does. Runs
        in a thread."""
        ...

    def idle_minutes(self, name: str) -> float:
        """After how long without work a model goes; 0: never."""
        ...


@dataclass(frozen=True, slots=True)
class SeatStatus:
    """One model of several, for lists and lines."""

    name: str
    status: ModelStatus
    current: bool
    pid: int
    active: int
    idle_seconds: float
    asleep: bool


@dataclass(eq=False, slots=True)
class Seat:
    """`holds` counts those who are about to ask it; `expects` is what is about to be loaded into it."""

    models: Models
    name: str = ""
    holds: int = 0
    expects: LoadSpec | None = None
    opening: asyncio.Future[ModelInfo] | None = None
    used: float = 0.0

    @property
    def stage(self) -> str:
        return self.models.status().stage

    @property
    def status(self) -> ModelStatus:
        """Loading from the first moment on, also while room is being made for it."""
        status = self.models.status()
        return loading_status(self.expects) if self.expects and status.stage != "loading" else status

    @property
    def asleep(self) -> bool:
        return self.models.status().code == "model_asleep"

    @property
    def empty(self) -> bool:
        return self.stage == "none" and not self.asleep and not self.expects

    @property
    def occupant(self) -> Occupant | None:
        """What it takes of the memory, or is about to take."""
        status = self.models.status()
        if self.expects is not None or status.stage == "loading":
            spec = self.expects or status.spec
            return Occupant(spec, self.models.pid, loading=True) if spec else None
        return self.held

    @property
    def held(self) -> Occupant | None:
        """What its worker holds now and gives back when it ends."""
        status = self.models.status()
        return Occupant(status.spec, self.models.pid) if status.spec and self.models.pid else None

    @property
    def idle(self) -> bool:
        return self.stage == "ready" and not self.holds and not self.expects and not self.models.busy


class Fleet:
    def __init__(self, shelf: Shelf, make: Callable[[], Models] = Models, *, tick: float = TICK_SECONDS) -> None:
        self.shelf = shelf
        self._make = make
        self._tick = tick
        self._current = self._new_seat()
        self._seats = [self._current]
        self._room = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    # which there are

    def seats(self) -> tuple[SeatStatus, ...]:
        """Every model that is loaded, being loaded, asleep or failed, in the order they came."""
        now = time.monotonic()
        return tuple(
            SeatStatus(
                seat.name,
                seat.status,
                seat is self._current,
                seat.models.pid,
                seat.models.active,
                0.0 if seat.models.busy else now - seat.used,
                seat.asleep,
            )
            for seat in self._seats
            if not seat.empty
        )

    @property
    def current(self) -> str:
        return "" if self._current.empty else self._current.name

    def make_current(self, name: str) -> None:
        """Pages and requests without a known name use this one from now on."""
        self._current = self._named(name)
        self._tidy()

    # loading

    async def load(self, spec: LoadSpec, *, beside: bool = False) -> ModelInfo:
        """Load in the current one's place, or `beside` the others; a model that is there already is loaded anew."""
        check_spec(spec)
        load_options.check_spec(spec)
        known = self._find(name_of(spec))
        if beside:
            seat = known or (self._current if self._current.empty else self._add())
        else:
            seat = self._current
            if known is not None and known is not seat:
                await self._drop(known)
        return await self._load_into(seat, spec, insist=not beside)

    async def unload(self, name: str | None = None) -> None:
        """Let go of a model; without the current one, the one that was used last is current."""
        seat = self._current if name is None else self._named(name)
        await seat.models.unload()
        self._tidy()

    async def cancel_load(self, name: str | None = None) -> None:
        seat = self._current if name is None else self._named(name)
        await seat.models.cancel_load()
        self._tidy()

    async def set_adapters(self, name: str, scales: Mapping[str, float]) -> None:
        """Other scales for the LoRAs of the model of this name, without loading it anew."""
        await self._named(name).models.set_adapters(scales)

    async def close(self) -> None:
        """The program ends."""
        if self._watcher is not None:
            self._watcher.cancel()
        await asyncio.gather(*(seat.models.close() for seat in self._seats))

    # choosing

    def knows(self, name: str | None) -> str | None:
        """What a request's `model` means: the name of a model that is here or comes when asked for; else None."""
        if not name:
            return None
        seat = self._find(name)
        if seat is not None and not seat.empty:
            return seat.name
        spec = self.shelf.find(name)
        return name_of(spec) if spec is not None else None

    async def seat_for(self, name: str | None) -> Models:
        """The model of this name, loaded when first asked for (all who ask at once share one load); the current one
        without a name. A load that somebody began by hand is not waited for."""
        seat = self._current if name is None else self._find(name)
        if seat is not None and (name is None or seat.asleep or seat.stage in ("ready", "loading")):
            if seat.opening is not None:
                await asyncio.shield(seat.opening)
            return seat.models
        spec = self.shelf.find(name or "")
        if spec is None:
            raise BadValue(f"There is no model {str(name)[:100]!r} here.", param="model", code="model_not_found")
        if seat is not None and (status := seat.models.status()).code == "engine_crash_loop":
            raise LoadFailed(status.sentence, code=status.code, values=status.values)  # until somebody loads it
        seat = seat or self._find(name_of(spec)) or (self._current if self._current.empty else self._add())
        if seat.opening is None:
            seat.name, seat.expects = name_of(spec), spec
            seat.opening = asyncio.ensure_future(self._load_into(seat, spec, insist=False))
            seat.opening.add_done_callback(lambda done: self._opened(seat, done))
        await asyncio.shield(seat.opening)
        return seat.models

    @contextlib.contextmanager
    def hold(self, models: Models) -> Iterator[None]:
        """While it is held, a model is not put to sleep."""
        seat = next((seat for seat in self._seats if seat.models is models), None)
        if seat is None:
            yield
            return
        seat.holds += 1
        seat.used = time.monotonic()
        try:
            yield
        finally:
            seat.holds -= 1
            seat.used = time.monotonic()

    # the current one

    def status(self) -> ModelStatus:
        return self._current.models.status()

    @property
    def active(self) -> int:
        """Generations of all models that are running or waiting."""
        return sum(seat.models.active for seat in self._seats)

    @property
    def pid(self) -> int:
        """The current one's worker process; 0 if there is none."""
        return self._current.models.pid

    def generate(self, request: GenerationRequest) -> Generation:
        return self._here().generate(request)

    async def tokenize(self, text: str, *, add_bos: bool = False, special: bool = True) -> list[int]:
        return await self._here().tokenize(text, add_bos=add_bos, special=special)

    async def detokenize(self, tokens: Sequence[int], *, special: bool = True) -> str:
        return await self._here().detokenize(tokens, special=special)

    async def pieces(self, tokens: Sequence[int], *, special: bool = True) -> list[str]:
        return await self._here().pieces(tokens, special=special)

    async def logits(
        self, prompt: str | Sequence[int], *, add_bos: bool = True, written: Sequence[int] = ()
    ) -> tuple[list[int], NDArray[np.float32]]:
        return await self._here().logits(prompt, add_bos=add_bos, written=written)

    async def score(self, prompt: str | Sequence[int], *, add_bos: bool = True, top: int = 0) -> dict[str, Any]:
        return await self._here().score(prompt, add_bos=add_bos, top=top)

    async def call(self, kind: str, **fields: Any) -> Frame:
        return await self._here().call(kind, **fields)

    def _here(self) -> Models:
        self._current.used = time.monotonic()
        return self._current.models

    # inside

    def _new_seat(self) -> Seat:
        models = self._make()
        seat = Seat(models, used=time.monotonic())

        async def before_waking(spec: LoadSpec) -> None:
            try:
                await self._make_room(seat, spec, insist=False)
            finally:
                seat.expects, seat.used = None, time.monotonic()

        models.before_waking = before_waking
        return seat

    def _add(self) -> Seat:
        seat = self._new_seat()
        self._seats.append(seat)
        return seat

    def _find(self, name: str) -> Seat | None:
        wanted = key_of(name)
        return next((seat for seat in self._seats if wanted and key_of(seat.name) == wanted), None)

    def _named(self, name: str) -> Seat:
        seat = self._find(name)
        if seat is None or seat.empty:
            raise BadValue(f"{name[:100]!r} is not loaded.", param="name", code="model_not_found")
        return seat

    async def _load_into(self, seat: Seat, spec: LoadSpec, *, insist: bool) -> ModelInfo:
        self._watcher = self._watcher or asyncio.create_task(self._watch(), name="idle models")
        seat.name, seat.expects, seat.used = name_of(spec), spec, time.monotonic()
        try:
            await self._make_room(seat, spec, insist=insist)
            return await seat.models.load(spec)
        finally:
            seat.expects, seat.used = None, time.monotonic()
            self._tidy()

    async def _make_room(self, seat: Seat, spec: LoadSpec, *, insist: bool) -> None:
        """Put idle models to sleep, the longest unused first, until this one fits; a person's own load in the current
        one's place is never refused for an estimate."""
        async with self._room:
            seat.expects = spec
            while True:
                others = [other for other in self._seats if other is not seat and other.occupant]
                if not others:
                    return
                short = await self._shortage(spec, others, [seat])
                if not short:
                    return
                idle = sorted((other for other in others if other.idle), key=lambda other: other.used)
                staying = [other for other in others if not other.idle]
                if not insist and (not idle or await self._shortage(spec, staying, [seat, *idle])):
                    seat.expects = None  # nobody is sent away for what does not fit even then
                    names = ", ".join(other.name for other in others)
                    raise LoadFailed(
                        f"There is not enough memory for {name_of(spec)} beside {names}: {short} "
                        "Unload one of them, or wait until it has nothing to do.",
                        code="no_room",
                        values={"name": name_of(spec), "others": names, "reason": short},
                    )
                if not idle:
                    return
                await idle[0].models.sleep()

    async def _shortage(self, spec: LoadSpec, staying: Sequence[Seat], leaving: Sequence[Seat]) -> str:
        stay = [found for seat in staying if (found := seat.occupant)]
        leave = [found for seat in leaving if (found := seat.held)]
        return await asyncio.to_thread(self.shelf.shortage, spec, stay, leave)

    def _opened(self, seat: Seat, done: asyncio.Future[ModelInfo]) -> None:
        seat.opening = None
        if not done.cancelled():
            done.exception()  # those who wait have been told; if nobody does, it stands in the status

    async def _drop(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
        await seat.models.close()

    def _tidy(self) -> None:
        """Empty seats go; the current one may be empty only when there is no other."""
        if self._current.empty:
            others = [seat for seat in self._seats if not seat.empty]
            self._current = max(others, key=lambda seat: seat.used, default=self._current)
        self._seats = [seat for seat in self._seats if seat is self._current or not seat.empty]

    async def _watch(self) -> None:
        """Now and then: who has had nothing to do for too long?"""
        while True:
            await asyncio.sleep(self._tick)
            now = time.monotonic()
            for seat in list(self._seats):
                if seat.models.busy or seat.holds:
                    seat.used = now
                limit = 60 * self.shelf.idle_minutes(seat.name)
                if limit and seat.idle and now - max(seat.used, seat.models.used) > limit:
                    await seat.models.sleep()


def name_of(spec: LoadSpec) -> str:
    return spec.name or spec.path.replace("\\", "/").rsplit("/", 1)[-1]


def key_of(name: str) -> str:
    return name.strip().lower().removesuffix(".gguf")
