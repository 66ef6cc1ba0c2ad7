"""`python -m tests.faults [--short] [--only NAME ...]`: every fault, a table, and "N of N survived"."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.case import Outcome, run_case
from tests.faults.catalogue import ALL
from tests.faults.house import House


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only those that CI runs")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="faults whose name contains this")
    parser.add_argument("--said", action="store_true", help="also print what people were told")
    options = parser.parse_args()
    chosen = [case for case in ALL if case.short or not options.short]
    if options.only:
        chosen = [case for case in chosen if any(name in case.name for name in options.only)]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="faults") as name:
        house = House(Path(name))
        try:
            for case in chosen:
                outcome = run_case(case, house)
                outcomes.append(outcome)
                print(line_of(outcome, said=options.said), flush=True)
        finally:
            house.abandon()
    survived = sum(outcome.survived for outcome in outcomes)
    print(f"\n{survived} of {len(outcomes)} survived in {sum(outcome.seconds for outcome in outcomes):.0f} s")
    return 0 if outcomes and survived == len(outcomes) else 1


def line_of(outcome: Outcome, *, said: bool = False) -> str:
    case = outcome.case
    line = f"{'ok  ' if outcome.survived else 'FAIL'} {case.name:32} {outcome.seconds:6.1f} s  {case.done}"
    if outcome.problem:
        line += f"\n     {outcome.problem}"
    return line + "".join(f"\n     “{sentence}”" for sentence in outcome.said if said)


if __name__ == "__main__":
    sys.exit(main())
