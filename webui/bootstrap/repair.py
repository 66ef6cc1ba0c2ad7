"""Brings a .venv that an interrupted install or another Python left behind into a state pip can go on from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_ASK = "import sys, pip; print('usable' if sys.version_info >= (3, 10) else 'too old')"


def make_sound(venv: Path, python: Path) -> bool:
    """True if .venv can be kept (half-installed packages are taken out); otherwise it is removed and False."""
    if is_usable(python):
        for place in _site_packages(venv):
            remove_half_installed(place)
        return True
    if venv.is_symlink() or venv.is_file():
        venv.unlink()
    elif venv.exists():
        shutil.rmtree(venv)
    return False


def is_usable(python: Path) -> bool:
    """Whether this interpreter runs, is new enough and has pip."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == "usable"


def remove_half_installed(site_packages: Path) -> None:
    """pip writes RECORD last, and takes a package without it for installed: forget those, so that they come again."""
    for info in site_packages.glob("*.dist-info"):
        if not (info / "RECORD").is_file():
            shutil.rmtree(info)
    for leftover in site_packages.glob("~*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _site_packages(venv: Path) -> list[Path]:
    return [
        place for place in (*venv.glob("lib/python*/site-packages"), venv / "Lib" / "site-packages") if place.is_dir()
    ]
