"""The faults that every run of the tests does: each signal, each phase, each kind of bad file and each native killer.
The rest (every signal in every phase, halted engines, clients by the hundred) is `python -m tests.faults`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import signals
from tests.faults.case import Case, run_case
from tests.faults.catalogue import ALL
from tests.faults.house import House

SHORT = [case for case in ALL if case.short]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("faults"))
    yield house
    house.abandon()


@pytest.mark.model
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_the_program_survives(case: Case, house: House) -> None:
    outcome = run_case(case, house)
    assert outcome.survived, outcome.problem


def test_the_catalogue_holds_every_fault_once() -> None:
    names = [case.name for case in ALL]
    assert len(set(names)) == len(names)
    cells = {f"{name[3:].lower()}-{phase}" for name in signals.WORDS for phase in signals.PHASES}
    assert cells <= set(names) and len(cells) == 24
    assert len([name for name in names if name.startswith("killer-")]) == 25
    assert {case.name.split("-")[0] for case in signals.CASES if case.short} == {n[3:].lower() for n in signals.WORDS}
    assert {case.name.split("-")[1] for case in signals.CASES if case.short} == set(signals.PHASES)
