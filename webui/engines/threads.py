"""Which cores llama.cpp's threads run on, and how they wait for each other. Must not import llama.cpp: OpenMP looks at
its settings once, when it is loaded."""

from __future__ import annotations

import functools
import os
import sys

import psutil

_SPINS = "60000"
"""How often a waiting OpenMP thread looks again before it sleeps: longer than choosing a token takes, because one that
sleeps has to be woken first. With the default (300000) the threads take the cores from each other's work as soon as a
browser or the page wants them too."""


@functools.cache
def physical_cores() -> int:
    """Cores this process may use; hyperthreads only slow llama.cpp down. Asked once, before `settle_threads` leaves the
    thread that asks a single core."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def settle_threads(threads: int) -> None:
    """Before llama.cpp is imported; what the user has set counts. Where its threads use all cores anyway, each keeps
    to one: else the system puts two on the same core whenever the page or the network wakes up, and a token takes half
    as long again until it has noticed."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if sys.platform == "linux" and (threads or physical_cores()) == physical_cores():
        os.environ.setdefault("OMP_PLACES", "cores")
        os.environ.setdefault("OMP_PROC_BIND", "true")
