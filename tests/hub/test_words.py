"""Everything the hub's services can say has its sentence in both languages, with the values it is given."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from webui.hub import advice, faults
from webui.hub.machine import Gpu, Machine
from webui.hub.memory import Plan, estimate, verdict
from webui.hub.rope import Rope, RopeModel
from webui.hub.shape import Layer, Shape
from webui.tabs.words import Words

ENGLISH, RUSSIAN = Words("en"), Words("ru")
ARGUMENTS: dict[str, Any] = {"seconds": 5, "status": 503, "expected": 10, "found": 11, "need": 2 * 10**9, "free": 10**9}
FAULTS = [kind for kind in vars(faults).values() if inspect.isclass(kind) and issubclass(kind, faults.HubFault)]


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind is not faults.HubFault], ids=lambda kind: kind.code)
def test_every_fault_is_one_sentence_in_both_languages(kind: type[faults.HubFault]) -> None:
    names = [name for name in inspect.signature(kind).parameters if name not in ("args", "kwargs")]
    fault = kind(*[ARGUMENTS.get(name, f"<{name}>") for name in names])
    russian = RUSSIAN.problem(fault.code, fault.message, fault.values)
    assert russian != fault.message, "it has no Russian sentence"
    for text in (fault.message, russian):
        assert text.endswith(".") and "\n" not in text and "{" not in text
        for name in names:
            if name not in ARGUMENTS:
                assert f"<{name}>" in text, name
    assert fault.code in (faults.__doc__ or "")


SHAPE = Shape(
    (Layer(1 << 30, 1024, 1024),) * 4, 1 << 28, 0, False, 1024, 1000, 8, 1024, 4096, True, trained_context=8192
)


@pytest.mark.parametrize(
    ("ram", "gpu", "layers", "expected"),
    [
        (64, 0, 0, "fits.ram"),
        (64, 64, 5, "fits.gpu"),
        (4.7, 0, 0, "tight.ram"),
        (64, 4.9, 5, "tight.gpu"),
        (3.5, 0, 0, "from_disk.ram"),
        (0.1, 0, 0, "too_large.ram"),
        (64, 1, 5, "too_large.gpu"),
    ],
)
def test_verdicts(ram: float, gpu: float, layers: int, expected: str) -> None:
    gib = 1 << 30
    machine = Machine(int(ram * gib), 64 * gib, (Gpu("a", int(gpu * gib), 64 * gib),) if gpu else ())
    found = verdict(estimate(SHAPE, Plan(gpu_layers=layers)), machine)
    assert f"{found.code}.{found.values['where']}" == expected
    assert ENGLISH(f"fit.{expected}", **found.values) == found.sentence
    assert "{" not in RUSSIAN(f"fit.{expected}", **found.values)


def test_rope_warnings() -> None:
    model = RopeModel(10_000.0, 128, 4096)
    seen = set()
    for tokens, rope in ((2048, Rope(30_000)), (8192, Rope()), (10_000, model.stretch_to(10_000)), (20_000, Rope())):
        found = model.warning(tokens, rope)
        assert found is not None
        seen.add(found.code)
        assert ENGLISH(f"rope.{found.code}", **found.values) == found.sentence
        assert "{" not in RUSSIAN(f"rope.{found.code}", **found.values)
    assert len(seen) == 4


def test_advice() -> None:
    for code, sentence in advice.ADVICE.items():
        assert ENGLISH(f"offer.{code}") == sentence
        assert RUSSIAN(f"offer.{code}") != sentence


def test_estimates_differ_by_what_is_asked() -> None:
    plan = Plan()
    sizes = {estimate(SHAPE, replace(plan, context=n)).total for n in (1024, 4096, 8192)}
    assert len(sizes) == 3
