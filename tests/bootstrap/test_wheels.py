"""The probe of llama-cpp-python's wheel index, against a server on loopback."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from webui.bootstrap.machine import Machine
from webui.bootstrap.wheels import INDEX_VARIABLE, find_wheels, fits, variants

LINUX = Machine("linux", "x86_64", (3, 11))
PAGE = '<a href="llama_cpp_python-{version}-{python}-{python}-{platform}.whl">x</a>'


def page(version: str = "0.3.36", python: str = "cp311", platform: str = "linux_x86_64") -> str:
    return PAGE.format(version=version, python=python, platform=platform)


class Index(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.pages.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    server = Index()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv(INDEX_VARIABLE, server.address + "/")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_fitting_wheel_is_found(index: Index) -> None:
    index.pages["/cpu/llama-cpp-python/"] = page()
    assert find_wheels(LINUX) == f"{index.address}/cpu"


def test_the_newest_cuda_build_the_driver_can_run_is_chosen(index: Index) -> None:
    for name in ("cu124", "cu121", "cu130"):
        index.pages[f"/{name}/llama-cpp-python/"] = page()
    machine = replace(LINUX, nvidia=True, cuda=(12, 6))
    assert find_wheels(machine) == f"{index.address}/cu124"
    assert not any("cu130" in asked or "/cpu/" in asked for asked in index.asked)


def test_an_index_without_a_fitting_wheel_counts_as_none(index: Index) -> None:
    index.pages["/cpu/llama-cpp-python/"] = page(version="0.2.90") + page(python="cp39") + page(platform="win_amd64")
    assert find_wheels(LINUX) is None


def test_nobody_there_is_a_quick_no(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv(INDEX_VARIABLE, f"http://127.0.0.1:{free_port}")
    assert find_wheels(LINUX) is None


def test_an_index_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(INDEX_VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert find_wheels(LINUX, seconds=0.2) is None
        assert time.monotonic() - started < 10, "it waits for as long as the index is silent"


def test_pip_without_index_means_no_question_is_asked(index: Index) -> None:
    index.pages["/cpu/llama-cpp-python/"] = page()
    assert find_wheels(replace(LINUX, offline=True)) is None
    assert index.asked == []


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (LINUX, ("cpu",)),
        (Machine("darwin", "arm64", (3, 12)), ("metal",)),
        (replace(LINUX, cuda=(12, 2)), ("cu122", "cu121")),
        (replace(LINUX, vulkan=True), ()),
        (replace(LINUX, vulkan=True, compiler=False), ("cpu",)),
    ],
)
def test_variants(machine: Machine, expected: tuple[str, ...]) -> None:
    assert variants(machine) == expected


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        (page(), LINUX, True),
        (page(python="py3"), LINUX, True),
        (page(version="0.3.40"), LINUX, True),
        (page(version="0.4.0"), LINUX, False),
        (page(platform="musllinux_1_2_x86_64"), LINUX, False),
        (page(platform="linux_aarch64"), replace(LINUX, arch="arm64"), True),
        (page(platform="win_amd64"), replace(LINUX, system="win32"), True),
        (page(platform="macosx_11_0_arm64"), Machine("darwin", "arm64", (3, 11)), True),
        ("", LINUX, False),
    ],
)
def test_fits(text: str, machine: Machine, expected: bool) -> None:
    assert fits(text, machine) is expected
