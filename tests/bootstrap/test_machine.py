"""Looking at the machine, with tools of our own on the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from webui.bootstrap import machine as module
from webui.bootstrap.machine import browser, driver_cuda, look


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CMAKE_ARGS", "PIP_NO_INDEX", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "glob", lambda pattern: [])
    return tmp_path


def tool(folder: Path, name: str, prints: str = "", code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    path.chmod(0o755)


def test_a_bare_machine_has_nothing(tools: Path) -> None:
    machine = look()
    assert (machine.compiler, machine.package_manager, machine.nvidia, machine.cuda, machine.nvcc, machine.vulkan) == (
        False,
        "",
        False,
        None,
        "",
        False,
    )
    assert browser() == ""


def test_what_is_there_is_seen(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tools, "g++")
    tool(tools, "apt-get")
    tool(tools, "nvcc")
    tool(tools, "nvidia-smi", "| Driver Version: 550.54.14   CUDA Version: 12.4 |")
    tool(tools, "chromium-browser")
    monkeypatch.setenv("CMAKE_ARGS", "-DX=1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    machine = look()
    assert machine.compiler and machine.nvidia and machine.offline
    assert (machine.package_manager, machine.cuda, machine.cmake_args) == ("apt-get", (12, 4), "-DX=1")
    assert machine.nvcc == str(tools / "nvcc")
    assert browser() == str(tools / "chromium-browser")


def test_a_driver_without_a_working_card_is_none(tools: Path) -> None:
    tool(tools, "nvidia-smi", "No devices were found", code=6)
    assert not look().nvidia


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("CUDA Version: 13.0     |", (13, 0)),
        ("| CUDA UMD Version: 13.1 |", (13, 1)),
        ("CUDA Version: N/A", None),
        ("", None),
    ],
)
def test_driver_cuda(shown: str, expected: tuple[int, int] | None) -> None:
    assert driver_cuda(shown) == expected
