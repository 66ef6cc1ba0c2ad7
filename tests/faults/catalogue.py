"""All faults, in the order in which they are done."""

from __future__ import annotations

from tests.faults import clients, files, killers, life, signals
from tests.faults.case import Case

ALL: tuple[Case, ...] = (*signals.CASES, *life.CASES, *clients.CASES, *files.CASES, *killers.CASES)
