"""From any state of .venv to a running program: is everything installed, if not install it, then start.

The way through an installed copy imports as little as possible (it must cost less than a tenth of a second). Only one
start installs at a time; the others wait. The stamp is written last, so that whatever broke off is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FAILED = 1
CANNOT_INSTALL = 2
INTERRUPTED = 130
_SCHEME = "1"
_REQUIREMENTS = {"serve": ("requirements.txt",), "test": ("requirements.txt", "requirements-dev.txt")}


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Install what `arguments` need and become the program (or the tests); otherwise the exit code."""
    goal = "test" if arguments[:1] == ["test"] else "serve"
    try:
        if not is_installed(root, goal):
            code = _install(root, goal)
            if code:
                return code
        if goal == "test":
            from webui.bootstrap.checks import run_checks

            return run_checks(root, python_of(root), list(arguments[1:]))
        return _start(root, list(arguments))
    except KeyboardInterrupt:
        print("\nInterrupted. The next start goes on from here.", file=sys.stderr)
        return INTERRUPTED


def python_of(root: Path) -> Path:
    """The interpreter of .venv, whether it is there or not."""
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_installed(root: Path, goal: str) -> bool:
    """Whether .venv was finished for this goal with the requirements as they are now."""
    try:
        stamps = json.loads((root / ".venv" / "installed.json").read_text(encoding="utf-8"))
        return python_of(root).exists() and stamps[goal] == fingerprint(root, goal)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fingerprint(root: Path, goal: str) -> str:
    """What an install depends on: the content of the requirements and the Python in .venv."""
    digest = hashlib.sha256(_SCHEME.encode())
    for name in _REQUIREMENTS[goal]:
        digest.update((root / name).read_bytes().replace(b"\r\n", b"\n"))
    lines = (root / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    digest.update("".join(line for line in lines if line.startswith("version")).encode())
    return digest.hexdigest()


def _install(root: Path, goal: str) -> int:
    from webui.bootstrap.machine import look
    from webui.bootstrap.plan import plan
    from webui.bootstrap.repair import make_sound
    from webui.bootstrap.runner import Runner
    from webui.bootstrap.wheels import find_wheels

    if not os.access(root, os.W_OK):
        print(f"Sampler Lab cannot write to its folder {root}: copy it to a place of your own.", file=sys.stderr)
        return CANNOT_INSTALL
    with _only_one(root):
        if is_installed(root, goal):
            return 0
        started = time.monotonic()
        print("Setting up Sampler Lab; this happens once.", flush=True)
        (root / ".venv" / "installed.json").unlink(missing_ok=True)
        sound = make_sound(root / ".venv", python_of(root))
        machine = look()
        tasks = plan(machine, root, python_of(root), goal, make_venv=not sound, wheels=find_wheels(machine))
        if not Runner(root, root / ".venv" / "install.log").run_all(tasks):
            return FAILED
        _write_stamp(root, goal)
        print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


def _write_stamp(root: Path, goal: str) -> None:
    goals = ("serve", "test") if goal == "test" else ("serve",)
    stamp = root / ".venv" / "installed.json"
    beside = stamp.with_suffix(".new")
    beside.write_text(json.dumps({name: fingerprint(root, name) for name in goals}), encoding="utf-8")
    os.replace(beside, stamp)


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the install lock; it goes with the process, however that ends."""
    with (root / ".venv.lock").open("a+b") as file:
        if not _lock(file.fileno(), wait=False):
            print("Another start is setting up; waiting for it.", flush=True)
            _lock(file.fileno(), wait=True)
        yield


def _lock(file: int, *, wait: bool) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                    return True
                except OSError:
                    if not wait:
                        return False
                    time.sleep(0.5)
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _start(root: Path, arguments: list[str]) -> int:
    """Become the program, in the user's working folder, with nothing but the root on the path."""
    python = str(python_of(root))
    environment = program_environment(root)
    command = [python, *_without_current_folder(root), *arguments]
    if sys.platform == "win32":
        import subprocess

        return subprocess.call(command, env=environment)  # execve would detach from the console
    sys.stdout.flush()
    os.execve(python, command, environment)


def _without_current_folder(root: Path) -> list[str]:
    """`-m webui`. Python 3.10 knows no PYTHONSAFEPATH and would look for modules in the user's folder first."""
    config = (root / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8")
    if "version = 3.10" not in config.replace("version_info", "version"):
        return ["-m", "webui"]
    return ["-c", "import sys; del sys.path[0]; import runpy; runpy.run_module('webui', run_name='__main__')"]


def program_environment(root: Path) -> dict[str, str]:
    """The environment of the program: its root on the path, and not the folder the user stands in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONSTARTUP")}
    return {**kept, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
