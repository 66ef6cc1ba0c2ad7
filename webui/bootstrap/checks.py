"""`start.sh test`: format, lint, types, the import contract, then the tests. Stops at the first that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from webui.bootstrap.machine import browser

_LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
NO_BROWSER = "The browser tests need Chromium: install it, for example with: sudo apt install chromium"


def commands(python: Path, arguments: list[str]) -> list[tuple[str, list[str]]]:
    """The checks in order, as (title, command). Arguments of the user's own go to pytest."""
    run_all = "--all" in arguments
    chosen = [argument for argument in arguments if argument != "--all"]
    if not run_all and not any(argument.startswith("-m") for argument in chosen):
        chosen = ["-m", "not long", *chosen]
    prefix = [str(python), "-m"]
    return [
        ("format", [*prefix, "ruff", "format", "--check", "."]),
        ("lint", [*prefix, "ruff", "check", "."]),
        ("types", [*prefix, "mypy"]),
        ("import contract", [str(python), "-c", _LINT_IMPORTS]),
        ("tests", [*prefix, "pytest", *chosen]),
    ]


def run_checks(root: Path, python: Path, arguments: list[str]) -> int:
    """Run all checks in the program's folder; the exit code of the first that fails."""
    whole = all(argument == "--all" for argument in arguments)
    if whole and not browser():
        print(NO_BROWSER, file=sys.stderr)
        return 2
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUTF8": "1"}
    for title, command in commands(python, arguments):
        print(f"== {title}", flush=True)
        code = subprocess.call(command, cwd=root, env=environment)
        if code:
            print(f"The check '{title}' failed.", file=sys.stderr, flush=True)
            return code
    return 0
