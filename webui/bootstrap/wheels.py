"""Whether the llama-cpp-python project's own index has a ready-made wheel for this machine.

Asks for a few seconds at most and takes silence for a no. Knows nothing of pip.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.error
import urllib.request

from webui.bootstrap.machine import Machine

INDEX = "https://abetlen.github.io/llama-cpp-python/whl"
INDEX_VARIABLE = "SAMPLER_LAB_WHEEL_INDEX"
SECONDS = 4.0
LOWEST, BELOW = (0, 3, 36), (0, 4, 0)
_CUDA = ((13, 0), (12, 9), (12, 8), (12, 6), (12, 5), (12, 4), (12, 3), (12, 2), (12, 1))
_WHEEL = re.compile(r"llama_cpp_python-(\d+)\.(\d+)\.(\d+)[^-\"<>]*-([^-\"<>]+)-([^-\"<>]+)-([^-\"<>]+)\.whl")
_MAX_PAGE = 4 << 20


def find_wheels(machine: Machine, seconds: float = SECONDS) -> str | None:
    """The address of the best index page set that has a wheel for this machine, None if none answers in time."""
    index = os.environ.get(INDEX_VARIABLE, INDEX).rstrip("/")
    names = variants(machine)
    if machine.offline or not index:
        return None
    answers: dict[str, bool] = {}

    def ask(name: str) -> None:
        answers[name] = fits(_page(f"{index}/{name}/llama-cpp-python/", seconds), machine)

    # Daemon threads: looking up a name can block for longer than any time limit urllib knows.
    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        seconds = seconds if not thread.is_alive() else 0.0
    return next((f"{index}/{name}" for name in names if answers.get(name)), None)


def variants(machine: Machine) -> tuple[str, ...]:
    """Which builds could run here, the best first. With a GPU the CPU build is none of them: better to compile."""
    if machine.cuda is not None:
        return tuple(f"cu{major}{minor}" for major, minor in _CUDA if (major, minor) <= machine.cuda)
    if machine.metal:
        return ("metal",)
    if machine.nvidia and machine.nvcc and machine.compiler:
        return ()
    return () if machine.vulkan and machine.compiler else ("cpu",)


def fits(page: str, machine: Machine) -> bool:
    """Whether an index page lists a wheel of a version we want for this Python and system."""
    pythons = {f"cp{machine.python[0]}{machine.python[1]}", "py3", "py2.py3"}
    for found in _WHEEL.finditer(page):
        version = (int(found[1]), int(found[2]), int(found[3]))
        if LOWEST <= version < BELOW and found[4] in pythons and _platform_fits(found[6], machine):
            return True
    return False


def _platform_fits(tag: str, machine: Machine) -> bool:
    system = {"linux": "linux", "darwin": "macosx", "win32": "win"}.get(machine.system, "?")
    names = {"x86_64": ("x86_64", "amd64"), "arm64": ("arm64", "aarch64")}.get(machine.arch, (machine.arch,))
    return "musl" not in tag and system in tag and tag.endswith(names)


def _page(address: str, seconds: float) -> str:
    try:
        with urllib.request.urlopen(address, timeout=seconds) as answer:
            body: bytes = answer.read(_MAX_PAGE)
            return body.decode("utf-8", "replace")
    except (OSError, ValueError, urllib.error.URLError):
        return ""
