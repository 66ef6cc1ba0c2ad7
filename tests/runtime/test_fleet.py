"""Who makes room for whom: nobody is sent away without need, or in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from webui.errors import LoadFailed
from webui.runtime.fleet import Fleet, Occupant, name_of
from webui.runtime.session import NOTHING, ModelStatus, asleep_status
from webui.types import LoadSpec, ModelInfo

SIZE = {"small": 1, "middle": 2, "big": 3, "large": 4}
TOTAL = 6


class Seated:
    """A model that takes no memory and no time. Every one has a process of its own, by number."""

    born = 0

    def __init__(self) -> None:
        self.now = NOTHING
        self.pid = self.active = 0
        self.busy = False
        self.used = 0.0
        self.before_waking: Any = None

    def status(self) -> ModelStatus:
        return self.now

    async def load(self, spec: LoadSpec) -> ModelInfo:
        type(self).born += 1
        self.pid = self.born
        info = ModelInfo(spec.name, spec.path, "fake", "none", 1, 64, 64, 1)
        self.now = ModelStatus("ready", 1.0, info=info, spec=spec)
        return info

    async def sleep(self) -> bool:
        assert self.now.spec is not None
        self.pid, self.now = 0, asleep_status(self.now.spec)
        return True

    async def close(self) -> None:
        self.pid, self.now = 0, NOTHING


class Shelf:
    """Room by the sizes above, each model's own among them."""

    def find(self, name: str) -> LoadSpec | None:
        return LoadSpec(name, engine="fake", name=name)

    def shortage(self, spec: LoadSpec, staying: Sequence[Occupant], leaving: Sequence[Occupant]) -> str:
        assert all(one.pid for one in leaving), "who leaves has something to give back"
        names = [name_of(one.spec) for one in staying]
        assert not set(names) & {name_of(one.spec) for one in leaving}
        return "Too full." if SIZE[spec.name] + sum(SIZE[name] for name in names) > TOTAL else ""

    def idle_minutes(self, name: str) -> float:
        return 0.0


class Bench:
    def __init__(self) -> None:
        self.fleet = Fleet(Shelf(), Seated)  # type: ignore[arg-type]

    async def load(self, name: str, *, beside: bool = True) -> None:
        await self.fleet.load(LoadSpec(name, engine="fake", name=name), beside=beside)

    def asleep(self) -> list[str]:
        return [seat.name for seat in self.fleet.seats() if seat.asleep]

    def models(self, name: str) -> Any:
        return next(seat.models for seat in self.fleet._seats if seat.name == name)


async def test_a_neighbour_stays_when_the_one_that_is_replaced_leaves_enough() -> None:
    bench = Bench()
    await bench.load("large")
    await bench.load("small")
    await bench.load("middle", beside=False)
    assert [seat.name for seat in bench.fleet.seats()] == ["middle", "small"] and bench.asleep() == []
    await bench.load("middle")
    assert bench.asleep() == [], "loaded anew, in its own place"
    await bench.fleet.close()


async def test_idle_ones_make_room_as_far_as_needed() -> None:
    bench = Bench()
    await bench.load("small")
    await bench.load("middle")
    await bench.load("large")
    assert bench.asleep() == ["small"], "the longest unused goes, the other one may stay"
    await bench.fleet.close()


async def test_nobody_goes_for_what_does_not_fit_even_then() -> None:
    bench = Bench()
    await bench.load("small")
    await bench.load("large")
    bench.models("large").busy = True
    with pytest.raises(LoadFailed) as refused:
        await bench.load("big")
    assert refused.value.code == "no_room" and bench.asleep() == []
    await bench.load("big", beside=False)
    assert bench.fleet.current == "big" and bench.asleep() == [], "a person's own load is not refused"
    await bench.fleet.close()
