"""Models that answer for one another: who is asked first, who next when that one fails or takes too long.

A model has answered once its first token is there; from then on nobody takes its place. Knows the fleet and the clock;
nothing of files, HTTP or chats: what asking means, the caller says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from webui.errors import BadValue, Busy, NoModel, WebUIError
from webui.runtime.fleet import Fleet, key_of
from webui.runtime.models import Models

LOOK_SECONDS = 0.05
"""How often it is looked whether a load that somebody began by hand is over."""

T = TypeVar("T")
Waiting = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model of the order. `seconds` None: as for all."""

    name: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """`seconds` is how long a model has until its first token, its loading included (0: as long as it likes). `text` is
    the answer when no model gives one; without it the failure is told."""

    models: tuple[Candidate, ...] = ()
    seconds: float = 60.0
    text: str = ""
    enabled: bool = True

    @property
    def in_force(self) -> bool:
        return self.enabled and bool(self.models)


@dataclass(frozen=True, slots=True)
class Turn:
    """A model that is asked; `name` None is the current one, whichever that is."""

    name: str | None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Miss:
    """A model that was asked and did not answer, why, and how long that took."""

    model: str
    code: str
    message: str
    seconds: float
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return {"model": self.model, "code": self.code, "message": self.message, "seconds": round(self.seconds, 2)}


class OverTime(WebUIError):
    """A model had no token ready within its time."""

    code = "over_time"


class NobodyAnswered(NoModel):
    """All who could answer were asked. `text` is what is to be answered instead, "" for this error."""

    code = "nobody_answered"

    def __init__(self, misses: tuple[Miss, ...], text: str) -> None:
        told = "; ".join(f"{miss.model}: {miss.message.rstrip('.')}" for miss in misses)
        super().__init__(f"None of the models of the fallback order answered ({told}).", values={"tried": told})
        self.misses = misses
        self.text = text


class Round:
    """One question, put to one model after another. `misses` grows while it is asked.

    `plain`: there is no order for this question, only one model, which is asked as ever: no clock, errors as they are.
    """

    def __init__(self, fleet: Fleet, turns: tuple[Turn, ...], text: str = "", *, plain: bool = False) -> None:
        self._fleet = fleet
        self.turns = turns
        self.text = text
        self.plain = plain
        self.misses: list[Miss] = []

    async def ask(self, attempt: Callable[[Models], Awaitable[T]], waiting: Waiting = lambda progress: None) -> T:
        """What `attempt` gives for the first model that answers. It is held awake meanwhile. `attempt` returns when the
        first token is there, and cleans up when it is cancelled; what is wrong with the question itself ends the round.
        `waiting` is told now and then how far the load is that is waited for, from 0 to 1.
        """
        if self.plain:
            models = await self._fleet.seat_for(self.turns[0].name)
            with self._fleet.hold(models):
                return await attempt(models)
        for turn in self.turns:
            started = time.monotonic()
            name = turn.name or self._fleet.current or "-"
            try:
                return await _within(turn.seconds, name, self._put(turn.name, attempt, waiting))
            except WebUIError as error:
                if not moves_on(error):
                    raise
                took = time.monotonic() - started
                self.misses.append(Miss(name, error.code, error.message, took, error.values))
        raise NobodyAnswered(tuple(self.misses), self.text)

    async def _put(self, name: str | None, attempt: Callable[[Models], Awaitable[T]], waiting: Waiting) -> T:
        opening = asyncio.ensure_future(self._fleet.seat_for(name))
        try:
            while not (await asyncio.wait({opening}, timeout=LOOK_SECONDS))[0]:
                waiting(self._progress(name))
        finally:
            opening.cancel()  # no more than asking: a load that has begun goes on
        models = opening.result()
        with self._fleet.hold(models):
            while models.status().stage == "loading":
                waiting(models.status().progress)
                await asyncio.sleep(LOOK_SECONDS)
            return await attempt(models)

    def _progress(self, name: str | None) -> float:
        known = key_of(name or self._fleet.current)
        return next((seat.status.progress for seat in self._fleet.seats() if key_of(seat.name) == known), 0.0)


class Fallback:
    """The order in force, and the rounds it makes."""

    def __init__(self, fleet: Fleet, order: Callable[[], Order]) -> None:
        self._fleet = fleet
        self.order = order

    def round(self, asked: str | None) -> Round:
        """For a request that names a model the fleet knows, or None. A model of the order is followed by those after
        it, one that is not in it answers alone; without a name the whole order is asked."""
        order = self.order()
        if not order.in_force or (asked is not None and _place(order, asked) is None):
            return Round(self._fleet, (Turn(asked),), plain=True)
        return self._ordered(order, order.models[_place(order, asked) or 0 :])

    def round_of_page(self) -> Round:
        """For the page, where somebody chose the current model: that one first, then those after it in the order, or
        the whole order if it is not one of it."""
        order, current = self.order(), self._fleet.current
        if not order.in_force:
            return Round(self._fleet, (Turn(None),), plain=True)
        place = _place(order, current)
        if place is None and current:
            return self._ordered(order, (Candidate(current), *order.models))
        return self._ordered(order, order.models[place or 0 :])

    def _ordered(self, order: Order, models: tuple[Candidate, ...]) -> Round:
        turns = (Turn(model.name, order.seconds if model.seconds is None else model.seconds) for model in models)
        return Round(self._fleet, tuple(turns), order.text)


def moves_on(error: WebUIError) -> bool:
    """Whether another model could do better: not if the question itself is wrong."""
    if error.code in ("model_not_found", "constraint_failed"):
        return error.code == "model_not_found"
    return not isinstance(error, BadValue | Busy)


def _place(order: Order, name: str | None) -> int | None:
    if not name:
        return None
    wanted = key_of(name)
    return next((place for place, model in enumerate(order.models) if key_of(model.name) == wanted), None)


async def _within(seconds: float, name: str, work: Coroutine[Any, Any, T]) -> T:
    """The result, or OverTime; the work is over either way when this returns."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds or None)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise OverTime(
            f"{name} gave no token within {seconds:g} seconds.", values={"name": name, "seconds": f"{seconds:g}"}
        )
    return task.result()
