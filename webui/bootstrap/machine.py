"""What this machine has that decides how things are installed: system, compiler, GPU tools.

Only looks. Knows nothing of what follows from it (plan.py).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from glob import glob
from pathlib import Path

_MANAGERS = ("apt-get", "dnf", "pacman", "zypper", "apk", "brew")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


@dataclass(frozen=True)
class Machine:
    system: str
    arch: str
    python: tuple[int, int]
    compiler: bool = True
    package_manager: str = ""
    nvidia: bool = False
    cuda: tuple[int, int] | None = None
    nvcc: str = ""
    vulkan: bool = False
    cmake_args: str = ""
    c_flags: str = ""
    pip_cache: str = ""
    """Where pip keeps what it built, "" if it is told to keep nothing."""
    offline: bool = False

    @property
    def metal(self) -> bool:
        return self.system == "darwin" and self.arch == "arm64"


def look() -> Machine:
    """The facts of the machine we run on."""
    shown = _run(["nvidia-smi"])
    return Machine(
        system=sys.platform,
        arch=platform.machine().lower().replace("aarch64", "arm64").replace("amd64", "x86_64"),
        python=sys.version_info[:2],
        compiler=_has_compiler(),
        package_manager=next((name for name in _MANAGERS if shutil.which(name)), ""),
        nvidia=shown is not None,
        cuda=driver_cuda(shown or ""),
        nvcc=shutil.which("nvcc") or next(iter(sorted(glob("/usr/local/cuda*/bin/nvcc"))), ""),
        vulkan=_has_vulkan(),
        cmake_args=os.environ.get("CMAKE_ARGS", ""),
        c_flags=os.environ.get("CFLAGS", ""),
        pip_cache=_pip_cache(),
        offline=_is_set("PIP_NO_INDEX"),
    )


def browser() -> str:
    """The Chromium the browser tests drive, "" if there is none."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), "")


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0", "false")


def _pip_cache() -> str:
    """pip's own folder on Linux; elsewhere nothing is built that would need it."""
    if _is_set("PIP_NO_CACHE_DIR"):
        return ""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("PIP_CACHE_DIR") or os.path.join(cache, "pip")


def _has_compiler() -> bool:
    if sys.platform == "win32":
        return bool(
            shutil.which("cl") or shutil.which("g++") or glob(r"C:\Program Files*\Microsoft Visual Studio\*\*\VC")
        )
    if sys.platform == "darwin":
        return _run(["xcode-select", "-p"]) is not None
    return bool(shutil.which("c++") or shutil.which("g++") or shutil.which("clang++") or os.environ.get("CXX"))


def driver_cuda(shown: str) -> tuple[int, int] | None:
    """The CUDA version the NVIDIA driver can run, as nvidia-smi shows it (newer ones write "CUDA UMD Version")."""
    found = re.search(r"CUDA (?:\w+ )?Version:\s*(\d+)\.(\d+)", shown)
    return (int(found[1]), int(found[2])) if found else None


def _has_vulkan() -> bool:
    """Shader compiler, headers and a graphics card: all three, or the build would fail or be of no use."""
    if sys.platform == "win32":
        return bool(os.environ.get("VULKAN_SDK"))
    headers = any(Path(place, "include/vulkan/vulkan.h").exists() for place in ("/usr", "/usr/local"))
    return bool(shutil.which("glslc")) and headers and bool(glob("/dev/dri/renderD*"))


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
