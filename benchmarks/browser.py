"""The Chromium that measures the page, started in one way for all benchmarks that need one."""

from __future__ import annotations

import os
import shutil
from typing import TypedDict


class Launch(TypedDict):
    executable_path: str
    args: list[str]


def launch() -> Launch:
    """What Playwright's `chromium.launch` is given: the Chromium on the PATH, which root may only run unboxed."""
    found = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("This needs Chromium on the PATH.")
    return {"executable_path": found, "args": ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []}
