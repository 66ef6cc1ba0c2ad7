"""What the worker process does to itself at birth: no core dumps, no debugger, no life after the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_SPINS = "20000"
"""How often a waiting OpenMP thread looks again before it sleeps. With the default (300000) the threads take the cores
from each other's work as soon as a browser or the page wants them too: measured, ten times the time a token."""


def calm_threads() -> None:
    """Before llama.cpp is imported: OpenMP looks at this once. What the user has set counts."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def harden() -> None:
    # llama.cpp would start gdb for a backtrace when it aborts, which takes seconds.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    calm_threads()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
