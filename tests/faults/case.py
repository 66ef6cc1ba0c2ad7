"""What a fault is, and what must be true after every one of them: the program lives, whoever waited was told why in one
clear sentence, and a good request works as before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.house import GOOD_REPLY_TOKENS, House

LONGEST_SENTENCE = 400
FORBIDDEN = ("Traceback", ".py", "webui/", "None", "Exception", "0x", "\n")


class NotSurvived(AssertionError):
    """What should have been true after a fault was not."""


def must(condition: object, otherwise: str) -> None:
    if not condition:
        raise NotSurvived(otherwise)


@dataclass(frozen=True)
class Case:
    """One fault. `act` does it and checks what is special about it; it returns the sentences people were told, all of
    which must be clear. `short`: also run by CI."""

    name: str
    done: str
    after: str
    act: Callable[[House], str | tuple[str, ...]]
    short: bool = False


@dataclass(frozen=True)
class Outcome:
    case: Case
    seconds: float
    said: tuple[str, ...] = ()
    problem: str = ""

    @property
    def survived(self) -> bool:
        return not self.problem


def run_case(case: Case, house: House) -> Outcome:
    """Do it, then look at everything that must hold after any fault."""
    started = time.monotonic()
    said: tuple[str, ...] = ()
    try:
        house.ready()
        program = house.pid
        told = case.act(house)
        said = (told,) if isinstance(told, str) else told
        for sentence in said:
            check_sentence(sentence)
        check_all_well(house, program)
    except Exception as error:  # whatever a fault leads to is a result to be printed, not the end of the others
        house.abandon()
        return Outcome(case, time.monotonic() - started, said, f"{type(error).__name__}: {error}")
    return Outcome(case, time.monotonic() - started, said)


def check_sentence(sentence: str) -> None:
    must(sentence.strip(), "nobody was told anything")
    must(sentence.endswith(".") and not sentence.startswith(("{", "[")), f"no sentence: {sentence}")
    must(len(sentence) <= LONGEST_SENTENCE, f"a sentence of {len(sentence)} characters: {sentence[:200]}")
    found = [word for word in FORBIDDEN if word in sentence]
    must(not found, f"not for people ({found}): {sentence}")


def check_all_well(house: House, program: int) -> None:
    must(house.pid == program and house.lives, "the program ended")
    must(house.page_answers(), "the page does not answer")
    said = house.complete(house.question, max_tokens=GOOD_REPLY_TOKENS)
    must(said == house.answer, f"a good request gave {said!r}, before it was {house.answer!r}")
    must(house.until(lambda: house.info()["active"] == 0), "something still runs")
    workers = house.workers()
    must(len(workers) == 1, f"there are {len(workers)} engines")
    must("Traceback" not in house.log, "there is a traceback in the log")
