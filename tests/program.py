"""The program as a process, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from webui.settings import ROOT

START_SECONDS = 120.0


class Program:
    """`python -m webui` as a user starts it, its output collected."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **(environment or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webui", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(stream)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while text not in self.output:
            assert self.process.poll() is None, f"it ended:\n{self.output}"
            assert time.monotonic() < deadline, f"{text!r} never came:\n{self.output}"
            time.sleep(0.02)

    def end(self) -> int:
        """The exit code, once it has ended by itself."""
        code = self.process.wait(timeout=START_SECONDS)
        self._reader.join(timeout=10)
        return code

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether they end in time. One that only waits for its parent to take note of it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(lives(process) for process in processes):
            return True
        time.sleep(0.02)
    return False


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
