"""Carries out tasks: runs their commands, shows in plain lines how far they are, keeps the full output in a log.

Knows how pip and ninja report; nothing of what is installed or why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TextIO

from webui.bootstrap.plan import Attempt, Task

_COMPILED = re.compile(r"^\s*\[(\d+)/(\d+)\]")
_DOWNLOAD = re.compile(r"^\s*Downloading (\S+?)(?: \(([\d.]+) MB\))?\s*$")
_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("No space left on device"), "the disk is full: free some space and start again"),
    (
        re.compile("Killed signal terminated program|virtual memory exhausted|out of memory", re.IGNORECASE),
        "the memory ran out: close other programs, set CMAKE_BUILD_PARALLEL_LEVEL=1 and start again",
    ),
    (
        re.compile("NewConnectionError|ConnectionError|name resolution|getaddrinfo|timed out|ProxyError|SSLError"),
        "check the network connection and start again",
    ),
    (
        re.compile("No matching distribution found|Requires-Python|requires a different Python"),
        "there is no version of it for this Python: use Python 3.10 to 3.13",
    ),
)
"""What the output says, and what to do about it; the first that fits is told instead of the task's own advice."""
_LARGE_MB = 5.0
_EVERY_PERCENT = 10
_QUIET_SECONDS = 60.0
_NOT_FOR_PIP = (
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
)


class Runner:
    """`folder` is where commands run: never where the user stands, whose files could be taken for modules."""

    def __init__(self, folder: Path, log: Path, out: TextIO | None = None) -> None:
        self._folder = folder
        self._log = log
        self._out = out
        self._tail: deque[str] = deque(maxlen=400)

    def run_all(self, tasks: Iterable[Task]) -> bool:
        """Do the tasks in order; False at the first that no attempt could do, after saying so in one sentence."""
        return all(self._do(task) for task in tasks)

    def _do(self, task: Task) -> bool:
        for attempt in task.attempts:
            if not attempt.quiet:
                self._say(f"{task.title}{': ' if attempt.saying else ''}{attempt.saying} ...")
            if self._run(attempt.command, attempt.environment) and self._checked(attempt):
                return True
            if attempt.if_it_fails:
                self._say(attempt.if_it_fails)
        self._complain(task)
        return False

    def _checked(self, attempt: Attempt) -> bool:
        if not attempt.check or self._run(attempt.check, {}):
            return True
        if attempt.undo:
            why = self._tail.copy()
            self._run(attempt.undo, {})
            self._tail = why
        return False

    def _complain(self, task: Task) -> None:
        reasons = [line for line in self._tail if line.startswith(("ERROR:", "Error:", "error:"))]
        if reasons:
            print(reasons[-1], file=sys.stderr)
        where = f" The whole output is in {self._log}." if self._log.exists() else ""
        known = next((said for seen, said in _KNOWN if any(seen.search(line) for line in self._tail)), task.advice)
        advice = f"; {known}" if known else ""
        print(f"{task.title} failed{advice}.{where}", file=sys.stderr, flush=True)

    def _run(self, command: tuple[str, ...], environment: Mapping[str, str]) -> bool:
        """Run one command, its output to the log and its progress to the user."""
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_PIP}
        merged = {name: value for name, value in {**kept, **environment}.items() if name != "CMAKE_ARGS" or value}
        log_kept = self._log.parent.is_dir()
        self._tail.clear()
        self._note(f"$ {' '.join(command)}", log_kept)
        try:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=merged,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._tail.append(f"ERROR: {command[0]} cannot be run: {error.strerror}")
            return False
        progress = Progress(self._say)
        assert process.stdout is not None
        with process, process.stdout as lines:
            for line in lines:
                self._note(line.rstrip(), log_kept)
                progress.see(line)
        return process.returncode == 0

    def _note(self, line: str, log_kept: bool) -> None:
        self._tail.append(line.strip())
        if log_kept:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _say(self, text: str) -> None:
        print(f"  {text}", file=self._out or sys.stdout, flush=True)


class Progress:
    """Picks from the output what tells a waiting person something: large downloads, and how much is compiled."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._percent = 0
        self._spoke = time.monotonic()

    def see(self, line: str) -> None:
        text = self._news(line)
        if text is None and time.monotonic() - self._spoke > _QUIET_SECONDS:
            text = "still working"
        if text is not None:
            self._spoke = time.monotonic()
            self._say(f"  {text}")

    def _news(self, line: str) -> str | None:
        download = _DOWNLOAD.match(line)
        if download:
            large = download[2] is not None and float(download[2]) >= _LARGE_MB
            return f"downloading {download[1].rsplit('/', 1)[-1]} ({download[2]} MB)" if large else None
        compiled = _COMPILED.match(line)
        if compiled and int(compiled[2]) > 20:
            percent = 100 * int(compiled[1]) // int(compiled[2])
            if percent >= self._percent + _EVERY_PERCENT:
                self._percent = percent - percent % _EVERY_PERCENT
                return f"compiled {self._percent} %"
        return None
